//! Kafka: brokers, topic and credentials.

use super::compression::{self, What};
use crate::report::Check;
use crate::settings::{CompressionSettings, KafkaSettings, SaslSettings, TlsSettings};
use crate::spec::{CodecName, CompressionSpec, Encoding, KafkaSpec, SaslSpec, TlsSpec};
use crate::{defaults, limits};

/// Longest name of a topic, in bytes (Kafka's own limit).
const TOPIC_BYTES_MAX: usize = 249;
/// What is filled into a topic.
const PARTS: [&str; 2] = ["${tenant}", "${namespace}"];

pub(super) fn resolve(
    spec: KafkaSpec,
    encoding: Encoding,
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
    let tls = spec.tls.map(|it| tls(it, check));
    let sasl = match spec.sasl {
        Some(it) => Some(sasl(it, check)?),
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
        None => return Some(topic),
    };
    check.error(path, &why, cure);
    None
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

fn tls(spec: TlsSpec, check: &mut Check<'_>) -> TlsSettings {
    let written = (spec.certificate_file.is_some(), spec.key_file.is_some());
    if written.0 != written.1 {
        let cure = "write both certificateFile and keyFile, or neither";
        check.error("spec.kafka.tls", "a certificate needs its key", cure);
    }
    let ca_file = check.absolute("spec.kafka.tls.caFile", spec.ca_file);
    let certificate = check.absolute("spec.kafka.tls.certificateFile", spec.certificate_file);
    let key = check.absolute("spec.kafka.tls.keyFile", spec.key_file);
    TlsSettings { ca_file, identity: certificate.zip(key) }
}

fn sasl(spec: SaslSpec, check: &mut Check<'_>) -> Option<SaslSettings> {
    if spec.mechanism.is_none() {
        let cure = "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
        check.missing("spec.kafka.sasl.mechanism", cure);
    }
    if spec.username.is_none() {
        check.missing("spec.kafka.sasl.username", "write the user's name");
    }
    if spec.password_file.is_none() {
        check.missing("spec.kafka.sasl.passwordFile", "write the path of a file with the password");
    }
    let password_file = check.absolute("spec.kafka.sasl.passwordFile", spec.password_file);
    let (mechanism, username) = (spec.mechanism?, spec.username?);
    Some(SaslSettings { mechanism, username, password_file: password_file? })
}
