//! Kafka: from a sink's settings to what its client is told, secrets read from their files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use crd::{AgentSettings, CompressionSettings, Delivery, KafkaSettings, SinkSettings, SinkTarget};
use sink::kafka::{Compression, KafkaConfig, Secret};

use crate::place;

/// How long the brokers get to store what they have of a life that was killed.
const SETTLE: Duration = Duration::from_secs(2);

/// Refuses what can be written and is not built yet.
pub(super) fn refuse_unbuilt(sink: &SinkSettings) -> anyhow::Result<()> {
    let SinkTarget::Kafka(kafka) = &sink.target else { return Ok(()) };
    ensure!(
        kafka.delivery == Delivery::Idempotent,
        "kafka.delivery: {}: not built yet; write idempotent",
        kafka.delivery.name()
    );
    Ok(())
}

pub(super) fn config(
    sink: &SinkSettings,
    kafka: &KafkaSettings,
    agent: &AgentSettings,
) -> anyhow::Result<KafkaConfig> {
    let compression = match sink.compression {
        CompressionSettings::Zstd { level } => Compression::Zstd { level },
        CompressionSettings::Lz4 { level } => Compression::Lz4 { level: level.unwrap_or(1) },
        CompressionSettings::Gzip { level } => Compression::Gzip { level },
        CompressionSettings::Snappy => Compression::Snappy,
        CompressionSettings::None => Compression::None,
    };
    Ok(KafkaConfig {
        brokers: kafka.brokers.join(","),
        topic: kafka.topic.parse()?,
        compression,
        payload_compression: match kafka.payload_compression {
            CompressionSettings::Zstd { level } => Some(level),
            _ => None,
        },
        settle: SETTLE,
        in_flight_bytes_max: kafka.in_flight_bytes,
        offsets: agent.state_directory.join("kafka").join(format!("{}.json", sink.name)),
        read_back_bytes_max: kafka.read_back_bytes,
        client_id: format!("logferry-{}", place::of(agent).host),
        security: security(kafka)?,
    })
}

fn security(kafka: &KafkaSettings) -> anyhow::Result<Vec<(String, Secret)>> {
    let protocol = match (&kafka.tls, &kafka.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    let mut properties = vec![property("security.protocol", protocol)];
    if let Some(tls) = &kafka.tls {
        let identity = tls.identity.as_ref();
        let files = [
            ("ssl.ca.location", tls.ca_file.as_ref()),
            ("ssl.certificate.location", identity.map(|it| &it.0)),
            ("ssl.key.location", identity.map(|it| &it.1)),
        ];
        for (key, path) in files {
            properties.extend(path.map(|path| property(key, &path.to_string_lossy())));
        }
    }
    if let Some(sasl) = &kafka.sasl {
        properties.push(property("sasl.mechanisms", sasl.mechanism.name()));
        properties.push(property("sasl.username", &sasl.username));
        properties.push(property("sasl.password", &password(&sasl.password_file)?));
    }
    Ok(properties)
}

fn property(key: &str, value: &str) -> (String, Secret) {
    (key.to_owned(), Secret::new(value))
}

/// The file's content, but for the newline that editors put at its end.
fn password(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{}: the password cannot be read", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(spec: &str) -> Option<String> {
        let text = format!(
            "{{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {{name: k}}, spec: {{{spec}}}}}"
        );
        let file = crd::ConfigFile { path: "k.yaml".into(), bytes: Ok(text.into_bytes()) };
        let settings = crd::resolve(vec![file]).unwrap();
        refuse_unbuilt(&settings.sinks[0]).err().map(|it| it.to_string())
    }

    #[test]
    fn what_is_not_built_yet_is_refused_by_its_field() {
        assert_eq!(refusal("kafka: {brokers: ['k:1'], topic: t}"), None);
        let refusal = refusal("kafka: {brokers: ['k:1'], topic: t, delivery: transactional}");
        assert!(refusal.unwrap().starts_with("kafka.delivery: transactional"));
    }
}
