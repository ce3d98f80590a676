//! D10: a link of 1 Mbit that drops packets.
//!
//! The test runs itself once more in a network namespace of its own, where the kernel makes the way to the proxy
//! slow, and drops what its short queue has no room for; everything else there is as fast as ever.

use std::process::Command;

use kafka_kit::Listener;

use super::scene::{Scene, metric_of, wait_for_more};
use crate::kit::{Agent, sleep_ms};

/// Set in the process in the namespace.
const INSIDE: &str = "LOGFERRY_TEST_IN_NAMESPACE";

#[test]
#[ignore = "takes minutes: make chaos"]
fn d10_over_a_link_of_1_mbit_that_drops_packets_all_arrives_once() {
    if std::env::var(INSIDE).is_err() {
        return run_in_a_namespace();
    }
    let scene = Scene::proxied();
    slow_down(&scene.cluster.addresses(Listener::Proxied));
    let agent = Agent::start(&scene.bed);
    let writers = scene.write_at(800_000);
    wait_for_more(&scene.bed, "shop");
    sleep_ms(6_000);
    let waits = |tenant| metric_of(&scene.bed, "logferry_lag_bytes", tenant);
    let (shop, bank) = (waits("shop"), waits("bank"));
    println!("d10: {shop} and {bank} bytes wait in files after 6 s");
    let dropped = tc("-s qdisc show dev lo parent 1:20");
    println!("d10: {dropped}");
    assert!(!dropped.contains("(dropped 0,"), "nothing was dropped: {dropped}");
    scene.prove(agent, writers);
}

fn run_in_a_namespace() {
    let thread = std::thread::current();
    let test = thread.name().expect("the name of the test");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-ec", "ip link set lo mtu 1500 up; exec \"$@\"", "sh"]);
    command.arg(std::env::current_exe().expect("it runs"));
    command.args(["--exact", test, "--nocapture", "--ignored"]).env(INSIDE, "1");
    let status = command.status().expect("unshare (Debian package util-linux) can be started");
    assert!(status.success(), "in the namespace: {status}");
}

/// 1 Mbit a second each way between the agent and what stands before the broker at `ADDRESS:PORT`.
fn slow_down(address: &str) {
    let (_, port) = address.rsplit_once(':').expect("a port");
    tc("qdisc add dev lo root handle 1: htb default 10");
    tc("class add dev lo parent 1: classid 1:10 htb rate 10gbit quantum 60000");
    tc("class add dev lo parent 1: classid 1:20 htb rate 1mbit burst 16k");
    tc("qdisc add dev lo parent 1:20 handle 20: pfifo limit 2");
    for end in ["sport", "dport"] {
        tc(&format!(
            "filter add dev lo parent 1: protocol ip u32 match ip {end} {port} 0xffff flowid 1:20"
        ));
    }
}

fn tc(arguments: &str) -> String {
    let output = Command::new("tc").args(arguments.split(' ')).output();
    let output = output.expect("tc (Debian package iproute2) can be started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "tc {arguments}: {said}");
    said
}
