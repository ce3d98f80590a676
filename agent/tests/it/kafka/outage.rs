//! D1 and D2: brokers that are dead, or silent, for a while.

use kafka_kit::{Cluster, Line, Listener};

use super::scene::{Scene, metric_of, wait_for_more};
use crate::kit::{Agent, now_ns, sleep_ms};

/// Backlog that grows while the broker is away, in bytes.
const BACKLOG_BYTES: u64 = 24_000_000;
/// Most that the agent's memory may grow in the second half of an outage, in KiB.
const GROWTH_KIB_MAX: f64 = 4.0 * 1024.0;

/// Resident memory, in KiB.
fn resident_kib(agent: &Agent) -> f64 {
    agent.metric("logferry_resident_memory_bytes") / 1024.0
}

/// The broker is killed, and comes back so much later.
fn outage(seconds: u64) {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let mut agent = Agent::start(&scene.bed);
    let rate = BACKLOG_BYTES / seconds / 2;
    let writers = scene.write_at(rate);
    wait_for_more(&scene.bed, "shop");
    sleep_ms(3000);
    let before_kib = resident_kib(&agent);
    scene.cluster.broker(1).kill().unwrap();
    let (mut half_kib, mut most_kib) = (0_f64, 0_f64);
    for second in 0..seconds {
        sleep_ms(1000);
        agent.assert_running();
        // What may be read ahead is soon read; then nothing grows but the files.
        let most = if second < seconds / 2 { &mut half_kib } else { &mut most_kib };
        *most = most.max(resident_kib(&agent));
    }
    let lag = metric_of(&scene.bed, "logferry_lag_bytes", "shop");
    println!(
        "d1: {seconds} s without a broker: {lag} bytes of one tenant wait in files; {before_kib} KiB before, {half_kib} KiB at most in its first half, {most_kib} KiB in the other"
    );
    assert!(lag > BACKLOG_BYTES as f64 / 4.0, "the backlog is not told: {lag} bytes");
    assert!(most_kib < half_kib + GROWTH_KIB_MAX, "{half_kib} KiB became {most_kib} KiB");
    let begun_ns = now_ns();
    scene.cluster.broker(1).start().unwrap();
    wait_for_more(&scene.bed, "shop");
    println!("d1: the next delivery after {} ms", (now_ns() - begun_ns) / 1_000_000);
    scene.prove(agent, writers);
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn d1_the_backlog_of_a_dead_broker_waits_in_files_and_arrives_once_it_is_back() {
    outage(20);
}

/// `LOGFERRY_OUTAGE_SECONDS` (1800) long.
#[test]
#[ignore = "half an hour: LOGFERRY_OUTAGE_SECONDS=1800 cargo test -p logferry --test it -- --ignored --nocapture d1_half"]
fn d1_half_an_hour_without_a_broker_costs_neither_a_line_nor_memory() {
    let seconds = std::env::var("LOGFERRY_OUTAGE_SECONDS");
    outage(seconds.map_or(1800, |it| it.parse().unwrap()));
}

/// Longer than the 30 s after which a request counts as lost.
#[test]
#[ignore = "takes minutes: make chaos"]
fn d2_a_broker_that_stands_still_for_longer_than_a_request_may_take_doubles_nothing() {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    scene.cluster.broker(1).pause().unwrap();
    sleep_ms(45_000);
    scene.cluster.broker(1).resume().unwrap();
    wait_for_more(&scene.bed, "shop");
    scene.prove(agent, writers);
}

#[test]
fn d2_an_agent_that_is_killed_while_the_broker_stands_still_doubles_nothing() {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let writers = scene.write();
    for rest_ms in [300, 3000] {
        let agent = Agent::start(&scene.bed);
        wait_for_more(&scene.bed, "shop");
        scene.cluster.broker(1).pause().unwrap();
        sleep_ms(rest_ms);
        agent.kill();
        scene.cluster.broker(1).resume().unwrap();
    }
    let agent = Agent::start(&scene.bed);
    scene.prove(agent, writers);
}

/// Most of a core that the agent may use while its broker stands still, in percent.
const SILENT_CPU_MAX: u64 = 20;

/// For less than the 30 s after which the connection is given up; with messages for more than one of its
/// partitions.
#[test]
fn d2_a_broker_that_stands_still_keeps_no_core_busy() {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    sleep_ms(2000);
    scene.cluster.broker(1).pause().unwrap();
    sleep_ms(2000);
    let before_ms = agent.cpu_ms();
    sleep_ms(10_000);
    let percent = (agent.cpu_ms() - before_ms) / 100;
    println!("d2: {percent} % of a core while the broker stands still");
    scene.cluster.broker(1).resume().unwrap();
    assert!(percent <= SILENT_CPU_MAX, "{percent} % of a core");
    scene.prove(agent, writers);
}

/// Between two heartbeats the controller fences the broker: no partition has a leader then, and no metadata names a broker.
/// It stands still besides, with a request on its way.
#[test]
#[ignore = "takes minutes: make chaos"]
fn d2_a_broker_that_is_fenced_again_and_again_is_written_to_between() {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let broker = scene.cluster.broker(1);
    let restart = |session_ms, heartbeat_ms| {
        broker.stop().unwrap();
        broker.set("broker.session.timeout.ms", session_ms);
        broker.set("broker.heartbeat.interval.ms", heartbeat_ms);
        broker.start().unwrap();
    };
    restart("500", "1500");
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    let mut longest_ms = 0;
    for rest_ms in [0, 1000, 3000, 12_000, 0, 2000, 0, 1000, 0, 12_000] {
        let begun_ns = now_ns();
        wait_for_more(&scene.bed, "shop");
        wait_for_more(&scene.bed, "bank");
        longest_ms = longest_ms.max((now_ns() - begun_ns) / 1_000_000);
        broker.pause().unwrap();
        sleep_ms(rest_ms);
        broker.resume().unwrap();
        sleep_ms(4000);
    }
    restart("9000", "2000");
    let said = std::fs::read_to_string(scene.bed.path("stderr.0")).unwrap();
    let times = said.matches("knows no broker any more").count();
    println!(
        "d2: {longest_ms} ms at most without a delivery; librdkafka knew no broker {times} times"
    );
    scene.prove(agent, writers);
}

/// Two of three stand still for 45 s and run for 20 s, again and again: `LOGFERRY_FREEZES` (5) times.
#[test]
#[ignore = "minutes: LOGFERRY_FREEZES=5 cargo test -p logferry --test it -- --ignored --nocapture d2_two"]
fn d2_two_of_three_brokers_that_freeze_again_and_again_double_nothing() {
    let freezes = std::env::var("LOGFERRY_FREEZES").map_or(5, |it| it.parse::<u32>().unwrap());
    let scene = Scene::new(Cluster::builder().brokers(3), Listener::Plain, 3, "");
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    for freeze in 0..freezes {
        let frozen = [1 + freeze % 3, 1 + (freeze + 1) % 3];
        frozen.iter().for_each(|node| scene.cluster.broker(*node).pause().unwrap());
        sleep_ms(45_000);
        frozen.iter().for_each(|node| scene.cluster.broker(*node).resume().unwrap());
        sleep_ms(20_000);
    }
    scene.prove(agent, writers);
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn d2_a_line_that_is_silent_and_then_cut_costs_and_doubles_nothing() {
    let scene = Scene::proxied();
    let mut agent = Agent::start(&scene.bed);
    let writers = scene.write();
    for _ in 0..4 {
        wait_for_more(&scene.bed, "shop");
        scene.proxy().set_line(Line::Silent);
        sleep_ms(2500);
        scene.proxy().cut();
        scene.proxy().set_line(Line::Refuse);
        sleep_ms(1000);
        agent.assert_running();
        scene.proxy().set_line(Line::Pass);
    }
    wait_for_more(&scene.bed, "shop");
    wait_for_more(&scene.bed, "bank");
    scene.prove(agent, writers);
}
