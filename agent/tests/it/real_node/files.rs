//! Files inside of containers: found through containerd, in what they wrote to their roots and in their volumes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use node_kit::{Container, Containerd, Pod, Program};
use serde_json::Value;

use crate::kit::{Agent, Bed, Mount, Tmpfs, body, now_ns, queue_sink, wait_until};

use super::{numbered, stop_and_audit};

/// A LogConfig of namespace `shop`, or a ClusterLogConfig, of these globs; with further fields of `containers`.
pub(super) fn log_config(is_cluster: bool, globs: &str, fields: &str) -> String {
    let (kind, namespace) = match is_cluster {
        true => ("ClusterLogConfig", ""),
        false => ("LogConfig", "\n  namespace: shop"),
    };
    format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: inside{namespace}\nspec:\n  source:\n    \
         containers:\n      files: {{include: [{globs}]}}\n{fields}"
    )
}

/// A bed whose agent asks this node, for what the LogConfig says.
pub(super) fn bed(node: &Containerd, log_config: &str) -> Bed {
    let bed = Bed::new();
    let (socket, kubelet) = (node.socket(), node.kubelet_folder());
    let fields = format!(
        "  containerRuntime:\n    socket: '{}'\n    kubeletDirectory: '{}'\n",
        socket.display(),
        kubelet.display()
    );
    bed.configure(&[&bed.agent(&fields), &queue_sink(""), log_config]);
    bed
}

fn pod<'a>(node: &'a Containerd, name: &str) -> Pod<'a> {
    node.pod("shop", name).host_network().run().unwrap()
}

pub(super) fn shell(script: &str) -> Program {
    Program::new("app", &["sh", "-c", script])
}

/// Bodies by the path that the container sees, in the order of the queue.
pub(super) fn of_file(records: &[Value], path: &str) -> Vec<String> {
    records.iter().filter(|it| it["log.file.path"] == path).map(body).collect()
}

/// Waits for so many records, and a moment for any that are too many.
pub(super) fn wait_for_count(bed: &Bed, count: usize) -> Vec<Value> {
    wait_until("all records", || bed.records(), |it| it.len() >= count);
    thread::sleep(Duration::from_millis(1500));
    let records = bed.records();
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

/// Waits until the script of a container says that it is ready.
fn wait_ready(app: &Container<'_>) {
    while app.exec(&["ls", "/tmp/ready"]).unwrap().exit_code != 0 {
        thread::yield_now();
    }
}

#[test]
fn files_of_the_root_of_volumes_and_of_the_image_arrive_as_their_containers() {
    let node = Containerd::start().unwrap();
    let globs = "/tmp/*.log, '/data/**/*.log', /var/log/*.log, /log/*.log";
    let bed = bed(&node, &log_config(false, globs, ""));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let (data, inner) = (pod.empty_dir("data").unwrap(), pod.empty_dir("inner").unwrap());
    // `/log` is a link of the image to /linked; what is below `/data/inner` is another volume, which hides that of the first.
    fs::create_dir(data.join("inner")).unwrap();
    fs::write(data.join("inner/hidden.log"), "hidden\n").unwrap();
    let script = "echo root >/tmp/a.log; echo volume >/data/b.log; mkdir /data/sub; echo sub >/data/sub/c.log; \
                  echo inner >/data/inner/d.log; mkdir /linked; echo linked >/linked/e.log; \
                  echo more >>/var/log/image.log; echo other >/tmp/a.txt; sleep 1000";
    let program = shell(script).volume(&data, "/data").volume(&inner, "/data/inner");
    let began_ns = now_ns();
    let app = pod.start(&program).unwrap();
    let records = wait_until("all records", || bed.records(), |it| it.len() >= 7);
    let took_ms = (now_ns() - began_ns) / 1_000_000;
    println!("all files of a new container are in the queue within {took_ms} ms of its start");
    app.read(&["sh", "-c", "echo again >>/tmp/a.log; echo again >>/data/b.log"]).unwrap();
    assert_eq!(records.len(), 7, "{records:#?}");
    let records = wait_for_count(&bed, 9);
    let want: [(&str, &[&str]); 6] = [
        ("/tmp/a.log", &["root", "again"]),
        ("/data/b.log", &["volume", "again"]),
        ("/data/sub/c.log", &["sub"]),
        ("/data/inner/d.log", &["inner"]),
        ("/log/e.log", &["linked"]),
        ("/var/log/image.log", &["of the image", "more"]),
    ];
    for (path, bodies) in want {
        assert_eq!(of_file(&records, path), bodies, "{path}");
    }
    for record in &records {
        assert_eq!(record["k8s.namespace.name"], "shop");
        assert_eq!(record["k8s.pod.name"], "web-0");
        assert_eq!(record["k8s.pod.uid"], pod.uid());
        assert_eq!(record["k8s.container.name"], "app");
    }
    stop_and_audit(&bed, agent);
}

#[test]
fn a_restart_begins_its_own_files_anew_and_goes_on_in_those_of_volumes() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/tmp/*.log, /data/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let data = pod.empty_dir("data").unwrap();
    for life in 0..3 {
        let script = format!("echo root {life} >/tmp/a.log; echo volume {life} >>/data/b.log");
        let app = pod.start(&shell(&script).volume(&data, "/data")).unwrap();
        app.wait_ended().unwrap();
    }
    let records = wait_for_count(&bed, 6);
    assert_eq!(of_file(&records, "/data/b.log"), numbered("volume", 3));
    let mut of_root = of_file(&records, "/tmp/a.log");
    of_root.sort();
    assert_eq!(of_root, numbered("root", 3));
    // What is known of them outlives the agent.
    agent.stop();
    let agent = Agent::start(&bed);
    let last = pod.start(&shell("echo volume 3 >>/data/b.log").volume(&data, "/data")).unwrap();
    last.wait_ended().unwrap();
    let records = wait_for_count(&bed, 7);
    assert_eq!(of_file(&records, "/data/b.log"), numbered("volume", 4));
    stop_and_audit(&bed, agent);
}

#[test]
fn what_is_unread_of_a_removed_container_is_read_to_its_end() {
    const LINES: usize = 20_000;
    let node = Containerd::start().unwrap();
    let bed = bed(
        &node,
        &log_config(false, "/tmp/*.log, /data/*.log", "  limits: {bytesPerSecond: 50KiB}\n"),
    );
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let data = pod.empty_dir("data").unwrap();
    let script = format!("seq 0 {} | sed 's/^/line /' | tee /tmp/a.log >/data/b.log", LINES - 1);
    let app = pod.start(&shell(&script).volume(&data, "/data")).unwrap();
    let paths = ["/tmp/a.log", "/data/b.log"];
    let read = || {
        let records = bed.records();
        paths.map(|path| of_file(&records, path).len())
    };
    // A root that is removed before anybody opened its files takes them along.
    wait_until("first records of both", read, |it| !it.contains(&0));
    app.wait_ended().unwrap();
    let before = read();
    app.remove().unwrap();
    pod.delete().unwrap();
    assert!(!before.contains(&LINES), "something of both is unread when they are removed");
    wait_until("all records", read, |it| it.iter().all(|count| *count >= LINES));
    let records = bed.records();
    for path in paths {
        assert_eq!(of_file(&records, path), numbered("line", LINES), "{path}");
    }
    wait_until("no source any more", || agent.metric("logferry_sources"), |it| *it == 0.0);
    stop_and_audit(&bed, agent);
}

#[test]
fn a_volume_that_is_mounted_is_read_and_let_go_when_its_pod_ends() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/data/*.log", "  rotation: {lateWrites: 1s}\n"));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    // As the kubelet does for an emptyDir in memory.
    let data = Tmpfs::mount(pod.empty_dir("data").unwrap(), 1 << 20);
    for life in 0..3 {
        let (begin, end) = (life * 1000, life * 1000 + 999);
        let script = format!("for i in $(seq {begin} {end}); do echo line $i; done >>/data/a.log");
        let app = pod.start(&shell(&script).volume(data.path(), "/data")).unwrap();
        app.wait_ended().unwrap();
        let records = wait_for_count(&bed, end + 1);
        assert_eq!(of_file(&records, "/data/a.log"), numbered("line", end + 1));
        // Let go between two lives, and gone on with.
        wait_until("no source", || agent.metric("logferry_sources"), |it| *it == 0.0);
    }
    pod.remove().unwrap();
    // Fails if the agent keeps it busy.
    data.unmount();
    stop_and_audit(&bed, agent);
}

#[test]
fn what_two_containers_see_is_read_once() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/data/*.log, /shared/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let data = pod.empty_dir("data").unwrap();
    let writer = shell(
        "for i in $(seq 0 99); do echo line $i >>/data/a.log; usleep 10000; done; sleep 1000",
    );
    pod.start(&writer.volume(&data, "/data")).unwrap();
    let reader = Program::new("sidecar", &["sleep", "1000"]).volume(&data, "/shared");
    let sidecar = pod.start(&reader).unwrap();
    sidecar.stop(0).unwrap();
    sidecar.remove().unwrap();
    let records = wait_for_count(&bed, 100);
    assert_eq!(of_file(&records, "/data/a.log"), numbered("line", 100));
    stop_and_audit(&bed, agent);
}

#[test]
fn no_link_and_no_name_leads_to_a_file_of_the_host() {
    let node = Containerd::start().unwrap();
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("x.log"), "secret\n").unwrap();
    let bed =
        bed(&node, &log_config(false, "/tmp/*.log, /data/*.log, '/way/*.log', /host/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let data = pod.empty_dir("data").unwrap();
    let secret_path = secret.path().display();
    let script = format!(
        "ln -s {secret_path}/x.log /tmp/absolute.log; ln -s {secret_path}/x.log /data/volume.log; \
         ln -s ../../../../../../../../../../../../../../{secret_path}/x.log /tmp/up.log; ln -s {secret_path} /way; \
         ln -s /proc/1/root{secret_path}/x.log /tmp/proc.log; ln -s /host/x.log /tmp/host.log; mkfifo /tmp/fifo.log; \
         ln -s loop.log /tmp/loop.log; echo good >/tmp/good.log; touch /tmp/ready; sleep 1000"
    );
    let app =
        pod.start(&shell(&script).volume(&data, "/data").volume(secret.path(), "/host")).unwrap();
    wait_ready(&app);
    // A folder that becomes a link while it is watched.
    app.read(&[
        "sh",
        "-c",
        &format!("mkdir /tmp/d; rm -r /data/*; ln -s {secret_path} /data/sub.log"),
    ])
    .unwrap();
    wait_for_count(&bed, 1);
    assert_eq!(bed.bodies(), ["good"]);
    let said = agent.stderr();
    let is_refusal = |it: &str| {
        it.contains("shop/web-0/app:/host") && it.contains("lies in what is mounted at /host")
    };
    assert_eq!(said.lines().filter(|it| is_refusal(it)).count(), 1, "{said}");
    stop_and_audit(&bed, agent);
}

#[test]
fn only_an_administrators_word_opens_a_folder_of_the_host_that_a_pod_mounts() {
    let node = Containerd::start().unwrap();
    let host = tempfile::tempdir().unwrap();
    let fields = format!("      followLinksInto: ['{}']\n", host.path().display());
    let bed = bed(&node, &log_config(true, "/host/*.log", &fields));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let script = "echo seen >/host/x.log; ln -s /etc/passwd /host/y.log; sleep 1000";
    pod.start(&shell(script).volume(host.path(), "/host")).unwrap();
    let records = wait_for_count(&bed, 1);
    assert_eq!(of_file(&records, "/host/x.log"), ["seen"]);
    stop_and_audit(&bed, agent);
}

#[test]
fn a_logconfig_of_a_namespace_sees_no_other_pods() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/tmp/*.log", ""));
    let agent = Agent::start(&bed);
    let other = node.pod("bank", "web-0").host_network().run().unwrap();
    other.start(&shell("echo theirs >/tmp/a.log")).unwrap().wait_ended().unwrap();
    let own = pod(&node, "web-0");
    own.start(&shell("echo ours >/tmp/a.log")).unwrap().wait_ended().unwrap();
    wait_for_count(&bed, 1);
    assert_eq!(bed.bodies(), ["ours"]);
    stop_and_audit(&bed, agent);
}

#[test]
fn containers_that_live_for_a_moment_arrive_whole() {
    const COUNT: usize = 20;
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/tmp/*.log, /data/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "job-0");
    let data = pod.empty_dir("data").unwrap();
    for number in 0..COUNT {
        let script = format!(
            "echo root {number} >/tmp/a.log; echo volume {number} >>/data/b.log; usleep 50000"
        );
        // As the kubelet does, which removes what has ended only when there are more of a name, or the pod goes.
        pod.start(&shell(&script).volume(&data, "/data")).unwrap().wait_ended().unwrap();
    }
    let records = wait_for_count(&bed, 2 * COUNT);
    let mut of_root = of_file(&records, "/tmp/a.log");
    of_root.sort_by_key(|it| it[5..].parse::<u32>().unwrap());
    assert_eq!(of_root, numbered("root", COUNT));
    assert_eq!(of_file(&records, "/data/b.log"), numbered("volume", COUNT));
    stop_and_audit(&bed, agent);
}

#[test]
fn known_files_are_read_while_the_runtime_is_away_and_new_ones_once_it_is_back() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "/tmp/*.log", "      streams: [stdout]\n"));
    node.kill().unwrap();
    let agent = Agent::start(&bed);
    wait_until(
        "it is said",
        || agent.stderr(),
        |it| it.contains("the container runtime does not answer"),
    );
    node.start_again().unwrap();
    let pod = pod(&node, "web-0");
    let write = "echo 0 >/tmp/a.log; until [ -e /proc/1/fd/9 ]; do usleep 100000; echo tick >>/tmp/a.log; done";
    pod.start(&shell(write)).unwrap();
    wait_until("first records", || bed.records().len(), |it| *it > 2);
    node.kill().unwrap();
    let before = bed.records().len();
    wait_until("more records", || bed.records().len(), |it| *it > before + 5);
    node.start_again().unwrap();
    let second = Program::new("second", &["sh", "-c", "echo second >/tmp/b.log"]);
    pod.start(&second).unwrap().wait_ended().unwrap();
    let has_second = |it: &Vec<Value>| of_file(it, "/tmp/b.log") == ["second"];
    wait_until("the new container's file", || bed.records(), has_second);
    let said = agent.stderr().matches("the container runtime does not answer").count();
    assert!(said <= 4, "said once each time, and for each reason: {said}");
    stop_and_audit(&bed, agent);
}

#[test]
fn a_file_that_the_container_rotates_is_one_source() {
    let node = Containerd::start().unwrap();
    let fields = "  multiline: {begin: '^>'}\n";
    let bed = bed(&node, &log_config(false, "/tmp/a.log", fields));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    // The first is known before it is rotated.
    let script = "for i in $(seq 0 9); do echo \">$i\" >>/tmp/a.log; echo more >>/tmp/a.log; \
                  [ $i = 0 ] && sleep 2 || usleep 300000; mv /tmp/a.log /tmp/a.log.1; done; sleep 1000";
    pod.start(&shell(script)).unwrap();
    let records = wait_for_count(&bed, 10);
    let want: Vec<String> = (0..10).map(|it| format!(">{it}\nmore")).collect();
    assert_eq!(of_file(&records, "/tmp/a.log"), want);
    stop_and_audit(&bed, agent);
}

/// A part of a volume, where the kubelet mounts it for a container (`subPath`): a folder or a file.
fn sub_path(node: &Containerd, pod: &Pod<'_>, volume: &Path, part: &str, number: u32) -> Mount {
    let name = volume.file_name().unwrap().to_str().unwrap();
    let parts = format!("pods/{}/volume-subpaths/{name}/app/{number}", pod.uid());
    Mount::bind(&volume.join(part), node.kubelet_folder().join(parts))
}

#[test]
fn parts_of_a_volume_are_read_beneath_a_root_that_nobody_can_write_to_and_let_go() {
    const LINES: usize = 2_000;
    let node = Containerd::start().unwrap();
    let fields = "  rotation: {lateWrites: 1s}\n";
    let bed = bed(&node, &log_config(false, "'/logs/**/*.log', /app/one.log, /tmp/*.log", fields));
    let agent = Agent::start(&bed);
    let pod = pod(&node, "web-0");
    let data = Tmpfs::mount(pod.empty_dir("data").unwrap(), 1 << 20);
    fs::create_dir_all(data.path().join("web/old")).unwrap();
    fs::write(data.path().join("web/old/a.log"), "old\n").unwrap();
    // Not in the part.
    fs::write(data.path().join("other.log"), "other\n").unwrap();
    fs::write(data.path().join("one.log"), "").unwrap();
    let folder = sub_path(&node, &pod, data.path(), "web", 0);
    let file = sub_path(&node, &pod, data.path(), "one.log", 1);
    let script = format!(
        "touch /tmp/no.log && exit 9; for i in $(seq 0 {}); do echo line $i; done >/logs/b.log; echo one >>/app/one.log",
        LINES - 1
    );
    let program = shell(&script).read_only_root();
    let program = program.volume(folder.path(), "/logs").volume(file.path(), "/app/one.log");
    let app = pod.start(&program).unwrap();
    assert_eq!(app.wait_ended().unwrap().exit_code, 0, "the root cannot be written to");
    let records = wait_for_count(&bed, LINES + 2);
    assert_eq!(of_file(&records, "/logs/b.log"), numbered("line", LINES));
    assert_eq!(of_file(&records, "/logs/old/a.log"), ["old"]);
    assert_eq!(of_file(&records, "/app/one.log"), ["one"]);
    let no_source = || agent.metric("logferry_sources");
    wait_until("no source", no_source, |it| *it == 0.0);
    // The next life of the container goes on in both.
    let next = shell("echo more >>/logs/b.log; echo two >>/app/one.log").read_only_root();
    let next = next.volume(folder.path(), "/logs").volume(file.path(), "/app/one.log");
    pod.start(&next).unwrap().wait_ended().unwrap();
    let records = wait_for_count(&bed, LINES + 4);
    assert_eq!(of_file(&records, "/app/one.log"), ["one", "two"]);
    wait_until("no source", no_source, |it| *it == 0.0);
    pod.remove().unwrap();
    // Fails if the agent keeps one of them busy.
    folder.unmount();
    file.unmount();
    data.unmount();
    stop_and_audit(&bed, agent);
}
