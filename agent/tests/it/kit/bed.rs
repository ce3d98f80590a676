//! Bed: the scratch folder of one test, its configuration, and what its queue holds.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use benches::check::Verdict;
use benches::truth::StreamTruth;
use serde_json::Value;

use super::{Agent, Container, Run, Tmpfs, free_address, judge, sleep_ms, wait_for, wait_until};

/// The embedded queue on a small disk, mounted at `disk`; not compressed.
pub(crate) const SMALL_QUEUE: &str = "apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec:
  queue: {path: '{dir}/disk/queue', segmentBytes: 1MiB}
  compression: {codec: none}
  retry: {max: 200ms}
";

/// A folder that is removed in the end, with `agent.yaml`, `logs`, `pods`, `state` and `queue`.
#[derive(Debug)]
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) listen: SocketAddr,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        let folder = tempfile::tempdir().expect("a scratch folder");
        // For tests whose agent is not root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("is ours");
        let bed = Bed { folder, listen: free_address() };
        fs::create_dir(bed.path("logs")).expect("is new");
        bed
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A log file in `logs`.
    pub(crate) fn log(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("logs").join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("agent.yaml")
    }

    pub(crate) fn queue(&self) -> PathBuf {
        self.path("queue")
    }

    /// Writes the configuration; `{dir}` stands for the scratch folder.
    pub(crate) fn configure(&self, documents: &[&str]) {
        // By renaming: a running agent must never see half of it.
        let text =
            documents.join("\n---\n").replace("{dir}", &self.folder.path().to_string_lossy());
        let temporary = self.path("agent.yaml.tmp");
        fs::write(&temporary, text).expect("can be written");
        fs::rename(temporary, self.config()).expect("can be renamed");
    }

    /// The Agent resource, with further fields.
    pub(crate) fn agent(&self, fields: &str) -> String {
        let listen = self.listen;
        resource(
            "Agent",
            "agent",
            &format!(
                "  stateDirectory: '{{dir}}/state'\n  listen: '{listen}'\n  hostName: bed\n{fields}"
            ),
        )
    }

    /// Everything in `logs/*.log` into the embedded queue.
    pub(crate) fn configure_files(&self) {
        self.configure(&[&self.agent(""), &queue_sink(""), &files("files", "*.log", "")]);
    }

    /// All containers below `pods` into the embedded queue.
    pub(crate) fn configure_pods(&self) {
        self.configure(&[&self.agent(""), &queue_sink(""), &containers("pods", "", "")]);
    }

    /// Everything the queue holds, as `tail --output json` prints it.
    pub(crate) fn tail(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["tail", "--queue", self.queue_text(), "--output", "json"];
        all.extend(arguments);
        Run::of(&all)
    }

    pub(crate) fn queue_text(&self) -> &'static str {
        // Few, and the process is short-lived.
        Box::leak(self.queue().to_string_lossy().into_owned().into_boxed_str())
    }

    /// All records, in the order of the queue.
    pub(crate) fn records(&self) -> Vec<Value> {
        let run = self.tail(&["--all"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.stderr, "", "a healthy queue gives no cause to complain");
        run.json_lines()
    }

    /// Bodies of all records, in the order of the queue.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.records().iter().map(body).collect()
    }

    /// Waits until the queue holds `count` records and returns them; fails if there are more.
    pub(crate) fn wait_for_records(&self, count: usize) -> Vec<Value> {
        let records = wait_for("records in the queue", || {
            let records = self.records();
            if records.len() >= count { Ok(records) } else { Err(format!("{records:#?}")) }
        });
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// Waits for these bodies and nothing else.
    /// Starts an agent and fills the disk of its queue, until its memory is full of what it read.
    pub(crate) fn stall(&self, disk: &Tmpfs, mut container: Container) -> (Agent, Container) {
        container.write(1);
        let agent = Agent::start(self);
        self.wait_for_records(1);
        disk.fill(100 << 10);
        wait_for("nothing more is read", || {
            container.write(4_000);
            sleep_ms(100);
            let before = agent.metric("logferry_read_bytes_total");
            sleep_ms(400);
            let is_stalled = agent.metric("logferry_read_bytes_total") == before
                && agent.metric("logferry_lag_bytes") > 100_000.0;
            if is_stalled { Ok(()) } else { Err(format!("{before} bytes read")) }
        });
        (agent, container)
    }

    pub(crate) fn wait_for_bodies(&self, want: &[&str]) {
        let records = self.wait_for_records(want.len());
        let bodies: Vec<String> = records.iter().map(body).collect();
        assert_eq!(bodies, want);
    }

    /// Waits for all that the container wrote, and nothing else.
    pub(crate) fn wait_for_lines(&self, container: &Container) {
        let want = container.bodies();
        let bodies = wait_until("all lines", || self.bodies(), |it| it.len() >= want.len());
        assert_eq!(bodies, want);
    }

    /// Compares the queue with what was written.
    pub(crate) fn verdict(&self, truth: &[StreamTruth]) -> Verdict {
        let run = self.tail(&["--all"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        judge(truth.to_vec(), run.stdout.as_bytes())
    }

    /// What `audit` says of the queue, and its exit code.
    pub(crate) fn audit(&self) -> (Option<i32>, Value) {
        let run = Run::of(&["audit", "--queue", self.queue_text(), "--output", "json"]);
        (run.code, run.json())
    }

    /// Fails unless the queue alone proves that nothing was lost or doubled.
    #[track_caller]
    pub(crate) fn assert_audit_clean(&self) {
        let (code, report) = self.audit();
        assert_eq!((code, &report["clean"]), (Some(0), &Value::Bool(true)), "{report:#}");
    }

    /// Waits until the agent has delivered everything of `truth`, and judges.
    pub(crate) fn wait_for_truth(&self, agent: &mut Agent, truth: &[StreamTruth]) -> Verdict {
        let lines: u64 = truth.iter().map(|it| it.lines).sum();
        wait_for("all lines in the queue", || {
            agent.assert_running();
            if agent.metric("logferry_in_flight_bytes") != 0.0 {
                return Err("bytes are in flight".to_owned());
            }
            let verdict = self.verdict(truth);
            // Reading everything back is not cheap, so not every few milliseconds.
            sleep_ms(100);
            if verdict.arrived >= lines { Ok(verdict) } else { Err(verdict.to_string()) }
        })
    }
}

pub(crate) fn body(record: &Value) -> String {
    record["body"].as_str().expect("a body").to_owned()
}

/// A resource of the configuration; `spec` is indented by two blanks.
pub(crate) fn resource(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}"
    )
}

/// The embedded queue in `queue`, with further fields.
pub(crate) fn queue_sink(fields: &str) -> String {
    resource("LogSink", "default", &format!("  queue:\n    path: '{{dir}}/queue'\n{fields}"))
}

/// A LogConfig of `logs/GLOB`, with further fields.
pub(crate) fn files(name: &str, glob: &str, fields: &str) -> String {
    let spec = format!("  source:\n    files:\n      include: ['{{dir}}/logs/{glob}']\n{fields}");
    resource("LogConfig", name, &spec)
}

/// A LogConfig of the containers below `pods`, with further fields of the source and of the spec.
pub(crate) fn containers(name: &str, source: &str, fields: &str) -> String {
    let spec = format!("  source:\n    containers:\n      root: '{{dir}}/pods'\n{source}{fields}");
    resource("LogConfig", name, &spec)
}
