//! A sink's settings as its spec.

use std::path::Path;

use crate::settings::{
    CompressionSettings, FileSinkSettings, KafkaSettings, QueueSettings, SaslSettings,
    SecretSource, SinkSettings, SinkTarget, TlsSettings, UserName,
};
use crate::spec::{
    BatchSpec, BlackholeSpec, CodecName, CompressionSpec, FileSinkSpec, KafkaSpec, LogSinkSpec,
    QueueSpec, RetentionSpec, RetrySpec, SaslMechanism, SaslSpec, StdoutSpec, TlsSpec,
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
    KafkaSpec {
        brokers: Some(kafka.brokers.clone()),
        topic: Some(kafka.topic.clone()),
        payload_compression: Some(compression(kafka.payload_compression)),
        delivery: Some(kafka.delivery),
        in_flight: Some(super::size(kafka.in_flight_bytes)),
        read_back: Some(ByteSize(kafka.read_back_bytes)),
        tls: kafka.tls.as_ref().map(tls),
        sasl: kafka.sasl.as_ref().map(sasl),
    }
}

fn tls(tls: &TlsSettings) -> TlsSpec {
    let identity = tls.identity.as_ref();
    let (key_password_file, key_password_env) =
        places(identity.and_then(|it| it.key_password.as_ref()));
    TlsSpec {
        ca_file: tls.ca_file.as_deref().map(text),
        certificate_file: identity.map(|it| text(&it.certificate)),
        key_file: identity.map(|it| text(&it.key)),
        key_password_file,
        key_password_env,
        ..TlsSpec::default()
    }
}

fn sasl(sasl: &SaslSettings) -> SaslSpec {
    match sasl {
        SaslSettings::Token { file } => SaslSpec {
            mechanism: Some(SaslMechanism::OauthBearer),
            token_file: Some(text(file)),
            ..SaslSpec::default()
        },
        SaslSettings::Password { mechanism, username, password } => {
            let (password_file, password_env) = places(Some(password));
            let (written, kept) = match username {
                UserName::Written(name) => (Some(name.clone()), None),
                UserName::Kept(source) => (None, Some(source)),
            };
            let (username_file, username_env) = places(kept);
            SaslSpec {
                mechanism: Some(*mechanism),
                username: written,
                username_file,
                username_env,
                password_file,
                password_env,
                ..SaslSpec::default()
            }
        }
    }
}

/// The fields for a file and for a variable.
fn places(source: Option<&SecretSource>) -> (Option<String>, Option<String>) {
    match source {
        Some(SecretSource::File(path)) => (Some(text(path)), None),
        Some(SecretSource::Variable(name)) => (None, Some(name.clone())),
        None => (None, None),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
