//! Passthrough: whether the kernel can let applications write to the store by itself.

use rustix::thread::CapabilitySet;

/// What the kernel offers with its first request if it can (`FUSE_PASSTHROUGH`, since Linux 6.9).
const OFFERED: u64 = 1 << 37;

/// Why not, if it cannot; `offered` is what the kernel offers.
#[must_use]
pub fn refusal(offered: u64) -> Option<&'static str> {
    if offered & OFFERED == 0 {
        return Some("this kernel lets no writes pass; it can from 6.9 on");
    }
    let is_admin = rustix::thread::capabilities(None)
        .is_ok_and(|it| it.effective.contains(CapabilitySet::SYS_ADMIN));
    // Of a user namespace of its own, the right is none here.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (!is_admin || !is_whole).then_some("it takes the machine's CAP_SYS_ADMIN to let writes pass")
}
