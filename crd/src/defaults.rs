//! Every default of the configuration, with its reason.

use crate::spec::{
    AtLimitName, Delivery, Encoding, Format, LogFormat, LogLevel, StartAt, TextEncoding,
};
use crate::units::{ByteSize, Period};

// ---- Agent ----

/// `stateDirectory`: where the file-system hierarchy standard puts a service's state.
pub const STATE_DIRECTORY: &str = "/var/lib/logferry";
/// `secretsDirectory`: beside the configuration, where the Helm chart mounts Secrets.
pub const SECRETS_DIRECTORY: &str = "/etc/logferry/secrets";
/// `containerRuntime.kubeletDirectory`: the kubelet's own default (`--root-dir`).
pub const KUBELET_DIRECTORY: &str = "/var/lib/kubelet";

/// `podLogsDirectory`: the kubelet's own default of `podLogsDir`.
pub const POD_LOGS_DIRECTORY: &str = "/var/log/pods";
/// `listen`: loopback only, since metrics tell about tenants.
pub const LISTEN: &str = "127.0.0.1:9180";
/// Data in flight where `memory` is not written and nothing else limits it: room for a dozen tenants' reserves,
/// and a fraction of what a node spares for an agent.
pub const DATA_BYTES: ByteSize = ByteSize::mib(32);
/// `readers`: one thread reads and compresses some 400 MB/s, more than most nodes write.
pub const READERS: u32 = 1;
/// `shippers`: one thread writes what many readers compress.
pub const SHIPPERS: u32 = 1;
/// `chunkBytes`: sixteen of the CRI log format's 16 KiB pieces, and small beside any reserve.
pub const CHUNK_BYTES: ByteSize = ByteSize::kib(256);
/// `shutdownGrace`: below the 30 s that Kubernetes gives a pod before it kills it.
pub const SHUTDOWN_GRACE: Period = Period::secs(25);
/// `checkpointInterval`: what a crash makes us read again; twice within the promised second.
pub const CHECKPOINT_INTERVAL: Period = Period::ms(500);
/// `scanInterval`: how late a new file is seen where notifications are lost or do not exist.
pub const SCAN_INTERVAL: Period = Period::secs(1);
/// `openFilesMax`: eighteen rotated and live files of each of a node's 110 pods.
pub const OPEN_FILES_MAX: u32 = 2048;
/// `pinnedBytesMax`: a hundred of the kubelet's 10 MiB files, and a hundredth of a node's usual disk.
pub const PINNED_BYTES_MAX: ByteSize = ByteSize::gib(1);
/// `burst` of any `limits`: a second's worth, so that what comes in gusts is not delayed.
pub const BURST: Period = Period::secs(1);
/// `spool.path`: this folder of `stateDirectory`.
pub const SPOOL_FOLDER: &str = "spool";
/// `spool.bytes`: as `pinnedBytesMax`, for the same reasons.
pub const SPOOL_BYTES: ByteSize = ByteSize::gib(1);
/// `spool.bytesPerTenant`: a quarter of the spool, so that three that are down leave room for a fourth.
pub const SPOOL_BYTES_PER_TENANT: ByteSize = ByteSize::mib(256);
/// `spool.drainBytesPerSecond`: a full spool is empty after two minutes, beside what is new.
pub const SPOOL_DRAIN_BYTES_PER_SECOND: ByteSize = ByteSize::mib(10);
/// `log.level`: lifecycle events and whatever needs a human.
pub const LOG_LEVEL: LogLevel = LogLevel::Info;
/// `log.format`: a human reads it first.
pub const LOG_FORMAT: LogFormat = LogFormat::Text;

// ---- LogConfig ----

/// `sink`: the name that a LogSink takes so that no LogConfig has to name it.
pub const SINK: &str = "default";
/// `source.containers.followLinksInto`: where Docker keeps the logs that the kubelet's links lead to.
pub const CONTAINERS_LINK_TARGET: &str = "/var/lib/docker/containers";
/// `include` of names: everything.
pub const INCLUDE_NAMES: &str = "*";
/// `startAt`: nothing is lost that was written before the agent came.
pub const START_AT: StartAt = StartAt::Beginning;
/// `format`: what a file's first lines and its place say.
pub const FORMAT: Format = Format::Auto;
/// `encoding`: bytes as they are.
pub const CHARACTERS: TextEncoding = TextEncoding::Utf8;
/// `line.maxBytes`: as `chunkBytes`, or that itself if it is smaller: a line fits a chunk.
pub const LINE_BYTES: ByteSize = ByteSize::kib(256);
/// `line.flushTimeout`: a writer that pauses within a line for longer has likely ended it.
pub const LINE_FLUSH_TIMEOUT: Period = Period::secs(1);
/// `multiline.timeout`: as `line.flushTimeout`; a trace is written in one go.
pub const MULTILINE_TIMEOUT: Period = Period::secs(1);
/// `multiline.maxLines`: a Java trace has 1024 frames at most, unless told otherwise, and its causes.
pub const MULTILINE_LINES: u32 = 2048;
/// `multiline.maxBytes`: half of a chunk, so that it fits one with the runtime's prefixes; or
/// `line.maxBytes` if that is smaller.
pub const MULTILINE_BYTES: ByteSize = ByteSize::kib(128);
/// `rotation.lateWrites`: writers commonly reopen their log within a few seconds of its rotation.
pub const LATE_WRITES: Period = Period::secs(5);
/// Tenant of files that no LogConfig gives to another.
pub const TENANT: &str = "default";

// ---- LogSink ----

/// `queue.segmentBytes`: a few files per GiB, and little to scan after a crash.
pub const QUEUE_SEGMENT_BYTES: ByteSize = ByteSize::mib(64);
/// `queue.retention.bytes`: leaves most of a small disk free.
pub const QUEUE_RETENTION_BYTES: ByteSize = ByteSize::gib(10);
/// `queue.retention.age`: a week, as Kafka keeps topics.
pub const QUEUE_RETENTION_AGE: Period = Period::days(7);
/// `queue.syncInterval`: ten syncs a second cost a disk little; nothing is acknowledged before one.
pub const QUEUE_SYNC_INTERVAL: Period = Period::ms(100);
/// `kafka.delivery`: any consumer sees a message as soon as it is stored.
pub const KAFKA_DELIVERY: Delivery = Delivery::Idempotent;
/// `kafka.inFlight`: some sixteen batches, enough for a broker far away.
pub const KAFKA_IN_FLIGHT: ByteSize = ByteSize::mib(8);
/// `kafka.readBack`: what a busy partition gets in seconds, and a broker gives in a few more.
pub const KAFKA_READ_BACK: ByteSize = ByteSize::gib(1);
/// `file.rotateBytes`: opens in any editor.
pub const FILE_ROTATE_BYTES: ByteSize = ByteSize::mib(100);
/// `file.keep`: half a gigabyte in all.
pub const FILE_KEEP: u32 = 5;
/// `encoding` of `queue` and `blackhole`: what collectors read without code.
pub const ENCODING: Encoding = Encoding::OtlpProto;
/// `encoding` of `file` and `stdout`: what people and their tools read.
pub const TEXT_ENCODING: Encoding = Encoding::JsonLines;
/// `compression.level`: the fastest regular level of zstd; the agent shares its node with others.
pub const ZSTD_LEVEL: i32 = 1;
/// `compression.level` of lz4: its fast compressor.
pub const LZ4_LEVEL: i32 = 1;
/// `compression.level` of gzip: its fastest, for the same reason.
pub const GZIP_LEVEL: i32 = 1;
/// `batch.bytes`: two chunks. Half of that costs one per cent of CPU and of size; more gains neither.
pub const BATCH_BYTES: ByteSize = ByteSize::kib(512);
/// `batch.records`: a batch of 16 byte lines.
pub const BATCH_RECORDS: u32 = 65_536;
/// `batch.linger`: what a quiet source's line waits for company; not felt by a human.
pub const BATCH_LINGER: Period = Period::ms(50);
/// `retry.initial`: a passing fault is over, a restart is not hammered.
pub const RETRY_INITIAL: Period = Period::ms(100);
/// `retry.max`: how late a recovery is noticed. Today's sinks are local: an attempt at a full disk is two
/// system calls, while seconds of pause would be more than most backlogs take.
pub const RETRY_MAX: Period = Period::ms(500);

// ---- LogTenant ----

/// `memory.reserved`: eight chunks; or `chunkBytes` if that is larger.
pub const TENANT_RESERVED: ByteSize = ByteSize::mib(2);
/// `memory.max`: half of the default memory, so that two fit; or the reserve if larger.
pub const TENANT_MAX: ByteSize = ByteSize::mib(16);
/// `weight`: room for a hundredth, and for a hundredfold.
pub const WEIGHT: u32 = 100;
/// `priority`: that of a pod without a PriorityClass; also of tenants without a LogTenant.
pub const PRIORITY: i32 = 0;
/// `limits.atLimit`: nothing is lost that could have waited.
pub const AT_LIMIT: AtLimitName = AtLimitName::Delay;

// The relations that hold with every value at its default.
const _: () = assert!(CHUNK_BYTES.0 <= TENANT_RESERVED.0);
const _: () = assert!(LINE_BYTES.0 <= CHUNK_BYTES.0);
const _: () = assert!(MULTILINE_BYTES.0 <= LINE_BYTES.0);
const _: () = assert!(TENANT_RESERVED.0 <= TENANT_MAX.0);
const _: () = assert!(TENANT_MAX.0 <= DATA_BYTES.0);
const _: () = assert!(SPOOL_BYTES_PER_TENANT.0 <= SPOOL_BYTES.0);
