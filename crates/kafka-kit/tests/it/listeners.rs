//! Every way into the broker, for who may come in and for who may not.

use kafka_kit::{Access, Authority, Isolation, Mechanism, User, Validity};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::producer::Producer;
use crate::shared::{ALICE, BOB, cluster, cluster_with};

const MECHANISMS: [Mechanism; 3] =
    [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512];

#[test]
fn every_listener_takes_records_from_who_may_come_in() {
    let cluster = cluster_with("listeners");
    let identity = cluster.authority().issue("listeners", None, Validity::Valid).unwrap();
    let mut accesses =
        vec![Access::Plain, Access::Proxied, Access::Tls, Access::MutualTls(&identity)];
    for mechanism in MECHANISMS {
        accesses.extend([Access::Sasl(mechanism, &ALICE), Access::SaslTls(mechanism, &BOB)]);
    }
    let mut sent = Vec::new();
    for access in accesses {
        let text = format!("{:?} {access:?}", access.listener());
        let producer = Producer::new(&cluster.client(&access));
        producer.deliver("listeners", text.as_bytes()).unwrap();
        sent.push(text);
    }
    for access in [Access::Token, Access::TokenTls] {
        let text = format!("{access:?}");
        let producer = Producer::with_token(&cluster.client(&access), -60, 3600);
        producer.deliver("listeners", text.as_bytes()).unwrap();
        sent.push(text);
    }
    let read = cluster.consume("listeners", 0, Isolation::Committed).unwrap();
    let read: Vec<String> =
        read.into_iter().map(|it| String::from_utf8(it.value.unwrap()).unwrap()).collect();
    assert_eq!(read, sent);
}

#[test]
fn a_broker_of_another_authority_is_not_trusted() {
    let cluster = cluster();
    let stranger = Authority::new(cluster.folder(), "stranger").unwrap();
    let mut config = cluster.client(&Access::Tls);
    config.set("ssl.ca.location", stranger.certificate().display().to_string());
    Producer::new(&config).wait_error(Code::SSL);
}

#[test]
fn mutual_tls_takes_no_client_without_a_good_certificate() {
    let cluster = cluster();
    let stranger = Authority::new(cluster.folder(), "other").unwrap();
    let foreign = stranger.issue("foreign", None, Validity::Valid).unwrap();
    let expired = cluster.authority().issue("expired", None, Validity::Expired).unwrap();
    // By TLS 1.3 the client is done before it is refused: it sees no more than the connection's end.
    for identity in [&foreign, &expired] {
        let config = cluster.client(&Access::MutualTls(identity));
        Producer::new(&config).wait_error(Code::AllBrokersDown);
    }
    let mut none = cluster.client(&Access::MutualTls(&foreign));
    none.remove("ssl.certificate.location").remove("ssl.key.location");
    Producer::new(&none).wait_error(Code::AllBrokersDown);
    let log = cluster.broker(1).log().unwrap();
    assert!(log.matches("SSL handshake failed").count() >= 3, "{log}");
}

#[test]
fn a_wrong_password_is_refused() {
    let cluster = cluster();
    let wrong = User::new(&ALICE.name, &BOB.password);
    for mechanism in MECHANISMS {
        for access in [Access::Sasl(mechanism, &wrong), Access::SaslTls(mechanism, &wrong)] {
            Producer::new(&cluster.client(&access)).wait_error(Code::Authentication);
        }
    }
}

#[test]
fn an_expired_token_is_refused() {
    let config = cluster().client(&Access::Token);
    Producer::with_token(&config, -7200, -3600).wait_error(Code::Authentication);
}
