//! Log disk: the real `logdisk` as a child process, what it takes, and how its daemon is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::process::{Memory, memory, threads_cpu_ns};

/// A volume that is not mounted this long after its start has failed, and so has one that has not ended.
const PATIENCE_NS: u64 = 60 * SECOND_NS;
/// Time between two looks at what starts or ends.
const LOOK: Duration = Duration::from_millis(2);

/// A mounted volume; gone when dropped, with all that is in it.
#[derive(Debug)]
pub struct LogDisk {
    supervisor: Child,
    folder: PathBuf,
}

impl LogDisk {
    /// Mounts one with these options; `folder` is its own, and empty.
    ///
    /// # Errors
    /// If it cannot be mounted, as without root or `/dev/fuse`.
    pub fn mount(program: &Path, folder: &Path, options: &[String]) -> anyhow::Result<LogDisk> {
        fs::create_dir_all(folder.join("mount"))?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        command.arg("mount").arg(folder.join("mount")).arg("--store").arg(folder.join("store"));
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let supervisor = command.spawn().with_context(|| {
            format!("{}: cannot be started; build it or give --logdisk", program.display())
        })?;
        let mut disk = LogDisk { supervisor, folder: folder.to_path_buf() };
        let begin_ns = monotonic_ns();
        while !disk.log().contains("mounted") {
            let ended = disk.supervisor.try_wait()?.is_some();
            ensure!(!ended, "logdisk has ended: {}", disk.log());
            ensure!(monotonic_ns() - begin_ns < PATIENCE_NS, "logdisk does not mount");
            std::thread::sleep(LOOK);
        }
        Ok(disk)
    }

    /// Where applications write.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder.join("mount")
    }

    /// What the agent collects.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.store().join("logs")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// CPU of supervisor, daemon and who asks the page cache, exact to the nanosecond, as long as no daemon ends.
    ///
    /// # Errors
    /// If they have ended.
    pub fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut sum_ns = threads_cpu_ns(self.supervisor.id())?;
        for child in self.children()? {
            sum_ns += threads_cpu_ns(child)?;
        }
        Ok(sum_ns)
    }

    /// Resident memory of the daemon.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        Ok(memory(self.daemon()?)?)
    }

    /// Memory that the volume's files take, in bytes.
    ///
    /// # Errors
    /// As `statvfs`.
    pub fn held_bytes(&self) -> anyhow::Result<u64> {
        let of = rustix::fs::statvfs(self.store())?;
        Ok(of.f_blocks.saturating_sub(of.f_bfree) * of.f_frsize)
    }

    /// Kills the daemon, and waits for the next one.
    ///
    /// # Errors
    /// If there is none.
    pub fn kill_daemon(&self) -> anyhow::Result<()> {
        let before = self.daemon()?;
        let pid = i32::try_from(before).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::KILL)?;
        let begin_ns = monotonic_ns();
        while self.daemon().map_or(true, |now| now == before) {
            ensure!(monotonic_ns() - begin_ns < PATIENCE_NS, "no other daemon: {}", self.log());
            std::thread::sleep(LOOK);
        }
        // Which it has answered: who is killed before it works has its successor wait.
        rustix::fs::statvfs(self.target())?;
        Ok(())
    }

    /// The supervisor's child that answers; the other asks the page cache.
    fn daemon(&self) -> anyhow::Result<u32> {
        let serves = |it: &u32| {
            fs::read_to_string(format!("/proc/{it}/cmdline"))
                .is_ok_and(|it| it.contains("\0serve\0"))
        };
        let daemon = self.children()?.into_iter().find(serves);
        daemon.ok_or_else(|| anyhow!("there is no daemon: {}", self.log()))
    }

    fn children(&self) -> anyhow::Result<Vec<u32>> {
        let mut all = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.supervisor.id()))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                all.push(child.parse()?);
            }
        }
        Ok(all)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.supervisor), Signal::TERM)?;
        let begin_ns = monotonic_ns();
        while self.supervisor.try_wait()?.is_none() {
            ensure!(monotonic_ns() - begin_ns < PATIENCE_NS, "it does not end: {}", self.log());
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for LogDisk {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("logdisk: {error:#}");
            drop(self.supervisor.kill());
            drop(self.supervisor.wait());
        }
        // One that ended well and had nothing left has done both.
        for path in [self.target(), self.store()] {
            match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => eprintln!("{}: cannot be unmounted: {error}", path.display()),
            }
        }
    }
}
