//! Cage: a limit of memory for an agent, in a control group of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kit::sleep_ms;

/// Where the memory controller of version 1 is mounted.
const CONTROLLER: &str = "/sys/fs/cgroup/memory";

/// A control group with a limit of memory; removed when dropped.
#[derive(Debug)]
pub(crate) struct Cage {
    folder: PathBuf,
}

impl Cage {
    /// A group of so many bytes; none, and that is said, if the machine lets nobody make one.
    pub(crate) fn new(bytes: u64) -> Option<Cage> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        static SAID: Once = Once::new();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("logferry-chaos-{}-{number}", std::process::id());
        let folder = Path::new(CONTROLLER).join(name);
        let limit = folder.join("memory.limit_in_bytes");
        match fs::create_dir(&folder).and_then(|()| fs::write(limit, bytes.to_string())) {
            Ok(()) => Some(Cage { folder }),
            Err(error) => {
                SAID.call_once(|| {
                    eprintln!("chaos: NO LIMIT OF MEMORY: {}: {error}", folder.display());
                });
                None
            }
        }
    }

    /// The file that a process writes its number to, to be in the group.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub(crate) fn killed(&self) -> u64 {
        let control = fs::read_to_string(self.folder.join("memory.oom_control")).expect("is there");
        let line = control.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.parse().ok()).expect("since Linux 4.13")
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // A process that was waited for may be in it for a moment longer.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            sleep_ms(10);
        }
        eprintln!("{}: stays", self.folder.display());
    }
}
