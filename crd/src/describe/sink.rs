//! A sink's settings as its spec.

use std::path::Path;

use crate::settings::{
    CompressionSettings, FileSinkSettings, KafkaSettings, QueueSettings, SinkSettings, SinkTarget,
};
use crate::spec::{
    BatchSpec, BlackholeSpec, CodecName, CompressionSpec, FileSinkSpec, KafkaSpec, LogSinkSpec,
    QueueSpec, RetentionSpec, RetrySpec, SaslSpec, StdoutSpec, TlsSpec,
};
use crate::units::{ByteSize, Period};

pub(super) fn spec(sink: &SinkSettings) -> LogSinkSpec {
    let mut spec = LogSinkSpec {
        queue: None,
        kafka: None,
        file: None,
        stdout: None,
        blackhole: None,
        encoding: Some(sink.encoding),
        compression: Some(compression(sink.compression)),
        batch: Some(BatchSpec {
            bytes: Some(super::size(sink.batch.bytes_max)),
            records: Some(super::count(sink.batch.records_max)),
            linger: Some(Period::from(sink.batch.linger)),
        }),
        retry: Some(RetrySpec {
            initial: Some(Period::from(sink.retry.initial)),
            max: Some(Period::from(sink.retry.max)),
        }),
    };
    match &sink.target {
        SinkTarget::Queue(it) => spec.queue = Some(queue(it)),
        SinkTarget::Kafka(it) => spec.kafka = Some(kafka(it)),
        SinkTarget::File(it) => spec.file = Some(file(it)),
        SinkTarget::Stdout => spec.stdout = Some(StdoutSpec {}),
        SinkTarget::Blackhole => spec.blackhole = Some(BlackholeSpec {}),
    }
    spec
}

fn queue(queue: &QueueSettings) -> QueueSpec {
    QueueSpec {
        path: Some(queue.path.to_string_lossy().into_owned()),
        segment_bytes: Some(ByteSize(queue.segment_bytes)),
        retention: Some(RetentionSpec {
            bytes: Some(ByteSize(queue.retention_bytes)),
            age: Some(queue.retention_age.map_or(Period::ms(0), Period::from)),
        }),
        sync_interval: Some(Period::from(queue.sync_interval)),
    }
}

fn kafka(kafka: &KafkaSettings) -> KafkaSpec {
    let text = |path: &Path| Some(path.to_string_lossy().into_owned());
    KafkaSpec {
        brokers: Some(kafka.brokers.clone()),
        topic: Some(kafka.topic.clone()),
        payload_compression: Some(compression(kafka.payload_compression)),
        delivery: Some(kafka.delivery),
        in_flight: Some(super::size(kafka.in_flight_bytes)),
        read_back: Some(ByteSize(kafka.read_back_bytes)),
        tls: kafka.tls.as_ref().map(|it| TlsSpec {
            ca_file: it.ca_file.as_deref().and_then(text),
            certificate_file: it.identity.as_ref().and_then(|it| text(&it.0)),
            key_file: it.identity.as_ref().and_then(|it| text(&it.1)),
        }),
        sasl: kafka.sasl.as_ref().map(|it| SaslSpec {
            mechanism: Some(it.mechanism),
            username: Some(it.username.clone()),
            password_file: text(&it.password_file),
        }),
    }
}

fn file(file: &FileSinkSettings) -> FileSinkSpec {
    FileSinkSpec {
        path: Some(file.path.to_string_lossy().into_owned()),
        rotate_bytes: Some(ByteSize(file.rotate_bytes)),
        keep: Some(super::count(file.keep)),
    }
}

fn compression(compression: CompressionSettings) -> CompressionSpec {
    let (codec, level) = match compression {
        CompressionSettings::Zstd { level } => (CodecName::Zstd, Some(level)),
        CompressionSettings::Lz4 { level } => (CodecName::Lz4, level),
        CompressionSettings::Gzip { level } => (CodecName::Gzip, Some(level)),
        CompressionSettings::Snappy => (CodecName::Snappy, None),
        CompressionSettings::None => (CodecName::None, None),
    };
    CompressionSpec { codec: Some(codec), level }
}
