//! The range of every number, and what bounds the configuration itself.

use std::fmt::Display;
use std::time::Duration;

use crate::units::{ByteSize, Period};

/// From `min` to `max`, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// Smallest value allowed.
    pub min: T,
    /// Largest value allowed.
    pub max: T,
}

impl<T: PartialOrd> Range<T> {
    const fn new(min: T, max: T) -> Range<T> {
        Range { min, max }
    }

    /// Whether `value` is allowed.
    pub fn contains(&self, value: &T) -> bool {
        *value >= self.min && *value <= self.max
    }
}

impl<T: Display> Display for Range<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// Agent `memory`: at most what one host has; what it needs at least, its parts say.
pub const MEMORY: Range<ByteSize> = Range::new(ByteSize::mib(1), ByteSize::gib(1024));
/// Agent `readers`: more threads than cores only queue.
pub const READERS: Range<u32> = Range::new(1, 64);
/// Agent `shippers`: as `readers`.
pub const SHIPPERS: Range<u32> = Range::new(1, 64);
/// Agent `chunkBytes`: a page; and what a record's 32 bit offsets and a budget's grain allow.
pub const CHUNK_BYTES: Range<ByteSize> = Range::new(ByteSize::kib(4), ByteSize::mib(16));
/// Agent `shutdownGrace`.
pub const SHUTDOWN_GRACE: Range<Period> = Range::new(Period::secs(1), Period::secs(600));
/// Agent `checkpointInterval`.
pub const CHECKPOINT_INTERVAL: Range<Period> = Range::new(Period::ms(50), Period::secs(10));
/// Agent `scanInterval`: a scan must end before the next begins.
pub const SCAN_INTERVAL: Range<Period> = Range::new(Period::ms(100), Period::secs(300));
/// Agent `podLabels`: each is written once per section of each of the pod's containers.
pub const POD_LABELS_MAX: usize = 16;
/// Longest key of a label, by the rules of Kubernetes: a DNS name of 253 bytes, a slash and 63 more.
pub const LABEL_KEY_BYTES_MAX: usize = 317;
/// Agent `openFilesMax`: up to the kernel's default `nr_open`.
pub const OPEN_FILES_MAX: Range<u32> = Range::new(16, 1_048_576);
/// Agent `spool.bytes`: from a few chunks to what one host has.
pub const SPOOL_BYTES: Range<ByteSize> = Range::new(ByteSize::mib(1), ByteSize::gib(1 << 20));
/// Agent `pinnedBytesMax`: from no waiting for removed files to what one host has.
pub const PINNED_BYTES_MAX: Range<ByteSize> = Range::new(ByteSize(0), ByteSize::gib(1 << 20));

/// For how long an agent gathers what it tells the cluster of its node: 1,000 nodes of which each has something to say
/// make 33 writes a second.
pub const NODE_STATUS_PERIOD: Duration = Duration::from_secs(30);

/// LogConfig `line.maxBytes`: up to the largest chunk.
pub const LINE_BYTES: Range<ByteSize> = Range::new(ByteSize::kib(1), ByteSize::mib(16));
/// LogConfig `line.flushTimeout`.
pub const LINE_FLUSH_TIMEOUT: Range<Period> = Range::new(Period::ms(10), Period::secs(300));
/// LogConfig `multiline.timeout`.
pub const MULTILINE_TIMEOUT: Range<Period> = LINE_FLUSH_TIMEOUT;
/// LogConfig `multiline.maxLines`: fewer than the 16,384 that are looked at in one go.
pub const MULTILINE_LINES: Range<u32> = Range::new(2, 10_000);
/// LogConfig `multiline.maxBytes`; also at most `line.maxBytes`.
pub const MULTILINE_BYTES: Range<ByteSize> = LINE_BYTES;
/// LogConfig `rotation.lateWrites`.
pub const LATE_WRITES: Range<Period> = Range::new(Period::ms(0), Period::secs(600));

/// LogSink `queue.segmentBytes`: holds at least one of the largest batches.
pub const QUEUE_SEGMENT_BYTES: Range<ByteSize> = Range::new(ByteSize::mib(1), ByteSize::gib(4));
/// LogSink `queue.retention.bytes`; also at least two segments.
pub const QUEUE_RETENTION_BYTES: Range<ByteSize> =
    Range::new(ByteSize::mib(2), ByteSize::gib(1 << 20));
/// LogSink `queue.retention.age`, unless 0.
pub const QUEUE_RETENTION_AGE: Range<Period> = Range::new(Period::secs(60), Period::days(3650));
/// LogSink `queue.syncInterval`.
pub const QUEUE_SYNC_INTERVAL: Range<Period> = Range::new(Period::ms(0), Period::secs(10));
/// LogSink `kafka.inFlight`.
pub const KAFKA_IN_FLIGHT: Range<ByteSize> = Range::new(ByteSize::kib(64), ByteSize::gib(1));
/// LogSink `kafka.readBack`.
pub const KAFKA_READ_BACK: Range<ByteSize> = Range::new(ByteSize::mib(1), ByteSize::gib(1024));
/// LogSink `file.rotateBytes`.
pub const FILE_ROTATE_BYTES: Range<ByteSize> = Range::new(ByteSize::kib(64), ByteSize::gib(1024));
/// LogSink `file.keep`.
pub const FILE_KEEP: Range<u32> = Range::new(1, 1000);
/// LogSink `compression.level` of zstd, from its manual; also that of `kafka.payloadCompression`.
pub const ZSTD_LEVEL: Range<i32> = Range::new(1, 19);
/// The same of Kafka's record batches, for which librdkafka allows no more of any codec.
pub const KAFKA_ZSTD_LEVEL: Range<i32> = Range::new(1, 12);
/// LogSink `compression.level` of lz4, for Kafka; from 3 on by its slow compressor.
pub const KAFKA_LZ4_LEVEL: Range<i32> = Range::new(1, 12);
/// LogSink `compression.level` of gzip, from zlib's manual.
pub const GZIP_LEVEL: Range<i32> = Range::new(1, 9);
/// LogSink `batch.bytes`: as `chunkBytes`, of which a batch holds at least one.
pub const BATCH_BYTES: Range<ByteSize> = Range::new(ByteSize::kib(4), ByteSize::mib(16));
/// LogSink `batch.records`.
pub const BATCH_RECORDS: Range<u32> = Range::new(1, 1_000_000);
/// LogSink `batch.linger`.
pub const BATCH_LINGER: Range<Period> = Range::new(Period::ms(0), Period::secs(10));
/// LogSink `retry.initial`.
pub const RETRY_INITIAL: Range<Period> = Range::new(Period::ms(10), Period::secs(60));
/// LogSink `retry.max`; also at least `retry.initial`.
pub const RETRY_MAX: Range<Period> = Range::new(Period::ms(10), Period::secs(600));

/// LogTenant `memory.reserved`; also at least `chunkBytes`.
pub const TENANT_RESERVED: Range<ByteSize> = Range::new(ByteSize::kib(4), ByteSize::gib(1024));
/// LogTenant `memory.max`; also at least `memory.reserved`.
pub const TENANT_MAX: Range<ByteSize> = TENANT_RESERVED;
/// LogTenant `weight`: shares of one in ten thousand are as fine as anybody needs.
pub const WEIGHT: Range<u32> = Range::new(1, 10_000);
/// LogTenant `priority`: as the `value` of a Kubernetes PriorityClass that users may define.
pub const PRIORITY: Range<i32> = Range::new(i32::MIN, 1_000_000_000);
/// LogTenant `limits.maxLag`: below a second every pause would be too long.
pub const MAX_LAG: Range<Period> = Range::new(Period::secs(1), Period::days(30));
/// LogTenant `limits.sampleOneIn` and LogConfig `sampling.oneIn`: one in one is no sample.
pub const SAMPLE_ONE_IN: Range<u32> = Range::new(2, 1_000_000);
/// LogTenant `spoolBytes`; also at most the spool's `bytes`.
pub const TENANT_SPOOL_BYTES: Range<ByteSize> = SPOOL_BYTES;
/// LogTenant `inFlightBytes`; also at least `chunkBytes`.
pub const TENANT_IN_FLIGHT: Range<ByteSize> = TENANT_RESERVED;
/// LogTenant `openFiles`: a file that is read and one that was rotated; also at most `openFilesMax`.
pub const TENANT_OPEN_FILES: Range<u32> = Range::new(2, 1_048_576);

/// `bytesPerSecond` of any `limits`.
pub const BYTES_PER_SECOND: Range<ByteSize> = Range::new(ByteSize::kib(1), ByteSize::gib(1024));
/// `recordsPerSecond` of any `limits`.
pub const RECORDS_PER_SECOND: Range<u32> = Range::new(1, 1_000_000_000);
/// `burst` of any `limits`: from a hundredth of a second's worth, as what is read comes in chunks.
pub const BURST: Range<Period> = Range::new(Period::ms(10), Period::secs(60));

/// LogConfig `logDisk.size`: some files, and a little of each for readers; the driver of a node allows less.
pub const LOG_DISK_SIZE: Range<ByteSize> = Range::new(ByteSize::mib(1), ByteSize::gib(1024));
/// LogConfig `logDisk.keep`.
pub const LOG_DISK_KEEP: Range<ByteSize> = Range::new(ByteSize(0), ByteSize::gib(1024));
/// LogConfig `logDisk.fullTimeout`: an hour is the driver's most.
pub const LOG_DISK_FULL_TIMEOUT: Range<Period> = Range::new(Period::ms(0), Period::secs(3600));
/// LogConfig `logDisk.fsyncTimeout`: as `fullTimeout`.
pub const LOG_DISK_FSYNC_TIMEOUT: Range<Period> = Range::new(Period::secs(1), Period::secs(3600));
/// LogConfig `logDisk.folders`: each takes three processes on the node.
pub const LOG_DISK_FOLDERS_MAX: usize = 8;

/// Longest name of a tenant, in characters: it is a directory and a label.
pub const TENANT_CHARS_MAX: usize = 63;
/// Longest topic of a LogConfig, in characters: with tenant, namespace and what is fixed of the LogSink's it has to
/// be one of Kafka's, and a logstore of Alibaba's log service has as many.
pub const TOPIC_CHARS_MAX: usize = 63;
/// Longest name of a resource, in characters: Kubernetes' limit for a DNS subdomain.
pub const NAME_CHARS_MAX: usize = 253;
/// Most globs in one list; each is tried on each new file or container.
pub const GLOBS_MAX: usize = 256;
/// Longest glob, in bytes: the kernel's `PATH_MAX`.
pub const GLOB_BYTES_MAX: usize = 4096;
/// Longest regular expression, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// Most memory of a compiled regular expression, in bytes.
///
/// 1 MiB: a hundred times what usual ones take. Repetitions in repetitions would take any amount, and
/// time in proportion for each byte of a line.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most memory of a regular expression as a table of states, in bytes.
///
/// 1 MiB: with it each byte of a line is one step. A date with digits of Unicode takes 0.2 MiB, two words 0.7 MiB.
pub const PATTERN_TABLE_BYTES_MAX: usize = 1 << 20;
/// Most states of a regular expression that asks for words of Unicode: as many steps may each byte take, in lines that
/// are not ASCII.
///
/// 64: the names of seven levels of logs take 42.
pub const PATTERN_UNICODE_WORD_STATES_MAX: usize = 64;
/// Deepest nesting of a regular expression: its parser is recursive.
pub const PATTERN_DEPTH_MAX: u32 = 32;

/// Most labels of one selector, and most values of one of its expressions; each is compared with each new pod.
pub const LABELS_MAX: usize = 64;
/// Longest name and longest value of a label, in characters: Kubernetes' limit.
pub const LABEL_CHARS_MAX: usize = 63;
/// Longest value of an environment variable that is looked for, in bytes.
pub const ENV_VALUE_BYTES_MAX: usize = 1024;
/// Longest key of a Secret, in characters: Kubernetes' limit.
pub const SECRET_KEY_CHARS_MAX: usize = 253;

/// Largest configuration file, in bytes: as large as a Kubernetes ConfigMap can be.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most configuration files of one load.
pub const FILES_MAX: usize = 1024;
/// Deepest nesting of a document; the deepest resource has six levels.
pub const YAML_DEPTH_MAX: usize = 32;
/// Most resources of one load: a cluster of a thousand namespaces has fewer.
pub const RESOURCES_MAX: usize = 4096;
/// Most resources of a cluster that one node takes: a part of [`RESOURCES_MAX`], the rest is for files.
pub const CANDIDATES_MAX: usize = 3072;
/// How often what is broken is left out, and the rest looked at again: resources depend on each other over
/// few steps, and those that break files are found one by one.
pub const CULPRITS_MAX: usize = 64;
/// Most problems told at once.
pub const PROBLEMS_MAX: usize = 1000;
/// Most problems told of one document: who has more has one cause.
pub const DOCUMENT_PROBLEMS_MAX: usize = 50;
