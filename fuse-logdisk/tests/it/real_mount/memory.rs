//! Writers whose memory is limited, as that of containers is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::MODES;
use crate::kit::{Volume, limited};

/// A control group with a limit of memory; removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new(limit_bytes: u64) -> Group {
        let old = Path::new("/sys/fs/cgroup/memory");
        let is_old = old.is_dir();
        let top = if is_old { old } else { Path::new("/sys/fs/cgroup") };
        let group = top.join(format!("logdisk-test-{}", std::process::id()));
        fs::create_dir(&group).expect("control groups can be made");
        let limits: &[&str] = if is_old {
            &["memory.limit_in_bytes"]
        } else {
            fs::write(top.join("cgroup.subtree_control"), "+memory").expect("memory is controlled");
            &["memory.max"]
        };
        for limit in limits {
            fs::write(group.join(limit), limit_bytes.to_string()).expect("a limit can be set");
        }
        Group(group)
    }

    /// Writes 200 MB into a file, from within the group.
    fn write(&self, path: &Path) -> ExitStatus {
        let script = "echo $$ > \"$1/cgroup.procs\" && exec dd if=/dev/zero of=\"$2\" bs=64k count=3200 oflag=append conv=notrunc status=none";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&self.0).arg(path);
        command.status().expect("can be started")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

#[test]
fn a_writer_in_64_mib_writes_more_than_that_and_is_not_killed() {
    limited(180, || {
        let group = Group::new(64 << 20);
        // In a tmpfs, what is written is the writer's own memory: the kernel kills it.
        let own = Path::new("/dev/shm").join(format!("logdisk-test-{}", std::process::id()));
        let status = group.write(&own);
        drop(fs::remove_file(&own));
        assert!(!status.success(), "the limit is none: this would prove nothing");
        for mode in MODES {
            let volume = Volume::mount(&[mode, &["--size", "300M"]].concat());
            let status = group.write(&volume.target().join("app.log"));
            assert!(status.success(), "{mode:?}: {status}");
        }
    });
}
