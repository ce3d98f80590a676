//! Topics: what the configuration allows is what the sink makes topics of.

use std::fs;

use kafka_kit::{Listener, Mechanism};
use sink::kafka::TopicTemplate;

use super::{FERRY, cluster_with, put, sink, wait_for_bodies};
use crate::kit::{Agent, Bed, append, containers, wait_until};

/// Whether a LogSink may have this topic.
fn is_configurable(topic: &str) -> bool {
    let topic = serde_json::to_string(topic).unwrap();
    let text = format!(
        "{{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {{name: k}}, \
         spec: {{kafka: {{brokers: ['k:1'], topic: {topic}}}}}}}"
    );
    crd::resolve(vec![crd::ConfigFile { path: "k.yaml".into(), bytes: Ok(text.into_bytes()) }])
        .is_ok()
}

/// The grammar stands in both: the configuration depends on no sink. Here they are held against each other.
#[test]
fn the_configuration_allows_exactly_the_topics_that_the_sink_can_make() {
    let pieces = [
        "",
        "${tenant}",
        "${namespace}",
        "${pod}",
        "${",
        "$",
        "{",
        "}",
        "tenant",
        "a",
        "Z",
        "0",
        ".",
        "..",
        "_",
        "-",
        "/",
        " ",
        "ü",
        "\0",
    ];
    let longs = ["x".repeat(248), "x".repeat(249)];
    let pieces: Vec<&str> = pieces.into_iter().chain(longs.iter().map(String::as_str)).collect();
    let (mut allowed, mut refused) = (0, 0);
    for first in &pieces {
        for second in &pieces {
            for third in &pieces {
                let topic = [*first, second, third].concat();
                let can_make = topic.parse::<TopicTemplate>().is_ok();
                // The configuration also knows which names two tenants could meet in.
                let may_meet = topic.contains("${tenant}") && topic.contains("${namespace}");
                let is_configurable = is_configurable(&topic);
                assert!(is_configurable == can_make || may_meet && can_make, "{topic:?}");
                if can_make { allowed += 1 } else { refused += 1 }
            }
        }
    }
    assert!(allowed > 500 && refused > 500, "{allowed} allowed, {refused} refused");
}

#[test]
fn each_namespace_has_the_topic_of_its_name() {
    let cluster = cluster_with("ns.shop");
    cluster_with("ns.bank");
    let bed = Bed::new();
    put(&bed.path("password"), &FERRY.password);
    let mechanism = Mechanism::ScramSha512.name();
    let sasl = format!(
        "    sasl: {{mechanism: {mechanism}, username: ferry, passwordFile: '{{dir}}/password'}}\n"
    );
    let kafka = sink("default", cluster, (Listener::Sasl, "'ns.${namespace}'"), &sasl, "");
    // Both are of one tenant.
    bed.configure(&[&bed.agent(""), &kafka, &containers("pods", "", "  tenant: all\n")]);
    for namespace in ["shop", "bank"] {
        let pod = format!("pods/{namespace}_web-0_11111111-2222-4333-8444-555555555555/app");
        fs::create_dir_all(bed.path(&pod)).unwrap();
        let line = format!("2026-01-02T03:04:05Z stdout F of {namespace}\n");
        append(&bed.path(pod).join("0.log"), line.as_bytes());
    }
    let agent = Agent::start(&bed);
    for namespace in ["shop", "bank"] {
        wait_for_bodies(cluster, &format!("ns.{namespace}"), &[&format!("of {namespace}")]);
    }
    agent.stop();
}

#[test]
fn a_log_config_names_a_topic_and_changes_it() {
    let cluster = cluster_with("own.shop_access");
    cluster_with("own.shop_debug.2");
    let bed = Bed::new();
    put(&bed.path("password"), &FERRY.password);
    let mechanism = Mechanism::ScramSha512.name();
    let sasl = format!(
        "    sasl: {{mechanism: {mechanism}, username: ferry, passwordFile: '{{dir}}/password'}}\n"
    );
    let kafka = sink("default", cluster, (Listener::Sasl, "'own.${tenant}'"), &sasl, "");
    let configure = |topic: &str| {
        let config = containers("pods", "", &format!("  topic: {topic}\n"));
        bed.configure(&[&bed.agent(""), &kafka, &config]);
    };
    let pod = bed.path("pods/shop_web-0_11111111-2222-4333-8444-555555555555/app");
    fs::create_dir_all(&pod).unwrap();
    let write = |numbers: std::ops::Range<u32>| {
        let lines = numbers.map(|it| format!("2026-01-02T03:04:05Z stdout F line {it}\n"));
        append(&pod.join("0.log"), lines.collect::<String>().as_bytes());
    };
    configure("access");
    write(0..2);
    let agent = Agent::start(&bed);
    wait_for_bodies(cluster, "own.shop_access", &["line 0", "line 1"]);
    configure("debug.2");
    let reloads = || agent.metric("logferry_config_reloads_total");
    wait_until("in force", reloads, |it| *it == 1.0);
    write(2..4);
    wait_for_bodies(cluster, "own.shop_debug.2", &["line 2", "line 3"]);
    agent.kill();
    write(4..5);
    let agent = Agent::start(&bed);
    wait_for_bodies(cluster, "own.shop_debug.2", &["line 2", "line 3", "line 4"]);
    agent.stop();
    wait_for_bodies(cluster, "own.shop_access", &["line 0", "line 1"]);
}
