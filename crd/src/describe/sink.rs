//! A sink's settings as its spec.

use crate::settings::{
    CompressionSettings, FileSinkSettings, QueueSettings, SinkSettings, SinkTarget,
};
use crate::spec::{
    BatchSpec, BlackholeSpec, CodecName, CompressionSpec, FileSinkSpec, LogSinkSpec, QueueSpec,
    RetentionSpec, RetrySpec, StdoutSpec,
};
use crate::units::{ByteSize, Period};

pub(super) fn spec(sink: &SinkSettings) -> LogSinkSpec {
    let mut spec = LogSinkSpec {
        queue: None,
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
        CompressionSettings::Lz4 => (CodecName::Lz4, None),
        CompressionSettings::None => (CodecName::None, None),
    };
    CompressionSpec { codec: Some(codec), level }
}
