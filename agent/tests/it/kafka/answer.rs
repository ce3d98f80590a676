//! D3, D4, D8 and D11: answers that are lost, partly bad, fatal or nonsense.

use std::time::Duration;

use benches::random::Random;
use kafka_kit::{Api, Fault, Garble, Rule};

use super::scene::{
    PARTITIONS, REST_MS_MAX, Scene, TENANTS, assert_tiled, longest_rest_ms, messages, values,
    wait_for_delivery, wait_for_more,
};
use crate::kit::{Agent, append, assert_within_ms, now_ns, sleep_ms, wait_for, wait_until};

/// Longest wait for a rule to have its turn.
const PATIENCE: Duration = Duration::from_secs(60);

fn seed(test: &str) -> Random {
    let seed = now_ns();
    println!("{test}: seed {seed}");
    Random::new(seed)
}

#[test]
fn d3_messages_whose_acknowledgement_is_lost_are_in_the_topic_once() {
    const CUTS: u64 = 8;
    let mut random = seed("d3");
    let scene = Scene::proxied();
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "bank");
    for _ in 0..CUTS {
        let fired = scene.proxy().fired();
        let nth = 1 + u64::from(random.below(5));
        scene.proxy().add(Rule::new(Api::Produce, Fault::CutAfter).nth(nth));
        scene.proxy().wait_fired(fired + 1, PATIENCE).unwrap();
    }
    // Later answers come all the same, as they never do over TCP: librdkafka cannot make sense of it, and ends.
    scene.proxy().add(Rule::new(Api::Produce, Fault::DropResponse).nth(3));
    scene.proxy().wait_fired(CUTS + 1, PATIENCE).unwrap();
    sleep_ms(1000);
    scene.prove(agent, writers);
    assert_eq!(scene.proxy().problems(), [""; 0]);
}

#[test]
fn d3_an_agent_that_dies_before_the_acknowledgement_does_not_send_it_again() {
    const DEATHS: u64 = 6;
    let mut random = seed("d3, agent killed");
    let scene = Scene::proxied();
    let writers = scene.write();
    for death in 1..=DEATHS {
        let agent = Agent::start(&scene.bed);
        wait_for_more(&scene.bed, "shop");
        let nth = 1 + u64::from(random.below(8));
        scene.proxy().add(Rule::new(Api::Produce, Fault::DropResponse).nth(nth).times(1000));
        scene.proxy().wait_fired(death, PATIENCE).unwrap();
        sleep_ms(u64::from(random.below(300)));
        agent.kill();
        scene.proxy().clear();
    }
    let agent = Agent::start(&scene.bed);
    scene.prove(agent, writers);
}

#[test]
fn d4_of_a_request_whose_partitions_fared_differently_only_the_failed_are_sent_again() {
    // NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR, REQUEST_TIMED_OUT: asked again.
    const CODES: [i16; 4] = [6, 19, 56, 7];
    let mut random = seed("d4");
    let scene = Scene::proxied();
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    for turn in 0..24 {
        let code = CODES[turn % CODES.len()];
        let fired = scene.proxy().fired();
        for partition in 0..PARTITIONS {
            if random.below(2) == 0 {
                scene.proxy().add(Rule::refused("logs-shop", partition, code));
            }
            scene.proxy().add(Rule::refused("logs-bank", partition, code));
        }
        scene.proxy().wait_fired(fired + 1, PATIENCE).unwrap();
    }
    scene.proxy().clear();
    scene.prove(agent, writers);
    assert_eq!(scene.proxy().problems(), [""; 0]);
}

/// A broker that knows nothing of a producer takes its second request for the first: librdkafka concludes that
/// the first was stored, too.
#[test]
fn d4_the_first_request_of_a_producer_is_not_lost_if_it_is_refused_and_the_second_is_not() {
    const LINES: usize = 40_000;
    let scene = Scene::proxied();
    let folder = scene.bed.log("shop");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |number: usize| format!("{number} {}\n", "x".repeat(250));
    append(&folder.join("a.log"), (0..LINES).map(line).collect::<String>().as_bytes());
    for partition in 0..PARTITIONS {
        // NOT_LEADER_OR_FOLLOWER
        scene.proxy().add(Rule::refused("logs-shop", partition, 6));
    }
    let mut agent = Agent::start(&scene.bed);
    scene.proxy().wait_fired(1, PATIENCE).unwrap();
    wait_for_delivery(&mut agent);
    agent.stop();
    let messages = messages(&scene.cluster, "logs-shop");
    assert_tiled(&messages);
    let lines = values(&messages).split(|it| *it == b'\n').count() - 1;
    assert_eq!(lines, LINES);
}

/// As a leader says that could not wait for its followers any longer.
#[test]
#[ignore = "takes minutes: make chaos"]
fn d4_what_is_stored_though_the_answer_says_that_it_failed_is_never_missing() {
    // REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    for code in [7, 20] {
        let scene = Scene::proxied();
        let agent = Agent::start(&scene.bed);
        let writers = scene.write();
        wait_for_more(&scene.bed, "shop");
        for _ in 0..10 {
            let fired = scene.proxy().fired();
            for (tenant, partition) in
                TENANTS.iter().flat_map(|it| (0..PARTITIONS).map(move |partition| (it, partition)))
            {
                scene.proxy().add(Rule::error_code(&format!("logs-{tenant}"), partition, code));
            }
            scene.proxy().wait_fired(fired + 1, PATIENCE).unwrap();
            sleep_ms(300);
        }
        scene.proxy().clear();
        println!("d4, code {code}: {} messages said to have failed", scene.proxy().fired());
        scene.prove_with_doubles(agent, writers);
    }
}

/// Of a payload with sections in two partitions, one is stored and waits for the other.
#[test]
fn d4_what_a_partition_has_while_another_takes_nothing_is_not_sent_again_after_a_kill() {
    let mut random = seed("d4, agent killed");
    let scene = Scene::proxied();
    let writers = scene.write();
    for _ in 0..4 {
        let agent = Agent::start(&scene.bed);
        wait_for_more(&scene.bed, "shop");
        // NOT_ENOUGH_REPLICAS, for longer than offsets take to follow a checkpoint.
        let refused = i32::try_from(random.below(PARTITIONS.unsigned_abs())).expect("small");
        scene.proxy().add(Rule::refused("logs-shop", refused, 19).times(u64::MAX));
        scene.proxy().add(Rule::refused("logs-bank", refused, 19).times(u64::MAX));
        sleep_ms(6000);
        agent.kill();
        scene.proxy().clear();
    }
    let agent = Agent::start(&scene.bed);
    scene.prove(agent, writers);
}

#[test]
fn d4_a_partition_that_is_refused_for_good_waits_and_holds_up_no_other_tenant() {
    // TOPIC_AUTHORIZATION_FAILED and POLICY_VIOLATION: not stored, and told to the agent.
    for code in [29, 44] {
        let scene = Scene::proxied();
        let agent = Agent::start(&scene.bed);
        let writers = scene.write();
        wait_for_more(&scene.bed, "bank");
        for partition in 0..PARTITIONS {
            scene.proxy().add(Rule::refused("logs-shop", partition, code).nth(2).times(3));
        }
        let rest_ms = longest_rest_ms(&scene.bed, "bank", 8000);
        println!("d4, code {code}: the other tenant rested {rest_ms} ms at most");
        agent.wait_said("not taken by Kafka");
        scene.proxy().clear();
        agent.wait_said("taken by Kafka again");
        scene.prove(agent, writers);
        assert_within_ms("records of the other", rest_ms, REST_MS_MAX);
    }
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn d8_after_an_error_that_ends_the_producer_another_goes_on_behind_what_is_stored() {
    // OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, PRODUCER_FENCED.
    for code in [45, 47, 90] {
        let scene = Scene::proxied();
        let mut agent = Agent::start(&scene.bed);
        let writers = scene.write();
        wait_for_more(&scene.bed, "shop");
        // A broker that refuses a producer refuses all that it sends; one that has stored a request says
        // something of that one.
        for (rule, times) in [(Rule::refused as fn(_, _, _) -> _, u64::MAX), (Rule::error_code, 1)]
        {
            let fired = scene.proxy().fired();
            let restarts = agent.metric("logferry_data_plane_restarts_total");
            let rule = |it| rule("logs-shop", it, code).times(times);
            (0..PARTITIONS).for_each(|it| scene.proxy().add(rule(it)));
            scene.proxy().wait_fired(fired + 1, PATIENCE).unwrap();
            sleep_ms(3000);
            scene.proxy().clear();
            wait_for_more(&scene.bed, "shop");
            agent.wait_ready();
            let now = agent.metric("logferry_data_plane_restarts_total");
            println!("d8: code {code}: {} starts of the data plane", now - restarts);
        }
        scene.prove(agent, writers);
    }
}

#[test]
fn d11_answers_that_are_nonsense_neither_end_the_agent_nor_cost_a_line() {
    const APIS: [Api; 4] = [Api::Produce, Api::Metadata, Api::ApiVersions, Api::InitProducerId];
    let mut random = seed("d11");
    let scene = Scene::proxied();
    let mut agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    for turn in 0_u64..24 {
        let garble = match random.below(4) {
            0 => Garble::Number,
            1 => Garble::Half,
            2 => Garble::Length,
            _ => Garble::Bytes(turn),
        };
        let api = APIS[random.below(4) as usize];
        println!("d11: {api:?} {garble:?}");
        scene.proxy().add(Rule::new(api, Fault::Garble(garble)));
        if api != Api::Produce {
            // A new connection asks what the broker understands, and which topics there are.
            scene.proxy().cut();
        }
        sleep_ms(700);
        agent.assert_running();
    }
    let fired = scene.proxy().fired();
    println!("d11: {fired} answers were nonsense");
    assert!(fired >= 6, "{fired} of 24");
    scene.proxy().clear();
    agent.kill();
    // At the start too, when it reads back.
    for api in [Api::ListOffsets, Api::Fetch, Api::InitProducerId] {
        for garble in [Garble::Number, Garble::Half, Garble::Length] {
            scene.proxy().add(Rule::new(api, Fault::Garble(garble)));
        }
    }
    let before = scene.proxy().fired();
    let mut agent = Agent::spawn(&scene.bed);
    // Each may cost the time for which an answer is waited.
    wait_until("nonsense at the start", || scene.proxy().fired() - before, |it| *it >= 4);
    scene.proxy().clear();
    agent.wait_ready();
    scene.prove_with_doubles(agent, writers);
}

/// The answer is wrong in a way that nobody can see: it says of another offset that the messages are there. Or
/// it has a code for an error that the client's binding has no name for, which can end the agent; it is
/// started again then, as the kubelet does.
#[test]
#[ignore = "takes minutes: make chaos"]
fn d11_wrong_bytes_in_answers_cost_no_line() {
    const TURNS: u64 = 12;
    let scene = Scene::proxied();
    let mut agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    let mut ends = 0;
    for turn in 0..TURNS {
        scene.proxy().add(Rule::new(Api::Produce, Fault::Garble(Garble::Bytes(turn))));
        wait_for("a garbled answer", || {
            if agent.has_ended() {
                ends += 1;
                agent = Agent::start(&scene.bed);
            }
            let fired = scene.proxy().fired();
            if fired > turn { Ok(()) } else { Err(format!("{fired} until now")) }
        });
        sleep_ms(50);
    }
    scene.proxy().clear();
    if agent.has_ended() {
        ends += 1;
        agent = Agent::start(&scene.bed);
    }
    println!("d11: wrong bytes ended {ends} agents");
    agent.wait_ready();
    scene.prove_with_doubles(agent, writers);
}
