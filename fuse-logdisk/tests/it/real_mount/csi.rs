//! The CSI driver, by calls in the kubelet's order, in others, and twice; and what pods notice of it.

mod left;
mod node;
mod told;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use logdisk::csi::message::{
    AccessMode, AccessType, Empty, GetPluginInfoResponse, Mode, MountVolume, NodeGetInfoResponse,
    NodePublishVolumeRequest, NodeUnpublishVolumeRequest, PluginInfo, ProbeResponse,
    RegistrationStatus,
};
use rustix::process::{Signal, kill_process};
use tonic::Code;

use self::node::Node;
use super::agent;
use crate::kit::{limited, wait_until};

const ID: &str = "csi-0123456789abcdef";

/// Writes a line as a container does that has no right at all.
fn write_as_nobody(file: &Path, line: &str) {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
    command.args(["--no-new-privs", "sh", "-c", "echo \"$0\" >> \"$1\"", line]).arg(file);
    assert!(command.status().expect("runs").success(), "{}", file.display());
}

#[test]
fn a_kubelet_registers_the_driver_publishes_and_unpublishes() {
    limited(120, || {
        let node = Node::start(&[]);
        let registry = node.path("registry/registration@logdisk.logferry.dev");
        let method = "/pluginregistration.Registration/GetInfo";
        let plugin: PluginInfo = node.ask_at(&registry, method, Empty {}).expect("answered");
        assert_eq!(
            (plugin.kind.as_str(), plugin.name.as_str()),
            ("CSIPlugin", "logdisk.logferry.dev")
        );
        assert_eq!(plugin.supported_versions, ["1.0.0"]);
        let endpoint = Path::new(&plugin.endpoint);
        let info: NodeGetInfoResponse =
            node.ask_at(endpoint, "/csi.v1.Node/NodeGetInfo", Empty {}).expect("answered");
        assert_eq!(info.node_id, "node1");
        let status = RegistrationStatus { plugin_registered: true, error: String::new() };
        let method = "/pluginregistration.Registration/NotifyRegistrationStatus";
        node.ask_at::<_, Empty>(&registry, method, status).expect("answered");
        let info: GetPluginInfoResponse =
            node.ask("Identity/GetPluginInfo", Empty {}).expect("answered");
        assert_eq!(info.name, "logdisk.logferry.dev");
        assert!(!info.vendor_version.is_empty());
        let probe: ProbeResponse = node.ask("Identity/Probe", Empty {}).expect("answered");
        assert_eq!(probe.ready, Some(true));
        node.ask::<_, Empty>("Identity/GetPluginCapabilities", Empty {}).expect("answered");
        let stage = node.ask::<_, Empty>("Node/NodeStageVolume", Empty {}).unwrap_err();
        assert_eq!(stage.code(), Code::Unimplemented);

        // As the kubelet does, of which folders above the target are there.
        let target = node.target(ID);
        fs::create_dir_all(target.parent().expect("as it must")).expect("ours");
        for folder in target.ancestors().skip(1).take(4).chain([node.path("").as_path()]) {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("ours");
        }
        node.publish(node.wanted(ID, &[("size", "16M"), ("mode", "strict")])).expect("mounted");
        write_as_nobody(&target.join("app.log"), "hello");
        assert_eq!(fs::read_to_string(target.join("app.log")).expect("as it must"), "hello\n");
        node.unpublish(ID).expect("unmounted");
        assert!(!target.try_exists().expect("as it must"), "{}", node.log());
        let kept = fs::read_to_string(node.store(ID).join("logs/app.log")).expect("still there");
        assert_eq!(kept, "hello\n", "nobody has it yet");
    });
}

#[test]
fn calls_that_come_twice_or_out_of_order_find_done_what_is_done() {
    limited(180, || {
        let node = Node::start(&[]);
        let wanted = |attributes: &[(&str, &str)]| node.wanted(ID, attributes);
        node.unpublish(ID).expect("it was never there");
        for _ in 0..2 {
            node.publish(wanted(&[("size", "16M")])).expect("mounted");
        }
        assert_eq!(node.supervisors().len(), 1, "{}", node.log());
        let elsewhere = node.path("elsewhere/mount").display().to_string();
        let mut another = wanted(&[("size", "16M")]);
        another.volume_context.insert("csi.storage.k8s.io/pod.uid".to_owned(), "2".to_owned());
        for other in [
            wanted(&[("size", "32M")]),
            wanted(&[("size", "16M"), ("full", "enospc")]),
            NodePublishVolumeRequest {
                target_path: elsewhere.clone(),
                ..wanted(&[("size", "16M")])
            },
            another,
        ] {
            assert_eq!(node.publish(other).unwrap_err().code(), Code::AlreadyExists);
        }
        let other = NodeUnpublishVolumeRequest { volume_id: ID.to_owned(), target_path: elsewhere };
        node.ask::<_, Empty>("Node/NodeUnpublishVolume", other).expect("nothing is there");
        assert!(node.is_mounted(&node.target(ID)), "another target is no reason to end this one");
        fs::write(node.target(ID).join("app.log"), "one\n").expect("as it must");
        for _ in 0..2 {
            node.unpublish(ID).expect("unmounted");
            assert!(!node.is_mounted(&node.target(ID)), "{}", node.log());
        }
        // What was not delivered is there when it comes back.
        node.publish(wanted(&[("size", "16M")])).expect("mounted");
        assert_eq!(
            fs::read_to_string(node.target(ID).join("app.log")).expect("as it was"),
            "one\n"
        );
        fs::remove_file(node.target(ID).join("app.log")).expect("as it must");
        node.unpublish(ID).expect("unmounted");

        // Many at once: of one volume one call does it, and the others are told to come again or find it done.
        let ids: Vec<String> = (0..12).map(|it| format!("csi-{}", it % 4)).collect();
        let requests = ids.iter().map(|id| node.wanted(id, &[("size", "4M")])).collect();
        for (id, outcome) in ids.iter().zip(node.publish_at_once(requests)) {
            let code = outcome.map_or_else(|it| it.code(), |()| Code::Ok);
            assert!(matches!(code, Code::Ok | Code::Aborted), "{id}: {code:?}; {}", node.log());
        }
        for id in &ids[..4] {
            node.publish(node.wanted(id, &[("size", "4M")])).expect("done");
            assert!(node.is_mounted(&node.target(id)), "{id}");
            node.unpublish(id).expect("unmounted");
            wait_until("nothing left", || node.has(id), |it| !it);
        }
    });
}

#[test]
fn a_bad_call_is_refused_with_its_reason_and_leaves_nothing() {
    limited(120, || {
        let node = Node::start(&["--max-size", "32M", "--memory", "40M", "--default-size", "16M"]);
        let good = || node.wanted(ID, &[]);
        let with = |change: &dyn Fn(&mut NodePublishVolumeRequest)| {
            let mut request = good();
            change(&mut request);
            request
        };
        let access = |access: AccessType| {
            with(&|it| {
                it.volume_capability.as_mut().expect("one").access_type = Some(access.clone())
            })
        };
        let mode = |mode: Mode| {
            let mode = Some(AccessMode { mode: mode.into() });
            with(&|it| it.volume_capability.as_mut().expect("one").access_mode = mode)
        };
        let mount = |fs_type: &str, flags: &[&str]| {
            let mount_flags = flags.iter().map(|it| (*it).to_owned()).collect();
            access(AccessType::Mount(MountVolume { fs_type: fs_type.to_owned(), mount_flags }))
        };
        let without = |key: &str| with(&|it| drop(it.volume_context.remove(key)));
        for (request, why) in [
            (with(&|it| it.volume_id.clear()), "volume_id is missing"),
            (with(&|it| it.volume_id = "../x".to_owned()), "must be 128 letters"),
            (with(&|it| it.target_path.clear()), "target_path is missing"),
            (with(&|it| it.target_path = "mount".to_owned()), "no absolute path"),
            (with(&|it| it.volume_capability = None), "volume_capability is missing"),
            (with(&|it| it.readonly = true), "nobody could write"),
            (access(AccessType::Block(Empty {})), "no block device"),
            (mount("ext4", &[]), "fsType \"ext4\""),
            (mount("", &["noatime"]), "mount options"),
            (mode(Mode::Unknown), "no access mode"),
            (mode(Mode::MultiNodeMultiWriter), "MultiNodeMultiWriter"),
            (mode(Mode::SingleNodeReaderOnly), "SingleNodeReaderOnly"),
            (without("csi.storage.k8s.io/pod.name"), "podInfoOnMount: true"),
            (without("csi.storage.k8s.io/pod.uid"), "podInfoOnMount: true"),
            (without("csi.storage.k8s.io/ephemeral"), "podInfoOnMount: true"),
            (node.wanted(ID, &[("csi.storage.k8s.io/ephemeral", "false")]), "and is no claim"),
            (node.wanted(ID, &[("size", "64M")]), "the driver's --max-size"),
            (node.wanted(ID, &[("colour", "red")]), "volumeAttributes.colour"),
        ] {
            let status = node.publish(request).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains(why), "{status:?} instead of {why}");
        }
        let end = NodeUnpublishVolumeRequest::default();
        let status = node.ask::<_, Empty>("Node/NodeUnpublishVolume", end).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(!node.has(ID), "{}", node.log());
        // What fits once does not fit three times.
        node.publish(node.wanted("csi-1", &[])).expect("fits");
        node.publish(node.wanted("csi-2", &[])).expect("fits");
        let status = node.publish(good()).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains("8388608 bytes left of 41943040"), "{status:?}");
        node.unpublish("csi-1").expect("unmounted");
        node.publish(good()).expect("fits now");
    });
}

/// Writes lines without end, until its input ends; says how many, and never expects a failure.
const WRITER: &str = r#"
import os, select, sys, time
path = sys.argv[1]
file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
number = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    os.write(file, b"line %d\n" % number)
    if number % 100 == 0:
        os.fsync(file)
        os.stat(path)
    number += 1
    time.sleep(0.0002)
print(number)
"#;

/// An application. It is a process of its own: one that has a file of the mount open waits for the daemon, too, when it
/// starts another, and could not start it.
struct Writer(Child);

impl Writer {
    fn start(node: &Node, id: &str) -> Writer {
        let path = node.target(id).join("app.log");
        let mut command = Command::new("python3");
        command.args(["-c", WRITER]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let writer = Writer(command.spawn().expect("runs"));
        wait_until("its file", || path.try_exists().expect("as it must"), |it| *it);
        writer
    }

    /// All lines that it wrote.
    fn stop(mut self) -> Vec<String> {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().expect("ours");
        assert!(output.status.success(), "a write failed");
        let count: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
        (0..count).map(|number| format!("line {number}")).collect()
    }
}

/// Lines of the live file in the store.
fn collected(node: &Node, id: &str) -> Vec<String> {
    let text = fs::read_to_string(node.store(id).join("logs/app.log")).expect("there");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn applications_do_not_notice_that_the_driver_is_killed_or_replaced() {
    limited(180, || {
        for mode in ["writeback", "strict", "fast"] {
            let mut node = Node::start(&[]);
            node.publish(node.wanted(ID, &[("mode", mode)])).expect("mounted");
            let writer = Writer::start(&node, ID);
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(300));
                node.kill_driver();
                node.start_driver();
            }
            // The holder may be another one in between, while a supervisor is there.
            let gone_on = || node.log().matches("going on with a mount that is there").count();
            wait_until("a supervisor", gone_on, |it| *it == 3);
            node.start_holder();
            thread::sleep(Duration::from_secs(4));
            // As with `maxSurge`: the next is there before the one before is told to end.
            let next = node.spawn_driver();
            wait_until(
                "a driver that waits",
                || node.log(),
                |it| it.contains("waiting for the end"),
            );
            node.end_driver_before(next);
            thread::sleep(Duration::from_millis(300));
            node.publish(node.wanted(ID, &[("mode", mode)])).expect("it is there");
            let lines = writer.stop();
            node.unpublish(ID).expect("unmounted");
            assert!(lines.len() > 1000, "{}", lines.len());
            assert_eq!(collected(&node, ID), lines, "{mode}: {}", node.log());
            let gone_on = node.log().matches("going on with a mount that is there").count();
            assert_eq!(gone_on, 4, "{}", node.log());
        }
    });
}

#[test]
fn without_a_holder_the_next_driver_mounts_anew_what_was_written() {
    limited(120, || {
        let mut node = Node::without_holder();
        node.publish(node.wanted(ID, &[("mode", "strict")])).expect("mounted");
        fs::write(node.target(ID).join("app.log"), "kept\n").expect("as it must");
        node.kill_driver();
        let gone = || fs::read(node.target(ID).join("app.log")).is_err();
        wait_until("the end of the mount", gone, |it| *it);
        node.start_driver();
        node.publish(node.wanted(ID, &[("mode", "strict")])).expect("mounted");
        let kept = fs::read_to_string(node.target(ID).join("app.log")).expect("as it was");
        assert_eq!(kept, "kept\n");
    });
}

#[test]
fn a_driver_that_was_killed_in_the_middle_of_a_call_takes_up_what_is_there() {
    limited(300, || {
        let mut node = Node::start(&[]);
        for round in 0..12_u64 {
            let id = format!("csi-{round}");
            let request = node.wanted(&id, &[("size", "4M")]);
            let socket = node.path("csi.sock");
            // Earlier and earlier or later and later in the call, which takes some tens of milliseconds.
            let (asked, pause) = (request.clone(), Duration::from_millis(round * 7));
            let caller = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("as it must").block_on(async {
                    let client = cri::Client::new(&socket, Duration::from_secs(5));
                    let method = "/csi.v1.Node/NodePublishVolume";
                    drop(client.expect("as it must").call::<_, Empty>(method, asked).await);
                });
            });
            thread::sleep(pause);
            node.kill_driver();
            caller.join().expect("as it must");
            node.start_driver();
            let published = || node.publish(request.clone()).err();
            wait_until("published", published, Option::is_none);
            fs::write(node.target(&id).join("note.txt"), "x").expect("as it must");
            fs::remove_file(node.target(&id).join("note.txt")).expect("as it must");
            if round % 2 == 1 {
                node.kill_driver();
                node.start_driver();
            }
            wait_until("unpublished", || node.unpublish(&id).err(), Option::is_none);
            assert!(!node.is_mounted(&node.target(&id)), "{}", node.log());
        }
    });
}

#[test]
fn a_supervisor_that_is_killed_is_replaced_and_nobody_notices() {
    limited(120, || {
        let node = Node::start(&[]);
        node.publish(node.wanted(ID, &[])).expect("mounted");
        let writer = Writer::start(&node, ID);
        let before = node.supervisors();
        kill_process(before[0], Signal::KILL).expect("runs");
        let other = || node.supervisors();
        wait_until("another one", other, |it| it.len() == 1 && *it != before);
        thread::sleep(Duration::from_millis(300));
        let lines = writer.stop();
        node.unpublish(ID).expect("unmounted");
        assert_eq!(collected(&node, ID), lines, "{}", node.log());
    });
}
