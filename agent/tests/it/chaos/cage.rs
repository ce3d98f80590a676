//! Cage: a limit of memory for an agent, in a control group of its own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kit::sleep_ms;

/// Where the memory controller of version 1 is mounted, if there is one.
const VERSION_1: &str = "/sys/fs/cgroup/memory";
/// Where version 2 is mounted, if there is nothing else.
const VERSION_2: &str = "/sys/fs/cgroup";

/// A control group with a limit of memory; removed when dropped.
#[derive(Debug)]
pub(crate) struct Cage {
    folder: PathBuf,
    files: &'static Files,
}

/// What a version of control groups calls its files.
#[derive(Debug)]
struct Files {
    limit: &'static str,
    /// The file with a line `oom_kill N`.
    kills: &'static str,
}

const FILES_1: Files = Files { limit: "memory.limit_in_bytes", kills: "memory.oom_control" };
const FILES_2: Files = Files { limit: "memory.max", kills: "memory.events" };

impl Cage {
    /// A group of so many bytes; none, and that is said, if the machine lets nobody make one.
    pub(crate) fn new(bytes: u64) -> Option<Cage> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        static SAID: Once = Once::new();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("logferry-chaos-{}-{number}", std::process::id());
        let (root, files) = controller();
        let cage = Cage { folder: root.join(name), files };
        let limit = cage.folder.join(files.limit);
        match fs::create_dir(&cage.folder).and_then(|()| fs::write(limit, bytes.to_string())) {
            Ok(()) => Some(cage),
            Err(error) => {
                let folder = &cage.folder;
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
        let told = fs::read_to_string(self.folder.join(self.files.kills)).expect("is there");
        let line = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.parse().ok()).expect("since Linux 4.13")
    }
}

/// Where groups with a limit of memory can be made, and how.
fn controller() -> (&'static Path, &'static Files) {
    let root = Path::new(VERSION_2);
    if !root.join("cgroup.controllers").is_file() {
        return (Path::new(VERSION_1), &FILES_1);
    }
    // Whoever may not, or whose own group has processes of its own, finds no limit in a new group, and that is said.
    drop(fs::write(root.join("cgroup.subtree_control"), "+memory"));
    (root, &FILES_2)
}

impl Drop for Cage {
    fn drop(&mut self) {
        // A process that was waited for may be in it for a moment longer.
        for _ in 0..100 {
            let removed = fs::remove_dir(&self.folder);
            if removed.is_ok() || removed.is_err_and(|it| it.kind() == ErrorKind::NotFound) {
                return;
            }
            sleep_ms(10);
        }
        eprintln!("{}: stays", self.folder.display());
    }
}
