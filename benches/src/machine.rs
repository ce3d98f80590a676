//! Machine: what a result was measured on, for whoever compares it with another.

use std::fs;
use std::path::Path;

/// The machine's parts that matter to a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Model of the CPU, as the kernel tells it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// File system that the scratch folder is on.
    pub scratch: String,
}

impl Machine {
    /// This machine, with input in `scratch`. What the kernel does not tell is "unknown".
    #[must_use]
    pub fn this(scratch: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            cpu: value(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: first_number(&value(&read("/proc/meminfo"), "MemTotal")) / 1024,
            scratch: file_system(&read("/proc/mounts"), scratch),
        }
    }

    /// As a list in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        format!(
            "- CPU: {}, {} cores; memory: {} MiB\n- kernel: {}; scratch folder on {}\n",
            self.cpu, self.cores, self.memory_mib, self.kernel, self.scratch
        )
    }
}

/// The value after `key` and a colon.
fn value(text: &str, key: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))
        .map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn first_number(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Type of the file system with the longest mount point above `path`.
fn file_system(mounts: &str, path: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_keys() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nMemTotal:  24576 kB\n";
        assert_eq!(value(text, "model name"), "Some CPU @ 3 GHz");
        assert_eq!(first_number(&value(text, "MemTotal")), 24_576);
        assert_eq!(value(text, "flags"), "unknown");
    }

    #[test]
    fn longest_mount_point_wins() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/dev/shm/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/dev/shmx")), "ext4");
        assert_eq!(file_system("", Path::new("/x")), "unknown");
    }
}
