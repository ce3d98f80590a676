//! Fail points: each step by which the real agent makes something safe fails, or is its last.
//!
//! strace(1) has the kernel refuse the N-th call of a kind in each thread, or kills the agent before it. Whatever
//! comes of that, the next agent delivers the rest: the queue alone then holds every line once, and a file every
//! line at least once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube_kit::ApiServer;
use rustix::process::Signal;
use serde_json::json;

use crate::kit::{
    Agent, Bed, LOGFERRY, append, body, files, queue_sink, resource, sleep_ms, wait_until,
};

/// What becomes of a call.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", KILL];
const KILL: &str = "signal=KILL";
/// Every step: the call, the file or folder in the bed, and up to which such call of a thread has a turn.
const STEPS: [(&str, &str, u32); 25] = [
    ("mkdir", "state", 1),
    // The names of `state` and of `queue`.
    ("fsync", "", 2),
    ("mkdir", "spool", 1),
    ("openat", "state/spools.new", 1),
    ("pwritev", "state/spools.new", 1),
    ("fdatasync", "state/spools.new", 1),
    ("rename", "state/spools.new", 1),
    ("openat", "state/checkpoint.tmp", 2),
    ("pwrite64", "state/checkpoint.tmp", 2),
    ("fdatasync", "state/checkpoint.tmp", 2),
    ("rename", "state/checkpoint.tmp", 2),
    ("fsync", "state", 3),
    ("openat", "state/cluster.new", 2),
    ("write", "state/cluster.new", 2),
    ("fsync", "state/cluster.new", 2),
    ("rename", "state/cluster.new", 2),
    ("mkdir", "queue", 1),
    ("mkdir", "queue/default", 1),
    ("openat", "queue/default/0000000000000000.seg", 1),
    ("pwritev", "queue/default/0000000000000000.seg", 3),
    ("fdatasync", "queue/default/0000000000000000.seg", 2),
    ("fsync", "queue", 1),
    ("fsync", "queue/default", 1),
    ("write", "out/lines.jsonl", 2),
    SECOND_SYNC,
];
/// Its thread rests for a second between two: a life of the data plane has to be longer for the second.
const SECOND_SYNC: (&str, &str, u32) = ("fdatasync", "out/lines.jsonl", 2);
/// Runs at the same time: they wait most of their time.
const AT_ONCE: usize = 8;
/// Times that the agent that has the fault is configured anew, at least; and at most, until there was the call: how
/// many there are of a kind depends on how much is done at once.
const ROUNDS: u64 = 4;
const ROUNDS_MAX: u64 = 20;
/// Times that lines are written in each: as many as the most calls of a kind.
const WRITES: u64 = 3;
const LINES_PER_WRITE: u64 = 20;
/// Longest time for what may not come, since the agent has a fault, in milliseconds.
const WAIT_MS: u64 = 3000;

/// One fault of one call.
#[derive(Debug, Clone, Copy)]
struct FailPoint {
    call: &'static str,
    path: &'static str,
    fault: &'static str,
    nth: u32,
}

impl FailPoint {
    fn all() -> Vec<FailPoint> {
        let mut all = Vec::new();
        for (call, path, last) in STEPS {
            for fault in FAULTS {
                all.extend((1..=last).map(|nth| FailPoint { call, path, fault, nth }));
            }
        }
        all
    }

    /// The agent's command under strace, which ends when the agent does.
    fn command(self, bed: &Bed) -> Command {
        let mut command = Command::new("strace");
        let FailPoint { call, path, fault, nth } = self;
        command.args(["-D", "-f", "-qq", "-o"]).arg(bed.path("trace"));
        if fault != KILL {
            // Only these calls stop, which is faster; but then nobody is killed by one.
            command.arg("--seccomp-bpf");
        }
        command.arg("-P").arg(bed.path(path)).arg(format!("--trace={call}"));
        command.arg(format!("--inject={call}:{fault}:when={nth}")).arg(LOGFERRY);
        command
    }

    /// How long lines are apart in a life of the data plane, in milliseconds.
    fn pause_ms(self) -> u64 {
        if (self.call, self.path, self.nth) == SECOND_SYNC { 1100 } else { 60 }
    }

    /// Whether there was the call by now.
    fn has_hit(self, bed: &Bed, agent: &mut Agent) -> bool {
        if self.fault == KILL { agent.has_ended() } else { FailPoint::has_refused(bed) }
    }

    /// Whether a call was refused. An agent that is killed tells by its end.
    fn has_refused(bed: &Bed) -> bool {
        let trace = fs::read_to_string(bed.path("trace")).unwrap_or_default();
        trace.contains("(INJECTED)")
    }
}

/// A bed with all that the agent keeps: state, cluster, embedded queue, spool and file.
fn bed(api: &ApiServer) -> Bed {
    let bed = Bed::new();
    fs::write(bed.path("kubeconfig"), api.kubeconfig()).unwrap();
    // In a folder of its own: that of the bed is synced for the folders of state, queue and spool alone.
    fs::create_dir(bed.path("out")).unwrap();
    configure(&bed, 100);
    bed
}

fn configure(bed: &Bed, open_files: u32) {
    let agent = format!(
        "  nodeName: node-1\n  checkpointInterval: 50ms\n  openFilesMax: {open_files}\n  spool: {{path: '{{dir}}/spool'}}\n"
    );
    let to_file = resource(
        "LogSink",
        "file",
        "  file: {path: '{dir}/out/lines.jsonl'}\n  batch: {linger: 10ms}\n",
    );
    bed.configure(&[
        &bed.agent(&agent),
        &queue_sink("  batch: {linger: 10ms}\n  retry: {max: 100ms}\n"),
        &to_file,
        &files("queue", "queue.log", ""),
        &files("file", "file.log", "  sink: file\n"),
    ]);
}

fn write(bed: &Bed, nth: u64) {
    let numbers = nth * LINES_PER_WRITE..(nth + 1) * LINES_PER_WRITE;
    let text: String = numbers.map(|it| format!("line {it}\n")).collect();
    for name in ["queue.log", "file.log"] {
        append(&bed.log(name), text.as_bytes());
    }
}

/// Waits until the agent has said that so often, or is not going to.
fn await_said(agent: &mut Agent, text: &str, times: u32) {
    for _ in 0..WAIT_MS / 20 {
        if agent.has_ended() || agent.stderr().matches(text).count() >= times as usize {
            return;
        }
        sleep_ms(20);
    }
}

/// Returns whether there was such a call.
fn run(point: FailPoint) -> bool {
    let api = ApiServer::start().unwrap();
    let bed = bed(&api);
    let kubeconfig = bed.path("kubeconfig");
    let further = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    write(&bed, 0);
    let mut agent = Agent::spawn_with(&bed, point.command(&bed), &further);
    let mut reloads = 0;
    await_said(&mut agent, "collecting", 1);
    let (mut rounds, mut writes) = (0, 0);
    while rounds < ROUNDS || rounds < ROUNDS_MAX && !point.has_hit(&bed, &mut agent) {
        rounds += 1;
        // One batch each, for the threads of one life of the data plane.
        for _ in 0..WRITES {
            writes += 1;
            write(&bed, writes);
            sleep_ms(point.pause_ms());
        }
        if agent.has_said("collecting") && !agent.has_ended() {
            // All of it is opened once more.
            reloads += 1;
            configure(&bed, 100 + reloads);
            agent.signal(Signal::HUP);
            await_said(&mut agent, "configuration in force", reloads);
        }
        let labels = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "1", "labels": {"round": rounds.to_string()}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "x"}]}});
        api.apply("pods", labels);
    }
    for _ in 0..WAIT_MS / 20 {
        sleep_ms(if agent.has_ended() || FailPoint::has_refused(&bed) { 0 } else { 20 });
    }
    if !agent.has_ended() {
        agent.signal(Signal::TERM);
    }
    let is_killed = agent.wait_ended().0.signal() == Some(Signal::KILL.as_raw());
    drop(agent);
    let has_hit = if point.fault == KILL { is_killed } else { FailPoint::has_refused(&bed) };
    let mut agent = Agent::spawn_with(&bed, Command::new(LOGFERRY), &further);
    agent.wait_ready();
    let want: Vec<String> =
        (0..(writes + 1) * LINES_PER_WRITE).map(|it| format!("line {it}")).collect();
    let is_dir = || bed.queue().is_dir();
    wait_until("the queue", is_dir, |it| *it);
    let bodies = wait_until("all in the queue", || bed.bodies(), |it| it.len() >= want.len());
    assert_eq!(bodies, want, "{point:?}");
    let in_file = || {
        let text = fs::read_to_string(bed.path("out/lines.jsonl")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.map(|record| body(&record)).collect::<BTreeSet<String>>()
    };
    let all: BTreeSet<String> = want.into_iter().collect();
    wait_until("all in the file", in_file, |it| *it == all);
    agent.stop();
    bed.assert_audit_clean();
    has_hit
}

#[test]
fn every_step_of_the_real_agent_to_its_disk_may_fail_or_be_the_last() {
    let (points, next) = (FailPoint::all(), AtomicUsize::new(0));
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !run(*point) {
                        missed.lock().expect("nobody fails with it").push(*point);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("nobody fails with it");
    assert!(missed.is_empty(), "of {} there were no such calls: {missed:#?}", points.len());
}
