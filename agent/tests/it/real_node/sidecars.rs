//! Files that a pod's own agent collects are left to it, and nothing else is.

use node_kit::{Containerd, Pod, Program};

use super::files::{bed, log_config, of_file, shell, wait_for_count};
use super::stop_and_audit;
use crate::kit::{Agent, body};

/// What the operator lets a sidecar run with.
const CONFIG: &str = "
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec: {blackhole: {}}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {name: web}
spec: {tenant: shop, source: {files: {include: [/data/*.log]}}}
";
const ANNOTATION: &str = "sidecar.logferry.dev/config";

/// A container that writes its name into files that a sidecar would take, and into others.
fn write(pod: &Pod<'_>, volume: &std::path::Path, name: &str) {
    let script =
        format!("for it in /data/a.log /data/a.txt /tmp/a.log; do echo {name} >>$it; done");
    let app = pod.start(&shell(&script).volume(volume, "/data")).unwrap();
    app.wait_ended().unwrap();
}

#[test]
fn what_a_sidecar_collects_is_not_collected_twice_and_only_if_the_pod_has_one() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(false, "'/data/*', /tmp/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = |name: &str| node.pod("shop", name).host_network().annotation(ANNOTATION, CONFIG);
    // The annotation alone is nothing.
    let without = pod("without-0").run().unwrap();
    let volume = without.empty_dir("data").unwrap();
    write(&without, &volume, "without");
    let with = pod("with-0").run().unwrap();
    let volume = with.empty_dir("data").unwrap();
    let sidecar = Program::new("logferry", &["sleep", "1000"]).volume(&volume, "/data");
    let sidecar = with.start(&sidecar).unwrap();
    write(&with, &volume, "with");
    let records = wait_for_count(&bed, 5);
    let bodies = |path: &str| {
        let mut bodies = of_file(&records, path);
        bodies.sort();
        bodies
    };
    assert_eq!(bodies("/data/a.log"), ["without"]);
    assert_eq!(bodies("/data/a.txt"), ["with", "without"]);
    assert_eq!(bodies("/tmp/a.log"), ["with", "without"]);
    // It is restarted, and so is the agent: nothing of its files is taken meanwhile.
    sidecar.stop(0).unwrap();
    write(&with, &volume, "again");
    agent.stop();
    let agent = Agent::start(&bed);
    let records = wait_for_count(&bed, 7);
    let again = records.iter().filter(|it| body(it) == "again");
    assert!(again.into_iter().all(|it| it["log.file.path"] != "/data/a.log"), "{records:#?}");
    stop_and_audit(&bed, agent);
}

#[test]
fn what_an_administrator_wants_collected_no_sidecar_takes_from_him() {
    let node = Containerd::start().unwrap();
    let bed = bed(&node, &log_config(true, "/data/*.log", ""));
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "with-0").host_network().annotation(ANNOTATION, CONFIG);
    let pod = pod.run().unwrap();
    let volume = pod.empty_dir("data").unwrap();
    let sidecar = Program::new("logferry", &["sleep", "1000"]).volume(&volume, "/data");
    let _sidecar = pod.start(&sidecar).unwrap();
    write(&pod, &volume, "with");
    wait_for_count(&bed, 1);
    stop_and_audit(&bed, agent);
}
