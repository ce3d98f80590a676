//! Kafka: brokers, topic and credentials.

use std::path::Path;

use super::access;
use super::compression::{self, What};
use crate::report::Check;
use crate::settings::{CompressionSettings, KafkaSettings};
use crate::spec::{CodecName, CompressionSpec, Encoding, KafkaSpec};
use crate::{defaults, limits};

/// Longest name of a topic, in bytes (Kafka's own limit).
const TOPIC_BYTES_MAX: usize = 249;
/// What is filled into a topic.
const PARTS: [&str; 2] = ["${tenant}", "${namespace}"];

pub(super) fn resolve(
    spec: KafkaSpec,
    encoding: Encoding,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<KafkaSettings> {
    let brokers = brokers(spec.brokers, check);
    let topic = topic(spec.topic, check);
    let payload_compression = payload_compression(spec.payload_compression, encoding, check);
    let in_flight = check.ranged(
        "spec.kafka.inFlight",
        spec.in_flight,
        defaults::KAFKA_IN_FLIGHT,
        &limits::KAFKA_IN_FLIGHT,
    );
    let read_back = check.ranged(
        "spec.kafka.readBack",
        spec.read_back,
        defaults::KAFKA_READ_BACK,
        &limits::KAFKA_READ_BACK,
    );
    let tls = spec.tls.map(|it| access::tls(it, secrets, check));
    let sasl = match spec.sasl {
        Some(it) => Some(access::sasl(it, secrets, check)?),
        None => None,
    };
    Some(KafkaSettings {
        brokers: brokers?,
        topic: topic?,
        payload_compression,
        delivery: spec.delivery.unwrap_or(defaults::KAFKA_DELIVERY),
        in_flight_bytes: in_flight.as_usize(),
        read_back_bytes: read_back.0,
        tls,
        sasl,
    })
}

fn brokers(brokers: Option<Vec<String>>, check: &mut Check<'_>) -> Option<Vec<String>> {
    let (path, cure) = ("spec.kafka.brokers", "write host:port of some brokers");
    let Some(brokers) = brokers.filter(|it| !it.is_empty()) else {
        check.missing(path, cure);
        return None;
    };
    for broker in &brokers {
        let port = broker.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || broker.contains(',') || broker.contains(char::is_whitespace) {
            check.error(path, &format!("{broker:?} is not host:port"), cure);
            return None;
        }
    }
    Some(brokers)
}

fn topic(topic: Option<String>, check: &mut Check<'_>) -> Option<String> {
    let path = "spec.kafka.topic";
    let cure = "write letters, digits, `.`, `_` and `-`, such as logs-${tenant}";
    let Some(topic) = topic else {
        check.missing(path, cure);
        return None;
    };
    // What is filled in is one byte at least.
    let fixed = PARTS.iter().fold(topic.clone(), |text, part| text.replace(part, "x"));
    let is_legal = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let why = match fixed.chars().find(|it| !is_legal(*it)) {
        Some('$' | '{' | '}') => "only ${tenant} and ${namespace} are filled in".to_owned(),
        Some(bad) => format!("{bad:?} is not for topics"),
        None if fixed.is_empty() || fixed.len() > TOPIC_BYTES_MAX => {
            format!("not of 1 to {TOPIC_BYTES_MAX} characters")
        }
        None if fixed == "." || fixed == ".." => "Kafka refuses these two".to_owned(),
        None if !tells_apart(&topic) => {
            let why = "two tenants could meet in one topic: names of both may hold what is between the two parts";
            let cure = "write a `.` or `_` between them, such as logs-${tenant}.${namespace}";
            check.error(path, why, cure);
            return None;
        }
        None => return Some(topic),
    };
    check.error(path, &why, cure);
    None
}

/// Whether two pairs of tenant and namespace never make the same topic. Neither has `_`, and a namespace no `.`:
/// these tell where one ends and the other begins, while `a-b` and `c` would make what `a` and `b-c` make.
fn tells_apart(topic: &str) -> bool {
    let [tenant, namespace] = PARTS;
    let separates = |one: &str, other: &str| {
        topic.split(one).skip(1).all(|after| match after.split_once(other) {
            Some((between, _)) => between.contains(['.', '_']),
            None => true,
        })
    };
    separates(tenant, namespace) && separates(namespace, tenant)
}

fn payload_compression(
    spec: Option<CompressionSpec>,
    encoding: Encoding,
    check: &mut Check<'_>,
) -> CompressionSettings {
    let path = "spec.kafka.payloadCompression";
    let spec = spec.unwrap_or_default();
    let resolved = compression::resolve(path, &spec, What::Values, CodecName::None, check);
    if resolved != CompressionSettings::None && encoding.is_of_single_records() {
        let why = format!("a message of the encoding {} is one record", encoding.name());
        check.error(path, &why, "remove it; Kafka compresses many together: spec.compression");
    }
    resolved
}
