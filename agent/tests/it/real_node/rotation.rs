//! Logs that the kubelet rotates while a container writes them.

use node_kit::{Container, Containerd, Rotation};

use crate::kit::{Agent, sleep_ms};

use super::{bed, bodies, counting, numbered, stop_and_audit, wait_for_count};

/// Lines of each stream: some two seconds.
const LINES: usize = 4_000;
/// More files than any test here makes: none is removed before it is read.
const KEEP_ALL: Rotation = Rotation { files_max: 1_000 };

/// Rotates until the container has ended; returns how often.
fn rotate_until_the_end(container: &Container<'_>, mut each: impl FnMut(usize)) -> usize {
    let mut rotations = 0;
    while container.ended().unwrap().is_none() {
        // One that has ended just now is rotated no more, and its log has its name back.
        if container.rotate(&KEEP_ALL).is_ok() {
            rotations += 1;
        }
        each(rotations);
        sleep_ms(100);
    }
    assert!(rotations >= 5, "it was rotated {rotations} times");
    rotations
}

#[test]
fn lines_arrive_once_and_in_order_while_the_runtime_reopens_its_log_under_load() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).host_network().run().unwrap();
    let app = pod.run("app", &["sh", "-c", &counting(LINES)]).unwrap();
    rotate_until_the_end(&app, |_| {});
    let is_compressed = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "gz");
    assert!(app.rotated().unwrap().iter().filter(|path| is_compressed(path)).count() >= 3);
    let records = wait_for_count(&bed, 2 * LINES);
    assert_eq!(bodies(&records, "app", "stdout"), numbered("out", LINES));
    assert_eq!(bodies(&records, "app", "stderr"), numbered("err", LINES));
    stop_and_audit(&bed, agent);
}

#[test]
fn an_agent_that_is_killed_between_rotations_loses_and_doubles_nothing() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let mut agent = Some(Agent::start(&bed));
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).host_network().run().unwrap();
    let app = pod.run("app", &["sh", "-c", &counting(LINES)]).unwrap();
    rotate_until_the_end(&app, |rotations| {
        if rotations % 3 == 2 {
            agent.take().unwrap().kill();
            agent = Some(Agent::spawn(&bed));
        }
    });
    let records = wait_for_count(&bed, 2 * LINES);
    assert_eq!(bodies(&records, "app", "stdout"), numbered("out", LINES));
    assert_eq!(bodies(&records, "app", "stderr"), numbered("err", LINES));
    let mut agent = agent.unwrap();
    agent.wait_ready();
    stop_and_audit(&bed, agent);
}
