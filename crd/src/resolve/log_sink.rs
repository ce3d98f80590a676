//! Sinks: where logs go, and how they are packed.

use std::path::Path;

use crate::report::Check;
use crate::settings::{
    BatchSettings, CompressionSettings, FileSinkSettings, QueueSettings, RetrySettings,
    SinkSettings, SinkTarget,
};
use crate::spec::{
    BatchSpec, CodecName, Encoding, FileSinkSpec, LogSinkSpec, QueueSpec, RetrySpec,
};
use crate::units::Period;
use crate::{defaults, limits};

mod access;
mod compression;
mod kafka;

use compression::What;

/// `secrets` is the folder of the Secrets that a sink may name.
pub(super) fn resolve(
    mut spec: LogSinkSpec,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<SinkSettings> {
    let batch = batch(&spec.batch.take().unwrap_or_default(), check);
    let retry = retry(&spec.retry.take().unwrap_or_default(), check);
    let writes_text = spec.file.is_some() || spec.stdout.is_some();
    let (is_queue, is_kafka) = (spec.queue.is_some(), spec.kafka.is_some());
    let default_encoding = if writes_text { defaults::TEXT_ENCODING } else { defaults::ENCODING };
    let encoding = spec.encoding.unwrap_or(default_encoding);
    if encoding.is_of_single_records() && !is_kafka {
        check.error("spec.encoding", "only for kafka", "write otlp_proto or json_lines");
    }
    let target = target(&mut spec, encoding, secrets, check);
    let default_codec = match &target {
        // What is compressed already gains nothing.
        Some(SinkTarget::Kafka(it)) if it.payload_compression != CompressionSettings::None => {
            CodecName::None
        }
        _ if is_queue || is_kafka => CodecName::Zstd,
        _ => CodecName::None,
    };
    let what = match (writes_text, is_kafka) {
        (true, _) => What::Text,
        (false, true) => What::RecordBatches,
        (false, false) => What::Blocks,
    };
    let compression = spec.compression.unwrap_or_default();
    let compression =
        compression::resolve("spec.compression", &compression, what, default_codec, check);
    Some(SinkSettings {
        name: check.document.name.clone(),
        target: target?,
        encoding,
        compression,
        batch,
        retry,
    })
}

/// The one target that is written.
fn target(
    spec: &mut LogSinkSpec,
    encoding: Encoding,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<SinkTarget> {
    let cure = "write exactly one of `queue`, `kafka`, `file`, `stdout: {}` and `blackhole: {}`";
    let written = [
        ("spec.queue", spec.queue.is_some()),
        ("spec.kafka", spec.kafka.is_some()),
        ("spec.file", spec.file.is_some()),
        ("spec.stdout", spec.stdout.is_some()),
        ("spec.blackhole", spec.blackhole.is_some()),
    ];
    let mut paths = written.into_iter().filter(|&(_, is_some)| is_some).map(|(path, _)| path);
    let Some(first) = paths.next() else {
        if !written.iter().any(|(path, _)| check.document.is_broken(path)) {
            check.missing("spec", &format!("say where logs go: {cure}"));
        }
        return None;
    };
    let target = match first {
        "spec.queue" => queue(spec.queue.take()?, check).map(SinkTarget::Queue),
        "spec.kafka" => {
            kafka::resolve(spec.kafka.take()?, encoding, secrets, check).map(SinkTarget::Kafka)
        }
        "spec.file" => file(spec.file.take()?, check).map(SinkTarget::File),
        "spec.stdout" => Some(SinkTarget::Stdout),
        _ => Some(SinkTarget::Blackhole),
    };
    for second in paths {
        check.error(second, &format!("beside {first}"), cure);
    }
    target
}

fn queue(spec: QueueSpec, check: &mut Check<'_>) -> Option<QueueSettings> {
    if spec.path.is_none() {
        let cure = "write the queue's directory, such as /var/lib/logferry/queue";
        check.missing("spec.queue.path", cure);
    }
    let path = check.absolute("spec.queue.path", spec.path);
    let segment = check.ranged(
        "spec.queue.segmentBytes",
        spec.segment_bytes,
        defaults::QUEUE_SEGMENT_BYTES,
        &limits::QUEUE_SEGMENT_BYTES,
    );
    let retention = spec.retention.unwrap_or_default();
    let bytes_path = "spec.queue.retention.bytes";
    let bytes = check.ranged(
        bytes_path,
        retention.bytes,
        defaults::QUEUE_RETENTION_BYTES,
        &limits::QUEUE_RETENTION_BYTES,
    );
    let is_known = !check.document.is_broken(bytes_path)
        && !check.document.is_broken("spec.queue.segmentBytes");
    if is_known && bytes.0 / 2 < segment.0 {
        let why = format!("below two segments of {segment}");
        check.error(bytes_path, &why, "write more, or a smaller queue.segmentBytes");
    }
    let age = match retention.age {
        Some(age) if age == Period::ms(0) => None,
        age => Some(check.ranged(
            "spec.queue.retention.age",
            age,
            defaults::QUEUE_RETENTION_AGE,
            &limits::QUEUE_RETENTION_AGE,
        )),
    };
    let sync_interval = check.ranged(
        "spec.queue.syncInterval",
        spec.sync_interval,
        defaults::QUEUE_SYNC_INTERVAL,
        &limits::QUEUE_SYNC_INTERVAL,
    );
    Some(QueueSettings {
        path: path?,
        segment_bytes: segment.0,
        retention_bytes: bytes.0,
        retention_age: age.map(Period::duration),
        sync_interval: sync_interval.duration(),
    })
}

fn file(spec: FileSinkSpec, check: &mut Check<'_>) -> Option<FileSinkSettings> {
    if spec.path.is_none() {
        check.missing("spec.file.path", "write the file's path, such as /var/log/logferry.jsonl");
    }
    let path = check.absolute("spec.file.path", spec.path);
    let rotate_bytes = check.ranged(
        "spec.file.rotateBytes",
        spec.rotate_bytes,
        defaults::FILE_ROTATE_BYTES,
        &limits::FILE_ROTATE_BYTES,
    );
    let keep =
        check.ranged("spec.file.keep", spec.keep, defaults::FILE_KEEP, &limits::FILE_KEEP) as usize;
    Some(FileSinkSettings { path: path?, rotate_bytes: rotate_bytes.0, keep })
}

fn batch(spec: &BatchSpec, check: &mut Check<'_>) -> BatchSettings {
    let bytes =
        check.ranged("spec.batch.bytes", spec.bytes, defaults::BATCH_BYTES, &limits::BATCH_BYTES);
    let records = check.ranged(
        "spec.batch.records",
        spec.records,
        defaults::BATCH_RECORDS,
        &limits::BATCH_RECORDS,
    );
    let linger = check.ranged(
        "spec.batch.linger",
        spec.linger,
        defaults::BATCH_LINGER,
        &limits::BATCH_LINGER,
    );
    BatchSettings {
        bytes_max: bytes.as_usize(),
        records_max: records as usize,
        linger: linger.duration(),
    }
}

fn retry(spec: &RetrySpec, check: &mut Check<'_>) -> RetrySettings {
    let initial = check.ranged(
        "spec.retry.initial",
        spec.initial,
        defaults::RETRY_INITIAL,
        &limits::RETRY_INITIAL,
    );
    let default_max = defaults::RETRY_MAX.max(initial);
    let max = check.ranged("spec.retry.max", spec.max, default_max, &limits::RETRY_MAX);
    if !check.document.is_broken("spec.retry") && max < initial {
        let why = format!("below retry.initial, which is {initial}");
        check.error("spec.retry.max", &why, &format!("write at least {initial}"));
    }
    RetrySettings { initial: initial.duration(), max: max.duration() }
}
