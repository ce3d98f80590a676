//! Containers' logs, as the kubelet and the runtimes write them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use benches::layout::Layout;
use benches::load::{Limits, LoadSpec};
use benches::shape::Shape;
use benches::wrap::Format;

use crate::kit::{
    Agent, Bed, POD, Writer, append, assert_exact, body, containers, load, now_ns, queue_sink,
    rotation, sleep_ms, wait_until,
};

/// A load of pods; long lines come in parts, those of stdout and stderr mixed.
fn pods_load(bed: &Bed, format: Format, shape: Shape) -> LoadSpec {
    let spec = load(&bed.path("pods"), 6);
    LoadSpec { shape, format, layout: Layout::Pods, stderr_share: 0.3, ..spec }
}

#[test]
fn cri_lines_arrive_once_and_in_order_across_rotation_under_load() {
    let bed = Bed::new();
    bed.configure_pods();
    let mut agent = Agent::start(&bed);
    let mut spec = pods_load(&bed, Format::Cri, Shape::Nginx);
    spec.rotation = rotation(64 << 10);
    spec.limits = Limits { time_ns: Some(4_000_000_000), ..Limits::default() };
    let truth = Writer::start(&spec).finish();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn parts_of_long_lines_are_joined_across_rotation() {
    for format in [Format::Cri, Format::Docker] {
        let bed = Bed::new();
        bed.configure_pods();
        let mut agent = Agent::start(&bed);
        let mut spec = pods_load(&bed, format, Shape::Fixed(40_000));
        spec.rotation = rotation(300_000);
        spec.rate = 4_000_000;
        spec.limits = Limits { bytes: Some(8_000_000), ..Limits::default() };
        let truth = Writer::start(&spec).finish();
        let verdict = bed.wait_for_truth(&mut agent, &truth);
        assert_exact(&verdict);
        assert_eq!(verdict.records, verdict.lines, "each line is one record, whatever its parts");
        agent.stop();
    }
}

#[test]
fn docker_lines_arrive_once_and_in_order() {
    let bed = Bed::new();
    bed.configure_pods();
    let mut agent = Agent::start(&bed);
    let mut spec = pods_load(&bed, Format::Docker, Shape::Json);
    spec.rotation = rotation(64 << 10);
    spec.limits = Limits { lines: Some(4000), ..Limits::default() };
    let truth = Writer::start(&spec).finish();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn records_say_which_container_and_restart_they_are_of() {
    let bed = Bed::new();
    bed.configure_pods();
    fs::create_dir_all(bed.path(POD)).unwrap();
    let (first, second) = (bed.path(POD).join("0.log"), bed.path(POD).join("3.log"));
    append(&first, b"2026-01-02T03:04:05.000000006Z stdout F before\n");
    append(&second, b"2026-01-02T03:04:06.5+01:00 stderr P af\n");
    append(&second, b"2026-01-02T03:04:07.5+01:00 stderr F ter\n");
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2);
    for (restart, stream, body, time, path) in [
        (0, "stdout", "before", "2026-01-02T03:04:05.000000006Z", &first),
        (3, "stderr", "after", "2026-01-02T02:04:06.5Z", &second),
    ] {
        let record = records.iter().find(|it| it["body"] == body).unwrap();
        assert_eq!(record["k8s.namespace.name"], "shop");
        assert_eq!(record["k8s.pod.name"], "web-0");
        assert_eq!(record["k8s.pod.uid"], "11111111-2222-4333-8444-555555555555");
        assert_eq!(record["k8s.container.name"], "nginx");
        assert_eq!(record["k8s.container.restart_count"], restart);
        assert_eq!(record["log.iostream"], stream);
        assert_eq!(record["log.file.path"], path.to_str().unwrap());
        assert_eq!(record["log.cursor"], 0);
        assert_eq!(record["tenant"], "shop", "a namespace is its own tenant");
        assert_eq!(record["time"], time);
    }
    agent.stop();
}

#[test]
fn a_stream_that_is_not_wanted_is_counted_as_filtered() {
    let bed = Bed::new();
    let stdout_only = containers("pods", "      streams: [stdout]\n", "");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &stdout_only]);
    fs::create_dir_all(bed.path(POD)).unwrap();
    let (out, err) = ("2026-01-02T03:04:05Z stdout F out\n", "2026-01-02T03:04:05Z stderr F err\n");
    append(&bed.path(POD).join("0.log"), format!("{out}{err}{out}{err}{err}").as_bytes());
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["out", "out"]);
    wait_until(
        "all bytes accounted for",
        || {
            let metrics = agent.metrics();
            let bytes = |name| metrics.sum(name).unwrap_or(0.0);
            (bytes("logferry_delivered_bytes_total"), bytes("logferry_filtered_bytes_total"))
        },
        |it| *it == (2.0 * out.len() as f64, 3.0 * err.len() as f64),
    );
    agent.stop();
}

/// Notifications of writes that never pause must not hold up those of new folders.
#[test]
fn new_pods_are_found_while_others_write_all_the_time() {
    const NEW_PODS: usize = 20;
    let bed = Bed::new();
    bed.configure_pods();
    let line = b"2026-01-02T03:04:05Z stdout F busy\n";
    let busy: Vec<PathBuf> =
        (0..4).map(|number| bed.path(format!("pods/busy_web-{number}_u{number}/app"))).collect();
    for folder in &busy {
        fs::create_dir_all(folder).unwrap();
        append(&folder.join("0.log"), line);
    }
    let agent = Agent::start(&bed);
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    let writer = std::thread::spawn(move || {
        while !told.load(Ordering::Relaxed) {
            busy.iter().for_each(|folder| append(&folder.join("0.log"), line));
            sleep_ms(1);
        }
    });
    let look = || {
        let run = bed.tail(&["--all", "--namespace", "new"]);
        run.json_lines().iter().map(body).collect::<Vec<String>>()
    };
    let mut want = Vec::new();
    let mut slowest_ms = 0;
    for number in 0..NEW_PODS {
        let folder = bed.path(format!("pods/new_web-{number}_v{number}/app"));
        let start_ns = now_ns();
        fs::create_dir_all(&folder).unwrap();
        let text = format!("2026-01-02T03:04:05Z stdout F new {number}\n");
        append(&folder.join("0.log"), text.as_bytes());
        want.push(format!("new {number}"));
        wait_until("the new pod's line", look, |it| *it == want);
        slowest_ms = slowest_ms.max((now_ns() - start_ns) / 1_000_000);
    }
    println!("a new pod's first line was in the queue within {slowest_ms} ms");
    is_over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    agent.stop();
}

#[test]
fn containers_are_chosen_by_namespace_pod_and_container() {
    let bed = Bed::new();
    let chosen = containers(
        "pods",
        "      namespaces: {include: ['shop*'], exclude: [shop-test]}\n      \
               pods: {exclude: ['*-debug']}\n      containers: {include: [app]}\n",
        "",
    );
    bed.configure(&[&bed.agent(""), &queue_sink(""), &chosen]);
    for (folder, text) in [
        ("shop_web-0_u1/app", "wanted"),
        ("shop-eu_web-0_u2/app", "wanted too"),
        ("shop-test_web-0_u3/app", "namespace excluded"),
        ("bank_web-0_u4/app", "namespace not included"),
        ("shop_web-debug_u5/app", "pod excluded"),
        ("shop_web-1_u6/sidecar", "container not included"),
    ] {
        let folder = bed.path("pods").join(folder);
        fs::create_dir_all(&folder).unwrap();
        append(&folder.join("0.log"), format!("2026-01-02T03:04:05Z stdout F {text}\n").as_bytes());
    }
    let agent = Agent::start(&bed);
    bed.wait_for_records(2);
    agent.stop();
    let mut bodies = bed.bodies();
    bodies.sort();
    assert_eq!(bodies, ["wanted", "wanted too"]);
}
