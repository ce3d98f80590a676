//! Kit: a volume that is mounted for one test, and is gone after it, whatever happens.
//!
//! A mount whose daemon does not answer can block the whole machine. So every test has a time limit, after which its
//! connection is ended from outside.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use flow::{Clock, SystemClock};
use logdisk::mounting::{self, Connection};
use pipeline::discovery::rotation;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longest that anything is waited for.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Connections of this process's tests, each with the thread whose test made it, to be ended if that hangs.
static CONNECTIONS: Mutex<Vec<(ThreadId, PathBuf, Connection)>> = Mutex::new(Vec::new());

/// Ends those that `is_meant`. A test that failed is told of by what it says, not by this.
fn end_connections(is_meant: impl Fn(ThreadId, &Path) -> bool) {
    let connections = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let meant = connections.iter().filter(|(test, target, _)| is_meant(*test, target));
    for (_, target, connection) in meant.filter(|it| it.2.is_there()) {
        eprintln!("{}: ending its connection", target.display());
        if let Err(error) = connection.abort() {
            eprintln!("{}: {error}", target.display());
        }
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemClock.monotonic_ns() / 1_000_000
}

/// Runs a test that touches a mount; ends the mount if the test takes longer than that.
pub(crate) fn limited(seconds: u64, test: impl FnOnce() + Send + 'static) {
    assert!(seconds > DEADLINE.as_secs(), "what it waits for says more than that it hangs");
    let (sender, done) = sync_channel(1);
    let body = thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(test));
        sender.send(()).expect("is waited for");
        outcome
    });
    if done.recv_timeout(Duration::from_secs(seconds)).is_err() {
        let hanging = body.thread().id();
        end_connections(|test, _| test == hanging);
        panic!("not within {seconds} s");
    }
    if let Err(panic) = body.join().expect("catches panics") {
        resume_unwind(panic);
    }
}

/// Looks until `is_right`.
pub(crate) fn wait_until<T: Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    is_right: impl Fn(&T) -> bool,
) -> T {
    let deadline_ms = now_ms() + u64::try_from(DEADLINE.as_millis()).expect("as it must");
    loop {
        let now = look();
        if is_right(&now) {
            return now;
        }
        assert!(now_ms() < deadline_ms, "{what}: not within {DEADLINE:?}; at the end {now:?}");
        thread::sleep(LOOK);
    }
}

/// A volume; unmounted when dropped.
pub(crate) struct Volume {
    folder: TempDir,
    supervisor: Child,
    arguments: Vec<String>,
}

impl Volume {
    /// Mounts one with these options.
    pub(crate) fn mount(arguments: &[&str]) -> Volume {
        let folder = TempDir::new().expect("a scratch folder");
        fs::create_dir(folder.path().join("mount")).expect("ours");
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let supervisor = Volume::start(folder.path(), &arguments);
        let mut volume = Volume { folder, supervisor, arguments };
        volume.wait_mounted();
        volume
    }

    fn start(folder: &Path, arguments: &[String]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logdisk"));
        command.arg("mount").arg(folder.join("mount")).arg("--store").arg(folder.join("store"));
        for argument in arguments {
            command.arg(argument.replace("{dir}", &folder.to_string_lossy()));
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
        let log = log.expect("ours");
        test_kit::start(&command, Stdio::null(), Stdio::from(log)).expect("can be started")
    }

    fn wait_mounted(&mut self) {
        let target = self.target();
        wait_until(
            "mounted",
            || (self.supervisor.try_wait().expect("as it must"), self.log()),
            |(ended, log)| ended.is_some() || log.contains("mounted"),
        );
        assert_eq!(self.supervisor.try_wait().expect("as it must"), None, "{}", self.log());
        let connection = Connection::of(&target).expect("it is mounted");
        CONNECTIONS.lock().expect("as it must").push((thread::current().id(), target, connection));
    }

    /// Mounts it again after its supervisor has ended.
    pub(crate) fn mount_again(&mut self) {
        fs::remove_file(self.folder.path().join("log")).expect("was made");
        self.supervisor = Volume::start(self.folder.path(), &self.arguments);
        self.wait_mounted();
    }

    /// A scratch folder beside the mount, for what is not of the volume.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Where applications write.
    pub(crate) fn target(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn supervisor(&self) -> Pid {
        Pid::from_child(&self.supervisor)
    }

    /// The daemon that answers now.
    pub(crate) fn daemon(&self) -> Option<Pid> {
        let id = self.supervisor.id();
        let mut children = Vec::new();
        for task in fs::read_dir(format!("/proc/{id}/task")).ok()? {
            let text = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
            children.extend(text.split_whitespace().filter_map(|it| it.parse::<i32>().ok()));
        }
        // Another one asks the page cache.
        let serves = |it: &i32| {
            fs::read_to_string(format!("/proc/{it}/cmdline"))
                .is_ok_and(|it| it.contains("\0serve\0"))
        };
        children.into_iter().filter(serves).find_map(Pid::from_raw)
    }

    /// Waits for another daemon than that.
    pub(crate) fn wait_for_other(&self, before: Pid) -> Pid {
        let other =
            wait_until("another daemon", || self.daemon(), |it| it.is_some_and(|it| it != before));
        other.expect("there is one")
    }

    /// Tells the supervisor to end; returns how long that took, and whether it went well.
    pub(crate) fn stop(&mut self) -> (Duration, bool) {
        let begin_ms = now_ms();
        kill_process(self.supervisor(), Signal::TERM).expect("runs");
        let status = wait_until(
            "the end of the supervisor",
            || self.supervisor.try_wait().expect("as it must"),
            Option::is_some,
        );
        (Duration::from_millis(now_ms() - begin_ms), status.is_some_and(|it| it.success()))
    }

    /// Kills the supervisor.
    pub(crate) fn kill(&mut self) {
        self.supervisor.kill().expect("runs");
        self.supervisor.wait().expect("ours");
    }

    /// Waits for the end of the supervisor.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.supervisor.wait().expect("ours")
    }

    pub(crate) fn is_mounted(&self) -> bool {
        !mounting::mounted_at(&self.target()).expect("proc").is_empty()
    }

    /// A number of the volume's metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.store().join("metrics")).unwrap_or_default();
        let mut values =
            text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        values.next().unwrap_or(0)
    }

    /// All that is collected: of each chain its generations, the oldest first.
    pub(crate) fn collected(&self) -> BTreeMap<PathBuf, Vec<Vec<u8>>> {
        let logs = self.store().join("logs");
        let (mut files, mut folders) = (Vec::new(), vec![logs.clone()]);
        while let Some(folder) = folders.pop() {
            // What is renamed or removed in this moment is found by the next look.
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("readable").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort_by(|one, other| rotation::by_age(one, other));
        let mut chains: BTreeMap<PathBuf, Vec<Vec<u8>>> = BTreeMap::new();
        for path in files {
            let name = path.file_name().expect("as it must").as_bytes();
            let base = rotation::split(name).map_or(name, |(base, _)| base);
            let chain = path.with_file_name(OsStr::from_bytes(base));
            let chain = chain.strip_prefix(&logs).expect("as it must").to_path_buf();
            if let Ok(bytes) = fs::read(&path) {
                chains.entry(chain).or_default().push(bytes);
            }
        }
        chains
    }

    /// All lines that are collected, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for bytes in self.collected().into_values().flatten() {
            lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
        }
        lines.sort_unstable();
        lines
    }

    /// Waits until just these lines are collected.
    pub(crate) fn wait_for_lines(&self, mut wanted: Vec<String>) {
        wanted.sort_unstable();
        wait_until("as many lines", || self.lines().len(), |it| *it >= wanted.len());
        let lines = self.lines();
        let first = lines.iter().zip(&wanted).position(|(is, wanted)| is != wanted);
        assert!(
            lines == wanted,
            "{} lines instead of {}; the first other one: {:?}; {}",
            lines.len(),
            wanted.len(),
            first.map(|at| (&lines[at], &wanted[at])),
            self.log()
        );
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        let target = self.target();
        if self.supervisor.try_wait().is_ok_and(|it| it.is_none()) {
            let told = kill_process(self.supervisor(), Signal::TERM).is_ok();
            let deadline_ms = now_ms() + if told { 5000 } else { 0 };
            while self.supervisor.try_wait().is_ok_and(|it| it.is_none()) && now_ms() < deadline_ms
            {
                thread::sleep(LOOK);
            }
        }
        if self.supervisor.try_wait().is_ok_and(|it| it.is_none()) {
            end_connections(|_, of| of == target);
        }
        drop(self.supervisor.kill());
        drop(self.supervisor.wait());
        for path in [target, self.store()] {
            while mounting::mounted_at(&path).is_ok_and(|it| !it.is_empty())
                && mounting::detach(&path).is_ok()
            {}
        }
    }
}
