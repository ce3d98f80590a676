//! Rules, quotas and passwords that change while a broker runs.

use std::time::Duration;

use kafka_kit::{Access, AclOperation, Entity, Mechanism, User, Validity};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::producer::Producer;
use crate::shared::{ALICE, BOB, CAROL, DAVE, cluster, cluster_with};

#[test]
fn a_rule_for_one_user_keeps_others_out_of_that_topic_alone() {
    let cluster = cluster_with("rules-alices");
    cluster_with("rules-everyones");
    cluster.allow(&ALICE.name, AclOperation::Write, "rules-alices").unwrap();
    let alice = Producer::new(&cluster.client(&Access::Sasl(Mechanism::Plain, &ALICE)));
    let bob = Producer::new(&cluster.client(&Access::Sasl(Mechanism::Plain, &BOB)));
    alice.deliver("rules-alices", b"hers").unwrap();
    let refused = bob.deliver("rules-alices", b"not his");
    assert_eq!(refused, Err(Code::TopicAuthorizationFailed));
    bob.deliver("rules-everyones", b"his").unwrap();

    cluster.disallow(&ALICE.name, AclOperation::Write, "rules-alices").unwrap();
    let bob = Producer::new(&cluster.client(&Access::Sasl(Mechanism::Plain, &BOB)));
    bob.deliver("rules-alices", b"now his").unwrap();
}

#[test]
fn a_user_of_mutual_tls_is_denied_by_its_common_name() {
    let cluster = cluster_with("rules-tls");
    cluster.deny("mallory", AclOperation::Write, "rules-tls").unwrap();
    let mallory = cluster.authority().issue("mallory", None, Validity::Valid).unwrap();
    let producer = Producer::new(&cluster.client(&Access::MutualTls(&mallory)));
    assert_eq!(producer.deliver("rules-tls", b"no"), Err(Code::TopicAuthorizationFailed));

    cluster.undeny("mallory", AclOperation::Write, "rules-tls").unwrap();
    let producer = Producer::new(&cluster.client(&Access::MutualTls(&mallory)));
    producer.deliver("rules-tls", b"yes").unwrap();
}

#[test]
fn a_changed_password_holds_for_new_connections() {
    let cluster = cluster_with("rules-password");
    let new = User::new(&CAROL.name, "carol-changed");
    cluster.set_scram_password(Mechanism::ScramSha256, &new).unwrap();
    let access = |user| cluster.client(&Access::Sasl(Mechanism::ScramSha256, user));
    Producer::new(&access(&CAROL)).wait_error(Code::Authentication);
    Producer::new(&access(&new)).deliver("rules-password", b"new").unwrap();
}

#[test]
fn a_user_beyond_its_quota_is_throttled() {
    let cluster = cluster_with("rules-quota");
    cluster.alter(Entity::User(&DAVE.name), &[("producer_byte_rate", "20000")]).unwrap();
    let mut config = cluster.client(&Access::Sasl(Mechanism::Plain, &DAVE));
    config.set("statistics.interval.ms", "100");
    let dave = Producer::new(&config);
    for number in 0..8 {
        dave.send("rules-quota", number, &[b'x'; 50_000]);
    }
    dave.reports(8);
    dave.reports_within(Duration::from_millis(300));
    assert!(dave.throttled_ms() > 0, "throttled for {} ms", dave.throttled_ms());
}

#[test]
fn a_record_beyond_the_brokers_limit_is_refused_and_the_next_is_taken() {
    let cluster = cluster_with("rules-size");
    let producer = Producer::new(&cluster.client(&Access::Plain));
    // Above the broker's `message.max.bytes`, below the client's.
    let refused = producer.deliver("rules-size", &[b'x'; 300_000]);
    assert_eq!(refused, Err(Code::MessageSizeTooLarge));
    cluster.alter(Entity::Topic("rules-size"), &[("max.message.bytes", "400000")]).unwrap();
    let producer = Producer::new(&cluster.client(&Access::Plain));
    assert_eq!(producer.deliver("rules-size", &[b'x'; 300_000]), Ok(0));
    assert!(cluster.alter(Entity::Topic("rules-size"), &[("no.such.property", "1")]).is_err());
    assert_eq!(self::cluster().end_offsets("rules-size").unwrap()[&0], 1);
}
