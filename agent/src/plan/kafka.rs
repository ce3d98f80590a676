//! Kafka: from a sink's settings to what its client is told.

use std::time::Duration;

use anyhow::ensure;
use crd::{AgentSettings, CompressionSettings, Delivery, KafkaSettings, SinkSettings, SinkTarget};
use sink::kafka::{Compression, KafkaConfig};

use super::Credentials;
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

pub(crate) fn config(
    sink: &SinkSettings,
    kafka: &KafkaSettings,
    agent: &AgentSettings,
    credentials: &Credentials,
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
        settle: SETTLE,
        in_flight_bytes_max: kafka.in_flight_bytes,
        offsets: agent.state_directory.join("kafka").join(format!("{}.json", sink.name)),
        read_back_bytes_max: kafka.read_back_bytes,
        client_id: format!("logferry-{}", place::of(agent).host),
        security: credentials.of(&sink.name).to_vec(),
    })
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
