//! Process: what the kernel says about the CPU time and memory of another process.
//!
//! Sources: `proc(5)`; `Documentation/scheduler/sched-stats.rst` of the kernel for `schedstat`.

use std::fs;
use std::io;

use rustix::param::clock_ticks_per_second;

use crate::clocks::SECOND_NS;

/// CPU time, user and system, of a whole process since its start, in nanoseconds.
///
/// In steps of a clock tick (10 ms). Threads that ended are in it, and it can still be asked of a
/// process that ended and was not reaped: what is left to say then is final.
///
/// # Errors
/// If there is no such process.
pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| not_understood("stat"))?;
    Ok(ticks * (SECOND_NS / clock_ticks_per_second()))
}

/// CPU time of the threads that a process has now, exact to the nanosecond.
///
/// # Errors
/// If there is no such process, or it ended while it was asked.
pub fn threads_cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += first_number(&schedstat).ok_or_else(|| not_understood("schedstat"))?;
    }
    Ok(sum)
}

/// CPU time of a process of one thread, exact to the nanosecond, even after its end.
///
/// # Errors
/// If there is no such process.
pub fn single_thread_cpu_ns(pid: u32) -> io::Result<u64> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    first_number(&schedstat).ok_or_else(|| not_understood("schedstat"))
}

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now (`VmRSS`).
    pub resident_bytes: u64,
    /// At most since its start (`VmHWM`).
    pub peak_bytes: u64,
}

/// Resident memory of a process that has not ended.
///
/// # Errors
/// If there is no such process, or it has ended.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_memory(&status).ok_or_else(|| not_understood("status"))
}

/// `utime` and `stime`, fields 14 and 15. The name in field 2 may hold anything, so count from its
/// closing bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_memory(status: &str) -> Option<Memory> {
    let bytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn not_understood(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc: {file}: not as proc(5) has it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 0";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let want = Memory { resident_bytes: 1 << 20, peak_bytes: 2 << 20 };
        assert_eq!(parse_memory(status), Some(want));
        assert_eq!(parse_memory("Name:\tzombie\n"), None);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(memory(pid).unwrap().peak_bytes > 0);
        assert!(threads_cpu_ns(pid).unwrap() > 0);
        assert!(cpu_ns(pid).is_ok());
    }
}
