//! Containers that really run. `scripts/test.sh` leaves out what is in `real_node::` where none can.

mod files;

use std::fs;
use std::process::Command;
use std::thread;

use node_kit::{Containerd, Program, Rotation};

/// Of one that has ended and was not reaped yet, nothing but its number is left.
fn is_alive(process: u32) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|words| !words.is_empty())
}

#[test]
fn a_container_writes_lines_to_the_log_that_the_kubelet_named() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").run().unwrap();
    let app = pod.run("app", &["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap();
    assert_eq!(app.wait_ended().unwrap().exit_code, 3);
    let path = app.log().to_str().unwrap();
    assert!(path.ends_with(&format!("/shop_web-0_{}/app/0.log", pod.uid())), "{path}");
    let text = fs::read_to_string(app.log()).unwrap();
    let mut lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["stderr F err", "stdout F out"]);
}

#[test]
fn a_restarted_container_has_the_next_number_and_a_log_of_its_own() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let program = Program::new("app", &["echo", "once"]);
    let first = pod.start(&program).unwrap();
    first.wait_ended().unwrap();
    let second = pod.start(&program).unwrap();
    second.wait_ended().unwrap();
    assert!(first.log().ends_with("app/0.log") && second.log().ends_with("app/1.log"));
    assert_eq!(fs::read_to_string(second.log()).unwrap().lines().count(), 1);
}

#[test]
fn rotation_renames_what_the_runtime_wrote_and_has_it_begin_anew() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let write = "mkfifo /tmp/in; while :; do cat /tmp/in; done";
    let app = pod.run("app", &["sh", "-c", write]).unwrap();
    for number in 0..6 {
        let say = format!("until [ -p /tmp/in ]; do :; done; echo {number} >/tmp/in");
        app.read(&["sh", "-c", &say]).unwrap();
        while !fs::read_to_string(app.log()).unwrap().ends_with(&format!("F {number}\n")) {
            thread::yield_now();
        }
        app.rotate(&Rotation::default()).unwrap();
    }
    let rotated = app.rotated().unwrap();
    assert_eq!(rotated.len(), 4, "and the live one: {rotated:?}");
    let is_compressed = |path: &std::path::PathBuf| path.extension().unwrap() == "gz";
    assert_eq!(rotated.iter().filter(|path| is_compressed(path)).count(), 3, "{rotated:?}");
    assert!(fs::read_to_string(&rotated[3]).unwrap().ends_with("F 5\n"), "the newest stays plain");
    assert_eq!(fs::read_to_string(app.log()).unwrap(), "");
}

#[test]
fn containers_outlive_containerd_and_nothing_outlives_the_node() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").run().unwrap();
    let app = pod.run("app", &["sleep", "1000"]).unwrap();
    let process = app.process().unwrap();
    node.kill().unwrap();
    assert!(is_alive(process));
    node.start_again().unwrap();
    assert_eq!(app.ended().unwrap(), None);
    assert_eq!(app.read(&["echo", "here"]).unwrap(), "here\n");

    let folder = node.state_folder().parent().unwrap().to_owned();
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    drop(app);
    drop(pod);
    drop(node);
    assert!(!is_alive(process));
    assert!(!fs::exists(&folder).unwrap());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&name), "{mounts}");
    let mut find = Command::new("find");
    find.args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &name]);
    assert_eq!(String::from_utf8_lossy(&find.output().unwrap().stdout), "", "groups are left");
}
