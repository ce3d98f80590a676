//! Allocator: makes glibc give back what is freed, or keep what is used again. The one place with unsafe code.

/// Blocks of this size and more are maps of their own, in bytes: glibc's default.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAP_BYTES_MIN: libc::c_int = 128 << 10;
/// The same with a Kafka sink: more than its client takes at once for a record batch of 1 MB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAP_BYTES_MIN_KAFKA: libc::c_int = 2 << 20;
/// Free bytes at the end of a heap that are kept, with a Kafka sink: twice what a lane has on its way.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX_KAFKA: libc::c_int = 16 << 20;

/// Sets the size from which on a block of memory is a map of its own, so that it is given back when it is
/// freed, and grows without being copied.
///
/// Unless it is set, glibc raises it to the size of the largest block that was ever freed (up to 32 MiB),
/// and what a table leaves behind when it grows is a hole for ever: 40 MiB with 100,000 files.
///
/// A Kafka client copies each message, and makes buffers and a compressor anew for each record batch: as maps,
/// their pages are asked of the kernel and zeroed each time, 800 a megabyte of logs, at as much CPU as compressing.
/// So with such a sink, blocks of that size stay in the heap.
pub(crate) fn give_back_what_is_freed(has_kafka: bool) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let is_set = if has_kafka {
        set(libc::M_MMAP_THRESHOLD, MAP_BYTES_MIN_KAFKA)
            && set(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX_KAFKA)
    } else {
        set(libc::M_MMAP_THRESHOLD, MAP_BYTES_MIN)
    };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let is_set = {
        let _ = has_kafka;
        true
    };
    if !is_set {
        tracing::warn!("memory that is freed may be kept: mallopt refused");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no library offers it")]
fn set(parameter: libc::c_int, value: libc::c_int) -> bool {
    // SAFETY: `mallopt` only sets a parameter. It is called before there is another thread.
    unsafe { libc::mallopt(parameter, value) == 1 }
}
