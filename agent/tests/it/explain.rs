//! `explain`: why something is collected or not.

use std::fs;

use crate::kit::{Agent, Bed, Run, append, containers, queue_sink, resource, wait_until};

const POD: &str = "pods/shop_web-0_u1/app";

/// Files `*.log` but `secret*`, and the containers of the namespace `shop`.
fn bed() -> Bed {
    let bed = Bed::new();
    let config = "  source:\n    files:\n      include: ['{dir}/logs/*.log']\n      \
                  exclude: ['{dir}/logs/secret*']\n";
    let pods = containers("pods", "      namespaces: {include: [shop]}\n", "");
    let config = resource("LogConfig", "files", config);
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config, &pods]);
    append(&bed.log("app.log"), b"one\ntwo\n");
    append(&bed.log("secret.log"), b"no\n");
    append(&bed.log("app.txt"), b"no\n");
    for pod in [POD, "pods/bank_web-0_u2/app"] {
        fs::create_dir_all(bed.path(pod)).unwrap();
        append(&bed.path(pod).join("0.log"), b"2026-01-02T03:04:05Z stdout F x\n");
    }
    bed
}

fn explain(bed: &Bed, what: &str, output: &str) -> Run {
    let config = bed.config();
    Run::of(&["explain", "--output", output, "--file", config.to_str().unwrap(), what])
}

#[test]
fn what_is_collected_and_what_is_not_is_said_with_the_reason() {
    let bed = bed();
    let agent = Agent::start(&bed);
    bed.wait_for_records(3);
    let container = bed.path(POD).join("0.log");
    let other = bed.path("pods/bank_web-0_u2/app/0.log");
    let path = |name| bed.log(name).to_str().unwrap().to_owned();
    for (what, code, says) in [
        (
            path("app.log"),
            0,
            &["LogConfig files: selects it: 8 bytes, readable", "read to 8 of 8"][..],
        ),
        (path("secret.log"), 1, &["LogConfig files: does not select it: files.exclude matches"]),
        (path("app.txt"), 1, &["LogConfig files: does not select it: none of files.include"]),
        (
            "shop/web-0".to_owned(),
            0,
            &["LogConfig pods: selects it", "shop/web-0/app/0", "read to"],
        ),
        ("bank/web-0".to_owned(), 1, &["pods: does not select it: namespace bank is not selected"]),
        (container.to_str().unwrap().to_owned(), 0, &["LogConfig pods: selects it", "read to"]),
        (other.to_str().unwrap().to_owned(), 1, &["namespace bank is not selected"]),
    ] {
        let run = wait_until(
            &what,
            || explain(&bed, &what, "text"),
            |run| run.code == Some(code) && says.iter().all(|it| run.stdout.contains(it)),
        );
        let is_read = run.stdout.contains("collected by LogConfig");
        assert_eq!(is_read, code == 0, "{what}: {run:?}");
        let json = explain(&bed, &what, "json");
        assert_eq!(json.code, Some(code), "{what}");
        assert_eq!(
            json.json()["sources"].as_array().unwrap().len(),
            usize::from(is_read),
            "{what}"
        );
    }
    agent.stop();
}

#[test]
fn without_a_running_agent_the_configuration_alone_is_explained() {
    let bed = bed();
    let path = bed.log("app.log");
    let run = explain(&bed, path.to_str().unwrap(), "text");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("selects it: 8 bytes, readable"), "{run:?}");
    assert!(run.stdout.contains("is it running?"), "{run:?}");
}
