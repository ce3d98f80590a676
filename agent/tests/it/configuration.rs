//! Bad configurations, as `check` and `run` speak of them; and the version.

use std::fs;
use std::path::Path;

use crate::kit::{Agent, Bed, Run, files, queue_sink};

/// Five problems in two files.
const BAD: [(&str, &str); 2] = [
    (
        "a.yaml",
        "apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata:
  name: default
spec:
  queue:
    path: relative/path
  batch:
    bytes: 64M
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata:
  name: web
spec:
  sinc: default
  source:
    files:
      include: [/var/log/*.log]
",
    ),
    (
        "b.yaml",
        "apiVersion: logferry.dev/v1alpha1
kind: Agent
metadata:
  name: agent
spec:
  shutdownGrace: 10
---
kind: [
",
    ),
];

fn write_bad(bed: &Bed) -> String {
    let folder = bed.path("bad");
    fs::create_dir(&folder).unwrap();
    for (name, text) in BAD {
        fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

const WRONG: [&str; 5] = ["relative/path", "64M", "sinc", "shutdownGrace", "b.yaml:"];

#[test]
fn check_lists_all_problems_at_once() {
    let bed = Bed::new();
    let run = Run::of(&["check", "--file", &write_bad(&bed)]);
    assert_eq!(run.code, Some(2), "{run:?}");
    for wrong in WRONG {
        assert!(run.stdout.contains(wrong), "{wrong}: {}", run.stdout);
    }
    for line in run.stdout.lines() {
        assert!(line.contains(".yaml:"), "each problem has its place: {line}");
        assert!(line.contains("; "), "each problem has its cure: {line}");
    }
}

#[test]
fn check_lists_problems_as_json() {
    let bed = Bed::new();
    let run = Run::of(&["check", "--output", "json", "--file", &write_bad(&bed)]);
    assert_eq!(run.code, Some(2), "{run:?}");
    let problems = run.json();
    let problems = problems.as_array().unwrap();
    assert!(problems.len() >= WRONG.len(), "{problems:#?}");
    for problem in problems {
        assert!(problem["place"]["line"].as_u64().is_some_and(|it| it > 0), "{problem}");
        assert!(problem["why"].as_str().is_some_and(|it| !it.is_empty()), "{problem}");
    }
}

#[test]
fn run_refuses_a_bad_configuration_and_makes_nothing() {
    let bed = Bed::new();
    let run = Run::of(&["run", "--file", &write_bad(&bed)]);
    assert_eq!(run.code, Some(2), "{run:?}");
    for wrong in WRONG {
        assert!(run.stderr.contains(wrong), "{wrong}: {}", run.stderr);
    }
    bed.configure(&[&bed.agent("  nonsense: 1\n"), &queue_sink(""), &files("files", "*", "")]);
    let (status, said) = Agent::spawn(&bed).wait_ended();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(!bed.path("state").try_exists().unwrap() && !bed.queue().try_exists().unwrap());
}

#[test]
fn a_good_configuration_is_shown_as_what_it_comes_to() {
    let bed = Bed::new();
    bed.configure_files();
    let config = bed.config();
    let run = Run::of(&["check", "--file", config.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("ok: 1 LogConfigs, 1 LogSinks"), "{}", run.stdout);
    let run = Run::of(&["check", "--output", "json", "--file", config.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let kinds: Vec<String> = run
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn the_examples_that_ship_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "yaml") {
            let run = Run::of(&["check", "--file", path.to_str().unwrap()]);
            assert_eq!(run.code, Some(0), "{run:?}");
        }
    }
}

/// Resources of a cluster, which has a LogSink.
#[test]
fn the_examples_of_a_cluster_are_good_beside_a_sink() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let sink = folder.join("minimal.yaml");
    for entry in fs::read_dir(folder.join("cluster")).unwrap() {
        let path = entry.unwrap().path();
        let files = [sink.to_str().unwrap(), path.to_str().unwrap()];
        let run = Run::of(&["check", "--file", files[0], "--file", files[1]]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
}

#[test]
fn the_configuration_of_the_manifests_is_good() {
    let bed = Bed::new();
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests/logferry.yaml");
    let manifests = fs::read_to_string(manifests).unwrap();
    let (_, config) = manifests.split_once("\n  agent.yaml: |\n").unwrap();
    let lines = config.lines().take_while(|it| it.is_empty() || it.starts_with("    "));
    let config =
        lines.map(|it| it.strip_prefix("    ").unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let path = bed.path("manifests.yaml");
    fs::write(&path, config).unwrap();
    let run = Run::of(&["check", "--file", path.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("ok: 1 LogConfigs, 1 LogSinks"), "{}", run.stdout);
}

#[test]
fn crds_prints_the_definitions_that_the_chart_has() {
    let run = Run::of(&["crds"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/logferry/files/crds");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let definition = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(run.stdout.contains(&format!("---\n{definition}")), "{definition}");
        count += 1;
    }
    assert_eq!(run.stdout.matches("kind: CustomResourceDefinition\n").count(), count);
}

#[test]
fn files_that_are_not_there_and_wrong_usage_are_refused() {
    for arguments in [
        &["check", "--file", "/nonexistent/agent.yaml"][..],
        &["run", "--file", "/nonexistent/agent.yaml"],
        &["run"],
        &["tail"],
        &["nonsense"],
        &["tail", "--queue", "/tmp", "--context", "not an id"],
    ] {
        let run = Run::of(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert!(!(run.stderr.is_empty() && run.stdout.is_empty()), "{arguments:?} says nothing");
    }
}

#[test]
fn version_tells_the_formats() {
    let run = Run::of(&["version", "--output", "json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let version = run.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["queue_format"].is_u64() && version["checkpoint_format"].is_u64());
    let run = Run::of(&["version"]);
    assert_eq!(run.stdout, format!("logferry {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn convert_prints_what_objects_of_alibaba_come_to_and_refuses_what_would_do_harm() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/aliyun/tests/objects");
    let object = |name: &str| objects.join(name).to_str().unwrap().to_owned();
    let ingress = object("6-nginx-ingress.yaml");
    let run = Run::of(&["convert", "-f", &ingress]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("# spec.productCode: not applicable"), "{}", run.stdout);
    let sink = "{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: default}, spec: {blackhole: {}}}\n";
    let config = dir.path().join("converted.yaml");
    fs::write(&config, format!("{sink}{}", run.stdout)).unwrap();
    let check = Run::of(&["check", "-f", config.to_str().unwrap()]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let refused =
        Run::of(&["convert", "-f", &ingress, "-f", &object("refused-contradictory.yaml")]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("shop/contradictory: refused"), "{}", refused.stderr);
    assert!(refused.stdout.starts_with(&run.stdout), "{}", refused.stdout);
    let twice =
        Run::of(&["convert", "-f", &ingress, "-f", &object("../objects/6-nginx-ingress.yaml")]);
    assert!(twice.stdout.contains("rename one"), "{}", twice.stdout);
    assert_eq!(Run::of(&["convert", "-f", config.to_str().unwrap()]).code, Some(2));
}
