//! Changes of the configuration while the agent runs.

use std::fs;

use benches::load::LoadSpec;
use rustix::process::Signal;

use crate::kit::{
    Agent, Bed, Writer, append, assert_exact, containers, files, load, queue_sink, rotation,
    wait_until,
};

fn reloads(agent: &Agent) -> f64 {
    agent.metric("logferry_config_reloads_total")
}

#[test]
fn a_change_is_put_in_force_without_a_restart() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"app one\n");
    append(&bed.log("new.txt"), b"new one\n");
    let mut agent = Agent::start(&bed);
    bed.wait_for_bodies(&["app one"]);
    let new = files("new", "*.txt", "");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "*.log", ""), &new]);
    bed.wait_for_bodies(&["app one", "new one"]);
    wait_until("the reload counted", || reloads(&agent), |it| *it == 1.0);
    // The same process still, and what it collected before it still collects.
    agent.assert_running();
    append(&bed.log("app.log"), b"app two\n");
    bed.wait_for_bodies(&["app one", "new one", "app two"]);
    // What is no longer wanted is no longer collected.
    bed.configure(&[&bed.agent(""), &queue_sink(""), &new]);
    wait_until("the second reload", || reloads(&agent), |it| *it == 2.0);
    append(&bed.log("app.log"), b"app three\n");
    append(&bed.log("new.txt"), b"new two\n");
    bed.wait_for_bodies(&["app one", "new one", "app two", "new two"]);
    agent.stop();
}

#[test]
fn a_change_of_words_only_changes_nothing() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    let text = fs::read_to_string(bed.config()).unwrap();
    fs::write(bed.config(), format!("# Only a comment.\n{text}")).unwrap();
    append(&bed.log("app.log"), b"one\n");
    bed.wait_for_bodies(&["one"]);
    // Longer than the agent takes to notice.
    crate::kit::sleep_ms(2500);
    assert_eq!(reloads(&agent), 0.0);
    assert!(!agent.stderr().contains("configuration changed"));
    agent.stop();
}

#[test]
fn a_bad_change_leaves_the_last_good_one_in_force_until_it_is_mended() {
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    let good = fs::read_to_string(bed.config()).unwrap();
    let bads = [
        ("unknown field", format!("{good}  sinc: default\n"), "sinc"),
        ("no YAML", good.replace("spec:", "spec: ["), "agent.yaml"),
    ];
    for (number, (what, bad, told)) in (1..).zip(bads) {
        fs::write(bed.config(), bad).unwrap();
        let bad = || agent.metric("logferry_config_bad");
        wait_until(&format!("{what}: bad"), bad, |it| *it == 1.0);
        assert_eq!(agent.metric("logferry_config_reload_failures_total"), f64::from(number));
        let (status, text) = agent.ready();
        assert_eq!(status, 200, "{what}: it goes on: {text}");
        assert!(text.contains("configuration: ") && text.contains(told), "{what}: {text}");
        append(&bed.log("app.log"), format!("while {what}\n").as_bytes());
        let count = usize::try_from(number).unwrap();
        assert_eq!(bed.wait_for_records(count)[count - 1]["body"], format!("while {what}"));
        fs::write(bed.config(), &good).unwrap();
        wait_until(&format!("{what}: mended"), bad, |it| *it == 0.0);
        assert_eq!(agent.ready(), (200, "ready\n".to_owned()));
    }
    assert_eq!(reloads(&agent), 0.0, "the good one was in force all the time");
    agent.assert_running();
    agent.stop();
}

#[test]
fn a_change_that_does_not_start_goes_back_to_the_last_good_one() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"one\n");
    let mut agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    fs::write(bed.path("a-file"), "").unwrap();
    let good = fs::read_to_string(bed.config()).unwrap();
    for lost in ["/state'", "/queue'"] {
        fs::write(bed.config(), good.replace(lost, "/a-file/below'")).unwrap();
        let bad = || agent.metric("logferry_config_bad");
        wait_until(lost, bad, |it| *it == 1.0);
        wait_until("the last good one", || agent.ready(), |it| it.0 == 200);
        let (_, text) = agent.ready();
        assert!(text.contains("a-file/below"), "{text}");
        append(&bed.log("app.log"), b"more\n");
        fs::write(bed.config(), &good).unwrap();
        wait_until("mended", bad, |it| *it == 0.0);
    }
    bed.wait_for_bodies(&["one", "more", "more"]);
    agent.assert_running();
    agent.stop();
    bed.assert_audit_clean();
}

/// Each reload begins all sources anew: what is counted of them must begin anew, too.
#[test]
fn gauges_of_sources_are_right_after_reloads() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 5m}\n");
    let start = |number: u32| {
        let agent_fields = format!("  checkpointInterval: {}ms\n", 100 + number);
        bed.configure(&[&bed.agent(&agent_fields), &queue_sink(""), &config]);
    };
    start(0);
    append(&bed.log("one.log"), b"one\nunfinished");
    append(&bed.log("two.log"), b"two\n");
    let agent = Agent::start(&bed);
    let gauges = || {
        let metrics = agent.metrics();
        let sum = |name| metrics.sum(name).unwrap_or(0.0);
        [sum("logferry_sources"), sum("logferry_open_files"), sum("logferry_lag_bytes")]
    };
    wait_until("before", gauges, |it| *it == [2.0, 2.0, 10.0]);
    for number in 1..=2 {
        start(number);
        wait_until("the reload", || reloads(&agent), |it| *it == f64::from(number));
    }
    wait_until("after", gauges, |it| *it == [2.0, 2.0, 10.0]);
    agent.stop();
}

#[test]
fn twenty_reloads_under_load_lose_and_double_nothing() {
    const RELOADS: u32 = 20;
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    let rotating = LoadSpec { rotation: rotation(128 << 10), ..load(&bed.path("logs"), 4) };
    let writer = Writer::start(&rotating);
    for number in 1..=RELOADS {
        let agent_fields = format!("  checkpointInterval: {}ms\n", 100 + number);
        let config = files("files", "*.log", "");
        bed.configure(&[&bed.agent(&agent_fields), &queue_sink(""), &config]);
        wait_until("the reload", || reloads(&agent), |it| *it == f64::from(number));
    }
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_hangup_puts_a_change_in_force_and_ends_nothing() {
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    append(&bed.log("new.txt"), b"one\n");
    agent.signal(Signal::HUP);
    agent.wait_said("hangup: looking at the configuration");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("new", "*.txt", "")]);
    agent.signal(Signal::HUP);
    bed.wait_for_bodies(&["one"]);
    agent.assert_running();
    assert!((reloads(&agent) - 1.0).abs() < 0.5);
    agent.stop();
}

#[test]
fn what_asks_for_labels_where_no_api_server_is_is_warned_of_once() {
    let bed = Bed::new();
    let labels = "      podSelector: {matchLabels: {app: web}}\n";
    let configure = |bytes: &str| {
        let web = containers("web", labels, "");
        let others = files("files", "*.log", &format!("  line: {{maxBytes: {bytes}}}\n"));
        bed.configure(&[&bed.agent(""), &queue_sink(""), &web, &others]);
    };
    configure("64KiB");
    let agent = Agent::start(&bed);
    let warned = "LogConfig web: spec.source.containers.podSelector: nobody tells labels";
    agent.wait_said(warned);
    configure("65KiB");
    wait_until("in force", || reloads(&agent), |it| *it == 1.0);
    assert_eq!(agent.stderr().matches(warned).count(), 1, "{}", agent.stderr());
    agent.stop();
}
