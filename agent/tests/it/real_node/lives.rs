//! Containers, pods and runtimes that end, and come back.

use std::thread;

use node_kit::{Containerd, Program};
use serde_json::Value;

use crate::kit::{Agent, Bed, body, wait_until};

use super::{bed, bodies, counting, numbered, stop_and_audit, wait_for_count, written};

#[test]
fn a_container_that_dies_and_its_restart_arrive_whole_each_as_its_own() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).host_network().run().unwrap();
    let program = Program::new("app", &["sh", "-c", &counting(100_000)]);
    let first = pod.start(&program).unwrap();
    wait_until("first records", || bed.records().len(), |it| *it > 100);
    assert_eq!(first.stop(0).unwrap().exit_code, 137, "killed in the middle");
    let second = pod.start(&Program::new("app", &["sh", "-c", &counting(500)])).unwrap();
    assert_eq!(second.wait_ended().unwrap().exit_code, 0);

    let lines = [&first, &second].map(|it| (written(it, "stdout"), written(it, "stderr")));
    assert_eq!(lines[1], (numbered("out", 500), numbered("err", 500)));
    let count = lines.iter().map(|(out, err)| out.len() + err.len()).sum();
    let records = wait_for_count(&bed, count);
    for (restart, (out, err)) in lines.into_iter().enumerate() {
        let is_of = |it: &&Value| it["k8s.container.restart_count"] == restart;
        let records: Vec<Value> = records.iter().filter(is_of).cloned().collect();
        assert_eq!(bodies(&records, "app", "stdout"), out);
        assert_eq!(bodies(&records, "app", "stderr"), err);
    }
    stop_and_audit(&bed, agent);
}

#[test]
fn a_pod_whose_files_are_removed_at_its_end_was_read_whole() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).host_network().run().unwrap();
    let app = pod.run("app", &["sh", "-c", &counting(1_000)]).unwrap();
    // Known to the agent while it writes; what it writes last is removed unseen.
    wait_until("first records", || bed.records().len(), |it| *it > 0);
    app.wait_ended().unwrap();
    pod.delete().unwrap();
    let records = wait_for_count(&bed, 2_000);
    assert_eq!(bodies(&records, "app", "stdout"), numbered("out", 1_000));
    assert_eq!(bodies(&records, "app", "stderr"), numbered("err", 1_000));
    wait_until("no source any more", || agent.metric("logferry_sources"), |it| *it == 0.0);
    stop_and_audit(&bed, agent);
}

/// Runs ten short containers in a pod, one after the other, and deletes the pod.
fn run_jobs(node: &Containerd, bed: &Bed, pod_name: &str) {
    let pod = node.pod("batch", pod_name).logs(bed.path("pods")).host_network().run().unwrap();
    for number in 0..10 {
        let name = format!("{pod_name}-{number}");
        let job = pod
            .run(&name, &["sh", "-c", &format!("for i in $(seq 0 19); do echo {name} $i; done")])
            .unwrap();
        assert_eq!(job.wait_ended().unwrap().exit_code, 0);
        job.remove().unwrap();
    }
    pod.delete().unwrap();
}

#[test]
fn fifty_containers_that_live_for_a_moment_arrive_whole() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    thread::scope(|scope| {
        for pod in 0..5 {
            let (node, bed) = (&node, &bed);
            scope.spawn(move || run_jobs(node, bed, &format!("job-{pod}")));
        }
    });
    let records = wait_for_count(&bed, 1_000);
    for pod in 0..5 {
        for number in 0..10 {
            let name = format!("job-{pod}-{number}");
            assert_eq!(bodies(&records, &name, "stdout"), numbered(&name, 20));
        }
    }
    stop_and_audit(&bed, agent);
}

#[test]
fn what_the_runtime_wrote_arrives_once_when_containerd_is_killed_and_started_again() {
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).host_network().run().unwrap();
    let script =
        format!("{}; until [ -e /tmp/end ]; do sleep 0.1; done; echo end", counting(3_000));
    let app = pod.run("app", &["sh", "-c", &script]).unwrap();
    wait_until("first records", || bed.records().len(), |it| *it > 100);
    node.kill().unwrap();
    node.start_again().unwrap();
    app.read(&["touch", "/tmp/end"]).unwrap();
    assert_eq!(app.wait_ended().unwrap().exit_code, 0);

    let (out, err) = (written(&app, "stdout"), written(&app, "stderr"));
    println!(
        "containerd wrote {} of 3001 lines to stdout, {} of 3000 to stderr",
        out.len(),
        err.len()
    );
    assert_eq!(out.last().unwrap(), "end", "the container has lived on");
    let last = |it: &Vec<Value>| it.iter().any(|it| body(it) == "end");
    wait_until("the last record", || bed.records(), last);
    let records = wait_for_count(&bed, out.len() + err.len());
    assert_eq!(bodies(&records, "app", "stdout"), out);
    assert_eq!(bodies(&records, "app", "stderr"), err);
    stop_and_audit(&bed, agent);
}
