//! D5 and D6: messages that a topic does not take, and topics that are not there, or others than before.

use std::collections::HashMap;

use kafka_kit::{Cluster, Entity, Listener, Read};
use serde_json::Value;

use super::scene::{
    PARTITIONS, REST_MS_MAX, Scene, assert_audit_clean, assert_tiled, assert_tiled_from, header,
    longest_rest_ms, messages, span, values, wait_for_delivery, wait_for_more,
};
use crate::kit::{Agent, Writer, append, assert_exact, assert_within_ms, body, judge, sleep_ms};

fn records(messages: &[Read]) -> Vec<Value> {
    let text = String::from_utf8(values(messages)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn d5_what_is_too_large_for_the_topic_arrives_in_parts_and_holds_up_nobody() {
    const LINES: usize = 400;
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    scene.cluster.alter(Entity::Topic("logs-shop"), &[("max.message.bytes", "20000")]).unwrap();
    // Too large by themselves, even compressed; and many that are too large together.
    let mut random = 1_u64;
    let mut text = |bytes: usize| -> String {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((random >> 33) % 90).expect("small"))
        };
        (0..bytes).map(|_| next()).collect()
    };
    let mut want = Vec::new();
    for number in 0..LINES {
        want.push(format!("{number} {}", text(if number % 100 == 50 { 100_000 } else { 600 })));
    }
    let folder = scene.bed.log("shop");
    std::fs::create_dir_all(&folder).unwrap();
    append(&folder.join("large.log"), (want.join("\n") + "\n").as_bytes());
    let mut agent = Agent::start(&scene.bed);
    let bank = Writer::start(&scene.load("bank"));
    wait_for_more(&scene.bed, "bank");
    let rest_ms = longest_rest_ms(&scene.bed, "bank", 7000);
    println!("d5: the other tenant rested {rest_ms} ms at most");
    let truth = bank.stop();
    wait_for_delivery(&mut agent);
    agent.stop();
    let arrived = messages(&scene.cluster, "logs-shop");
    assert_tiled(&arrived);
    let mut got: Vec<String> = Vec::new();
    for record in records(&arrived) {
        let flags = record["log.flags"].as_str().unwrap_or("");
        match got.last_mut() {
            Some(last) if flags.contains("continued") => last.push_str(&body(&record)),
            _ => got.push(body(&record)),
        }
    }
    assert!(got == want, "{} lines became {}", want.len(), got.len());
    assert_audit_clean(&scene.cluster, "logs-shop");
    assert_exact(&judge(truth, &values(&messages(&scene.cluster, "logs-bank"))));
    assert_within_ms("records of the other", rest_ms, REST_MS_MAX);
}

/// The topic is made again so much later.
fn deleted_and_made_again(away_ms: u64) {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let folder = scene.bed.log("shop");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |number: u32| format!("line {number}\n");
    append(&folder.join("a.log"), (0..10).map(line).collect::<String>().as_bytes());
    let mut agent = Agent::start(&scene.bed);
    wait_for_delivery(&mut agent);
    let bank = Writer::start(&scene.load("bank"));
    let before: u64 =
        messages(&scene.cluster, "logs-shop").iter().map(|it| span(it).1).max().unwrap();
    scene.cluster.delete_topic("logs-shop").unwrap();
    append(&folder.join("a.log"), (10..20).map(line).collect::<String>().as_bytes());
    let rest_ms = longest_rest_ms(&scene.bed, "bank", away_ms);
    println!("d6: the other tenant rested {rest_ms} ms at most");
    scene.cluster.create_topic("logs-shop", PARTITIONS, 1, &[]).unwrap();
    append(&folder.join("a.log"), (20..30).map(line).collect::<String>().as_bytes());
    wait_for_delivery(&mut agent);
    agent.kill();
    append(&folder.join("a.log"), (30..40).map(line).collect::<String>().as_bytes());
    let mut agent = Agent::start(&scene.bed);
    let truth = bank.stop();
    wait_for_delivery(&mut agent);
    agent.stop();
    let arrived = messages(&scene.cluster, "logs-shop");
    assert_tiled_from(&arrived, |_| before);
    let got: Vec<String> = records(&arrived).iter().map(|it| body(it) + "\n").collect();
    assert_eq!(got, (10..40).map(line).collect::<Vec<_>>());
    assert_exact(&judge(truth, &values(&messages(&scene.cluster, "logs-bank"))));
    assert_within_ms("records of the other", rest_ms, REST_MS_MAX);
}

#[test]
fn d6_a_topic_that_is_deleted_and_made_again_at_once_takes_all_that_came_since() {
    deleted_and_made_again(2000);
}

/// Longer than librdkafka waits for a topic to show up (`topic.metadata.propagation.max.ms`, 30 s).
#[test]
fn d6_a_topic_that_is_deleted_and_made_again_late_takes_all_that_came_since() {
    deleted_and_made_again(40_000);
}

#[test]
fn d6_partitions_that_are_added_under_load_lose_and_double_nothing() {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let writer = Writer::start(&scene.load("shop"));
    for partitions in [PARTITIONS + 1, PARTITIONS + 4, PARTITIONS + 8] {
        let agent = Agent::start(&scene.bed);
        wait_for_more(&scene.bed, "shop");
        scene.cluster.grow_topic("logs-shop", partitions).unwrap();
        wait_for_more(&scene.bed, "shop");
        // What went to a partition that the offsets of the last checkpoint do not name is found all the same.
        sleep_ms(700);
        agent.kill();
    }
    let mut agent = Agent::start(&scene.bed);
    let truth = writer.stop();
    wait_for_delivery(&mut agent);
    agent.stop();
    // Each context moves to where its key leads now: it is in order in each of its partitions, and by its
    // cursors over all.
    let mut arrived = messages(&scene.cluster, "logs-shop");
    arrived.sort_by_key(|it| (header(it, "log.context.id").to_owned(), span(it)));
    assert_tiled(&arrived);
    let contexts: HashMap<&str, u32> = arrived.iter().fold(HashMap::new(), |mut sum, it| {
        *sum.entry(header(it, "log.context.id")).or_default() += 1;
        sum
    });
    println!("d6: messages of each context {contexts:?}");
    assert_exact(&judge(truth, &values(&arrived)));
}
