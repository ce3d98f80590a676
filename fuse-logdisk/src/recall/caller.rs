//! Caller: whether the thread that reads is to stop reading.
//!
//! The kernel asks for that by a request of its own (`FUSE_INTERRUPT`), which fuser does not hand on. What it asks for can be
//! seen, too: a signal waits for the thread that it neither blocks nor ignores.

use std::path::Path;

/// Whether a signal waits for this thread. Not if nobody can tell: it is in a namespace that cannot be seen from here.
pub(super) fn is_interrupted(thread: u32) -> bool {
    if thread == 0 {
        return false;
    }
    let status =
        std::fs::read_to_string(Path::new("/proc").join(thread.to_string()).join("status"));
    status.is_ok_and(|it| has_signal(&it))
}

fn has_signal(status: &str) -> bool {
    let set = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name));
        line.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0)
    };
    let pending = set("SigPnd:") | set("ShdPnd:");
    pending & !set("SigBlk:") & !set("SigIgn:") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_neither_blocked_nor_ignored_interrupts() {
        let status = |pending: u64, shared: u64, blocked: u64, ignored: u64| {
            format!(
                "Name:\tcat\nSigQ:\t0/1\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\n\
                 SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t0\n"
            )
        };
        assert!(!has_signal(&status(0, 0, 0, 0)));
        assert!(has_signal(&status(0x100, 0, 0, 0)), "it is being killed");
        assert!(has_signal(&status(0, 2, 0x10, 0)));
        assert!(!has_signal(&status(0, 2, 2, 0)) && !has_signal(&status(2, 0, 0, 2)));
    }

    #[test]
    fn who_cannot_be_seen_is_not_interrupted() {
        assert!(!is_interrupted(0));
        assert!(!is_interrupted(u32::MAX));
        assert!(!is_interrupted(std::process::id()));
    }
}
