//! What the driver tells of its volumes: metrics, probes, and what kubelets ask.

use std::fs;
use std::path::Path;

use logdisk::csi::message::{
    Empty, NodeCapability, NodeGetCapabilitiesResponse, NodeGetVolumeStatsRequest,
    NodeGetVolumeStatsResponse, RegistrationStatus, Unit, VolumeUsage,
};
use rustix::process::{Signal, kill_process};
use test_kit::{Place, Places};
use tonic::{Code, Status};

use super::node::Node;
use super::{ID, agent};
use crate::kit::{limited, wait_until};

static PLACES: Places = Places::new(192, 2, 32);

/// What a driver answers at a path; `None` if it does not.
fn get(place: Place, number: u16, path: &str) -> Option<(u16, String)> {
    let url = format!("http://{}:{}{path}", place.address, place.first_port + number);
    let answer = minreq::get(url).with_timeout(30).send().ok()?;
    Some((answer.status_code, answer.as_str().expect("text").to_owned()))
}

/// The value of one line of an exposition.
fn value(text: &str, series: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(series)?.strip_prefix(' '));
    line.map(|it| it.parse().expect("a number"))
}

fn listen(place: Place, number: u16) -> String {
    format!("{}:{}", place.address, place.first_port + number)
}

#[test]
fn metrics_say_of_each_volume_whose_it_is_and_what_it_did() {
    limited(300, || {
        let place = PLACES.take().expect("free");
        let node = Node::start(&["--memory", "64M", "--listen", &listen(place, 0)]);
        let metrics = || get(place, 0, "/metrics").map(|it| it.1).unwrap_or_default();
        let other = "csi-other";
        node.publish(node.wanted(ID, &[("size", "16M"), ("mode", "strict")])).expect("mounted");
        node.publish(node.wanted(other, &[("size", "8M"), ("mode", "strict")])).expect("mounted");
        fs::write(node.target(ID).join("app.log"), vec![b'x'; 5000]).expect("as it must");
        let series = |name: &str, id: &str| {
            let uid = format!("uid-of-{id}");
            format!("{name}{{namespace=\"shop\",pod=\"web-0\",uid=\"{uid}\",volume=\"logs\"}}")
        };
        let written = series("logdisk_written_bytes_total", ID);
        let text = wait_until("what was written", metrics, |it| value(it, &written) == Some(5000));
        assert_eq!(value(&text, &series("logdisk_written_bytes_total", other)), Some(0), "{text}");
        assert_eq!(value(&text, &series("logdisk_size_bytes", ID)), Some(16 << 20));
        assert_eq!(value(&text, &series("logdisk_supervisor_restarts_total", ID)), Some(0));
        assert_eq!(value(&text, "logdisk_volumes{state=\"mounted\"}"), Some(2));
        assert_eq!(value(&text, "logdisk_memory_limit_bytes"), Some(64 << 20));
        assert_eq!(value(&text, "logdisk_memory_promised_bytes"), Some(24 << 20));
        assert_eq!(value(&text, "logdisk_driver_serving"), Some(1));
        // Each name once, and in the document.
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/LOGDISK.md");
        let document = fs::read_to_string(document).expect("there");
        let types = text.lines().filter_map(|it| it.strip_prefix("# TYPE "));
        let mut names: Vec<&str> = types.map(|it| it.split(' ').next().expect("one")).collect();
        let count = names.len();
        names.dedup();
        assert!(count > 20 && names.len() == count, "{names:?}");
        for name in names {
            assert!(
                document.contains(&format!("| `{name}` |")),
                "{name} is not in docs/LOGDISK.md"
            );
        }

        let supervisors = node.supervisors();
        supervisors.iter().for_each(|it| kill_process(*it, Signal::KILL).expect("runs"));
        let restarts = series("logdisk_supervisor_restarts_total", ID);
        wait_until("another supervisor", metrics, |it| value(it, &restarts) == Some(1));
        node.publish(node.wanted(ID, &[("size", "16M"), ("mode", "strict")])).expect("mounted");

        node.unpublish(ID).expect("unmounted");
        let text = wait_until("what is left", metrics, |it| {
            value(it, "logdisk_leftover_bytes") == Some(5000)
        });
        assert_eq!(value(&text, "logdisk_volumes{state=\"leftover\"}"), Some(1), "{text}");
        assert_eq!(value(&text, &written), None, "of a pod that is gone: {text}");
        let agent = agent::start_in(&node.path(""), "run/stores/*/logs/**/*");
        wait_until("delivered", metrics, |it| value(it, "logdisk_leftover_bytes") == Some(0));
        assert_eq!(value(&metrics(), "logdisk_lost_bytes_total"), Some(0));
        drop(agent);
    });
}

#[test]
fn a_driver_is_ready_when_it_waits_its_turn_and_once_the_kubelet_has_registered_it() {
    limited(180, || {
        let place = PLACES.take().expect("free");
        let node = Node::start(&["--listen", &listen(place, 0)]);
        assert_eq!(get(place, 0, "/live").expect("answered").0, 200);
        let (code, why) = get(place, 0, "/ready").expect("answered");
        assert_eq!(code, 503, "{why}");
        let registry = node.path("registry/registration@logdisk.logferry.dev");
        let tell = |plugin_registered: bool, error: &str| {
            let method = "/pluginregistration.Registration/NotifyRegistrationStatus";
            let status = RegistrationStatus { plugin_registered, error: error.to_owned() };
            node.ask_at::<_, Empty>(&registry, method, status).expect("answered");
        };
        tell(true, "");
        assert_eq!(get(place, 0, "/ready").expect("answered").0, 200);
        tell(false, "another driver has this name");
        let (code, why) = get(place, 0, "/ready").expect("answered");
        assert_eq!(code, 503, "{why}");
        assert!(why.contains("another driver has this name"), "{why}");

        let mut next = node.spawn_driver_with(&["--listen", &listen(place, 1)]);
        let answered = || get(place, 1, "/ready");
        let ready = wait_until("the next driver", answered, Option::is_some);
        assert_eq!(ready, Some((200, "waiting for the end of the driver before\n".to_owned())));
        let (_, metrics) = get(place, 1, "/metrics").expect("answered");
        assert_eq!(value(&metrics, "logdisk_driver_serving"), Some(0), "{metrics}");
        next.kill().expect("runs");
        next.wait().expect("ours");
    });
}

#[test]
fn a_kubelet_is_told_what_a_volume_takes_of_its_budget() {
    limited(180, || {
        let node = Node::start(&[]);
        let told: NodeGetCapabilitiesResponse =
            node.ask("Node/NodeGetCapabilities", Empty {}).expect("answered");
        let kinds = told.capabilities.iter().map(|it| it.rpc.expect("of the node").kind());
        assert_eq!(kinds.collect::<Vec<_>>(), [NodeCapability::GetVolumeStats]);
        let ask = |id: &str, path: &Path| -> Result<NodeGetVolumeStatsResponse, Status> {
            let volume_path = path.display().to_string();
            let request = NodeGetVolumeStatsRequest { volume_id: id.to_owned(), volume_path };
            node.ask("Node/NodeGetVolumeStats", request)
        };
        let target = node.target(ID);
        assert_eq!(ask(ID, &target).unwrap_err().code(), Code::NotFound);
        node.publish(node.wanted(ID, &[("size", "16M"), ("mode", "strict")])).expect("mounted");
        let bytes = || -> VolumeUsage {
            let usage = ask(ID, &target).expect("answered").usage;
            let units: Vec<Unit> = usage.iter().map(VolumeUsage::unit).collect();
            assert_eq!(units, [Unit::Bytes, Unit::Inodes]);
            assert!(usage.iter().all(|it| it.total == it.used + it.available), "{usage:?}");
            usage[0]
        };
        let before = bytes();
        assert_eq!(before.total, 16 << 20);
        fs::write(target.join("app.log"), vec![b'x'; 1 << 20]).expect("as it must");
        let more = bytes().used - before.used;
        assert!((1 << 20..1 << 21).contains(&more), "{more} bytes more");
        assert_eq!(ask(ID, &node.path("elsewhere")).unwrap_err().code(), Code::NotFound);
        assert_eq!(ask("", &target).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(ask(ID, Path::new("")).unwrap_err().code(), Code::InvalidArgument);
        node.unpublish(ID).expect("unmounted");
        assert_eq!(ask(ID, &target).unwrap_err().code(), Code::NotFound, "only what is left of it");
    });
}
