//! Agent: the program as a process, and what it says.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use benches::exposition::{Exposition, fetch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Bed, LOGFERRY, get, wait_for, wait_until};

/// A running `logferry run`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    listen: SocketAddr,
    stderr: PathBuf,
}

impl Agent {
    /// Starts the agent of a bed and waits until it is ready.
    pub(crate) fn start(bed: &Bed) -> Agent {
        let mut agent = Agent::spawn(bed);
        agent.wait_ready();
        agent
    }

    /// Starts the agent of a bed.
    pub(crate) fn spawn(bed: &Bed) -> Agent {
        Agent::spawn_as(bed, Command::new(LOGFERRY))
    }

    /// Starts the agent of a bed by another command, which gets the arguments.
    pub(crate) fn spawn_as(bed: &Bed, command: Command) -> Agent {
        Agent::spawn_with(bed, command, &[])
    }

    /// Starts the agent of a bed by another command, which gets the arguments and further ones.
    pub(crate) fn spawn_with(bed: &Bed, mut command: Command, further: &[&OsStr]) -> Agent {
        let stderr = (0..).map(|number| bed.path(format!("stderr.{number}")));
        let stderr = stderr.into_iter().find(|path| !path.try_exists().expect("ours"));
        let stderr = stderr.expect("numbers do not end");
        let file = |path: &PathBuf| File::create(path).expect("can be made");
        let child = command
            .args(["run", "--file"])
            .arg(bed.config())
            .args(further)
            .env_remove("NODE_NAME")
            .stdin(Stdio::null())
            .stdout(file(&bed.path("stdout")))
            .stderr(file(&stderr))
            .spawn()
            .expect("the program can be started");
        Agent { child, listen: bed.listen, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error in this life.
    pub(crate) fn stderr(&self) -> String {
        let bytes = std::fs::read(&self.stderr).expect("is there");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn wait_ready(&mut self) {
        wait_for("ready", || {
            self.assert_running();
            match get(self.listen, "/ready") {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}; {}", self.stderr())),
            }
        });
    }

    /// Whether it has written `text` to standard error.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.stderr().contains(text)
    }

    /// Waits until it writes `text` to standard error.
    pub(crate) fn wait_said(&self, text: &str) {
        wait_for("said on standard error", || {
            let said = self.stderr();
            if said.contains(text) { Ok(()) } else { Err(format!("no {text:?} in:\n{said}")) }
        });
    }

    #[track_caller]
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("is our child");
        assert!(ended.is_none(), "the agent ended: {ended:?}\n{}", self.stderr());
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("is our child").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("is our child");
    }

    /// SIGSTOP; returns once every thread stands still, which takes a moment.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = || std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        let is_still = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|it| it.trim_start().starts_with('T'))
        };
        wait_until("stopped", || tasks().flatten().all(is_still), |it| *it);
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("is our child");
        self.child.wait().expect("is our child");
    }

    /// SIGTERM; returns how it ended and what it said.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait_ended()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_ended(&mut self) -> (ExitStatus, String) {
        let status = wait_for("the end of the agent", || {
            self.child.try_wait().expect("is our child").ok_or_else(|| self.stderr())
        });
        (status, self.stderr())
    }

    /// SIGTERM, and everything read was delivered.
    #[track_caller]
    pub(crate) fn stop(self) {
        let (status, stderr) = self.terminate();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{stderr}");
        assert!(stderr.contains("is_clean=true"), "{stderr}");
    }

    pub(crate) fn metrics(&self) -> Exposition {
        fetch(self.listen).unwrap_or_else(|error| panic!("{error}; {}", self.stderr()))
    }

    /// Sum of a metric over its labels; 0 if it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metrics().sum(name).unwrap_or(0.0)
    }

    /// Status and text of `/ready`.
    pub(crate) fn ready(&self) -> (u16, String) {
        get(self.listen, "/ready").unwrap_or_else(|| panic!("no answer; {}", self.stderr()))
    }

    /// What it tells of itself, for who has to find out why it does not go on.
    pub(crate) fn account(&self) -> String {
        let pages = ["/metrics", "/debug/sources"].map(|page| get(self.listen, page));
        let lines = pages.iter().flatten().flat_map(|(_, text)| text.lines());
        lines.filter(|it| !it.starts_with('#')).flat_map(|it| [it, "\n"]).collect()
    }

    /// Names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().map(|name| name.trim_end().to_owned()).collect()
    }

    /// User and system time that it has taken, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let after_name = stat.rsplit(')').next().expect("one part at least");
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        // utime and stime, fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms.
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number") * 10).sum()
    }

    /// Most memory that it ever had resident, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that has ended already is no failure.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- standard error of the agent ---\n{}", self.stderr());
        }
    }
}

/// A command that was run to its end.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// `logferry ARGUMENTS`.
    pub(crate) fn of(arguments: &[&str]) -> Run {
        Run::by(Command::new(LOGFERRY), arguments)
    }

    /// Another command, which gets the arguments.
    pub(crate) fn by(mut command: Command, arguments: &[&str]) -> Run {
        let output = command.args(arguments).stdin(Stdio::null()).output().expect("can be started");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let line =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(line).collect()
    }
}
