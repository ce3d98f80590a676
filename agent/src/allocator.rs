//! Allocator: makes glibc give back what is freed. The one place with unsafe code.

/// Blocks of this size and more are maps of their own, in bytes: glibc's default.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAP_BYTES_MIN: libc::c_int = 128 << 10;

/// Sets the size from which on a block of memory is a map of its own, so that it is given back when it is
/// freed, and grows without being copied.
///
/// Unless it is set, glibc raises it to the size of the largest block that was ever freed (up to 32 MiB),
/// and what a table leaves behind when it grows is a hole for ever: 40 MiB with 100,000 files.
#[expect(unsafe_code, reason = "no library offers it")]
pub(crate) fn give_back_what_is_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets a parameter. It is called before there is another thread.
    let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAP_BYTES_MIN) == 1 };
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let is_set = true;
    if !is_set {
        tracing::warn!("memory that is freed may be kept: mallopt refused");
    }
}
