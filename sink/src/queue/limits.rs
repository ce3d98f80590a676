//! Limits: what may stand in a queue, and the defaults of what an administrator may set.
//!
//! A writer refuses what is beyond them, and a reader takes a length beyond them for damage before
//! it allocates anything by it.

use std::time::Duration;

use super::batch_frame::POSITION_BYTES;

/// Longest tenant name, in bytes: that of a DNS label, which namespaces are.
pub const TENANT_BYTES_MAX: usize = 63;

/// Largest block before compression, in bytes.
///
/// 64 MiB: four times the largest chunk, and what a reader must be able to hold to look at one line.
pub const BLOCK_RAW_BYTES_MAX: u32 = 64 << 20;

/// Largest block as stored, in bytes: the raw maximum, and what a codec adds to random bytes.
pub const BLOCK_BYTES_MAX: u32 = BLOCK_RAW_BYTES_MAX + (1 << 20);

/// Largest header part of a frame, in bytes.
///
/// 4 MiB: the most sections at three positions each, or a context with large annotations.
pub const HEADER_PART_BYTES_MAX: u32 = 4 << 20;

/// Most sections in one batch frame: ten thousand quiet pods of one tenant, and room.
pub const BATCH_SECTIONS_MAX: usize = 16 << 10;

/// Most positions in one section: generations that one span touches.
pub const SECTION_POSITIONS_MAX: usize = 1024;

/// Most attributes of one context.
pub const CONTEXT_ATTRIBUTES_MAX: usize = 4096;

/// Most entries in one segment; with one more, a new segment is begun.
///
/// The writer holds the entries of its active segment until it is sealed: 64 Ki of them are 3 MiB.
pub const SEGMENT_ENTRIES_MAX: usize = 64 << 10;

/// Most positions in one segment; with more, a new segment is begun. 12 MiB of memory at most.
pub const SEGMENT_POSITIONS_MAX: usize = 256 << 10;

/// Largest `segment_bytes` that may be set.
///
/// 4 GiB: a crash costs one walk over the active segment, and retention works by whole segments.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// Bytes of one tenant that may be written and not yet synced; with more, its sinks are busy.
///
/// 64 MiB: what a disk of 640 MB/s takes in one sync interval. It bounds the tickets that wait,
/// should a disk stop answering.
pub const UNSYNCED_BYTES_MAX: u64 = 64 << 20;

/// Default of `segment_bytes`.
///
/// 64 MiB: small against what is retained, so that retention is fine-grained; large enough that
/// sealing and opening cost nothing; and walked in a tenth of a second after a crash.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// Default of `retain_bytes`, per tenant.
///
/// 10 GiB: a day of a tenant that logs 1 MB/s, compressed about eightfold.
pub const RETAIN_BYTES_DEFAULT: u64 = 10 << 30;

/// Default of `retain_age`. Seven days: a week-end and the days to notice.
pub const RETAIN_AGE_DEFAULT: Duration = Duration::from_hours(7 * 24);

/// Default of `sync_interval`.
///
/// 100 ms: ten syncs a second are cheap on any disk, and the delay to an acknowledgement is far
/// below the second within which checkpoints are stored.
pub const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_millis(100);

/// Longest `sync_interval` that may be set: what is not synced is read again after a crash.
pub const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);

// An index is one block, and it must fit.
const _: () = assert!(
    (SEGMENT_ENTRIES_MAX + BATCH_SECTIONS_MAX) * (48 + 24)
        + SEGMENT_POSITIONS_MAX * 2 * POSITION_BYTES
        < BLOCK_BYTES_MAX as usize
);
// A batch of as many sections as may be, with three positions each, fits a header part.
const _: () =
    assert!(BATCH_SECTIONS_MAX * (64 + 3 * POSITION_BYTES) < HEADER_PART_BYTES_MAX as usize);
const _: () = assert!(BLOCK_BYTES_MAX as u64 <= SEGMENT_BYTES_MAX);
