//! Node: the agent of one schedule, its configuration, its disks and its limits.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::broker::Topics;
use super::cage::Cage;
use super::disk::Disk;
use super::plan::{Form, Kind, Plan};
use super::stream::TENANTS;
use super::truth::Life;
use crate::kit::{Agent, Bed, LOGFERRY, Run, files, get, resource, sleep_ms, wait_for};

/// What the agent says when it starts its data plane again.
const RESTARTS: [&str; 2] = ["putting it in force", "starting another"];

/// A node with one agent, which runs or does not.
pub(super) struct Node {
    // Dropped in this order: nobody writes, nothing is mounted, then the folder goes.
    agent: Option<Agent>,
    cage: Option<Cage>,
    /// State and queues.
    pub(super) disk: Disk,
    /// Logs, where their power can be cut.
    pub(super) logs: Option<Disk>,
    pub(super) bed: Bed,
    pub(super) plan: Plan,
    /// Where it delivers to, if that is Kafka.
    pub(super) topics: Option<Topics>,
    configured: u64,
    processes: usize,
}

impl Node {
    pub(super) fn new(seed: u64, plan: Plan) -> Node {
        let bed = Bed::new();
        let disk = Disk::new(bed.path("disk"));
        let logs = (plan.kind == Kind::Dark).then(|| Disk::new(bed.path("logs")));
        fs::create_dir(bed.path("elsewhere")).expect("is new");
        for folder in ["old", "pods"] {
            fs::create_dir(bed.log(folder)).expect("is new");
        }
        let cage = plan.memory_bytes.and_then(Cage::new);
        let topics = plan.has_kafka.then(|| Topics::new(seed, &TENANTS));
        let mut node =
            Node { agent: None, cage, disk, logs, bed, plan, topics, configured: 0, processes: 0 };
        node.configure();
        node
    }

    /// Each time something else, so that it is a change.
    pub(super) fn configure(&mut self) {
        self.configured += 1;
        let open_files = self.configured + if self.plan.is_crowded() { 15 } else { 500 };
        // Some 6 MiB of data beside the parts.
        let memory = if self.topics.is_some() { 86 } else { 46 };
        let fields = format!("  openFilesMax: {open_files}\n  memory: {memory}MiB\n");
        let mut documents =
            vec![self.bed.agent(&fields).replace("{dir}/state", "{dir}/disk/state")];
        for tenant in TENANTS {
            let place = match self.topics {
                Some(topics) => topics.fields(tenant),
                None => format!("  queue: {{path: '{{dir}}/disk/{tenant}', segmentBytes: 1MiB}}\n"),
            };
            let linger_ms = self.plan.linger_ms;
            let sink =
                format!("{place}  retry: {{max: 100ms}}\n  batch: {{linger: {linger_ms}ms}}\n");
            documents.push(resource("LogSink", tenant, &sink));
            let late_writes_ms = self.plan.late_writes_ms;
            let rule = |flush_timeout: &str| {
                format!(
                    "  sink: {tenant}
  line: {{flushTimeout: {flush_timeout}}}
  rotation: {{lateWrites: {late_writes_ms}ms}}
"
                )
            };
            // What a power cut leaves of a line is given up after that, and what stands behind a hole read.
            let whole = rule(if self.plan.kind == Kind::Dark { "1s" } else { "5m" });
            let owner = format!("  tenant: {tenant}\n");
            documents.push(files(tenant, &format!("{tenant}-*.log"), &(owner.clone() + &whole)));
            if self.plan.forms.contains(&Form::Holed) {
                let glob = format!("{tenant}_holed-*.log");
                documents.push(files(&format!("{tenant}-holed"), &glob, &(owner + &rule("500ms"))));
            }
            if self.plan.forms.contains(&Form::Container) {
                let source = format!(
                    "  source:
    containers:
      root: '{{dir}}/logs/pods'
      namespaces: {{include: [{tenant}]}}
"
                );
                let name = format!("{tenant}-pods");
                documents.push(resource("LogConfig", &name, &(source + &whole)));
            }
        }
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        self.bed.configure(&documents);
    }

    pub(super) fn running(&mut self) -> &mut Agent {
        // One that is started on a full disk says so and ends; whoever started it tries again.
        if self.agent.as_mut().is_some_and(|it| it.has_said("No space left") && it.has_ended()) {
            self.agent = None;
        }
        let (bed, plan, cage) = (&self.bed, &self.plan, &self.cage);
        let processes = &mut self.processes;
        self.agent.get_or_insert_with(|| {
            *processes += 1;
            let mut command = Command::new("sh");
            let enter = match cage {
                Some(cage) => format!("echo $$ > {} && exec \"$@\"", cage.entrance().display()),
                None => "exec \"$@\"".to_owned(),
            };
            command.args(["-e", "-c", &enter, "sh", "prlimit"]);
            command.arg(format!("--nofile={0}:{0}", plan.descriptors)).arg(LOGFERRY);
            Agent::spawn_as(bed, command)
        })
    }

    /// Waits until one is ready, which may be another than is running now.
    pub(super) fn wait_ready(&mut self) {
        let listen = self.bed.listen;
        wait_for("ready", || {
            self.running();
            let answer = get(listen, "/ready");
            if answer.as_ref().is_some_and(|it| it.0 == 200) {
                Ok(())
            } else {
                Err(format!("{answer:?}"))
            }
        });
    }

    /// The life that the data plane is in; none if no agent runs.
    pub(super) fn life(&self) -> Option<Life> {
        let said = self.agent.as_ref()?.stderr();
        let restarts = RESTARTS.map(|text| said.matches(text).count());
        Some(Life(self.processes, restarts.iter().sum()))
    }

    /// Returns whether there was an agent to kill.
    pub(super) fn kill(&mut self) -> bool {
        self.agent.take().map(Agent::kill).is_some()
    }

    pub(super) fn terminate(&mut self) {
        self.agent.take().into_iter().for_each(|agent| drop(agent.terminate()));
    }

    /// Whatever it has read is delivered within the grace, if the broker is there.
    pub(super) fn stop(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        match self.topics {
            Some(topics) => topics.in_peace(|| agent.stop()),
            None => agent.stop(),
        }
        if let Some(cage) = &self.cage {
            assert_eq!(cage.killed(), 0, "killed for want of memory");
        }
    }

    pub(super) fn pause(&mut self, milliseconds: u64) {
        let agent = self.running();
        agent.signal(Signal::STOP);
        sleep_ms(milliseconds);
        agent.signal(Signal::CONT);
    }

    pub(super) fn reload(&mut self) {
        self.configure();
        // Before it listens, a hangup ends it, as it ends any program.
        let agent = self.running();
        if agent.has_said("collecting") {
            agent.signal(Signal::HUP);
        }
    }

    /// The disk of state and queues loses its power, and the agent dies of it.
    pub(super) fn cut_power(&mut self, milliseconds: u64) {
        self.disk.cut_power();
        sleep_ms(milliseconds);
        self.kill();
        self.disk.mount_again();
    }

    /// Whether the agent has the file open.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let Some(agent) = &self.agent else { return false };
        let open = fs::read_dir(format!("/proc/{}/fd", agent.pid())).into_iter().flatten();
        let Ok(path) = path.canonicalize() else { return false };
        open.flatten().any(|it| fs::read_link(it.path()).is_ok_and(|it| it == path))
    }

    /// How many bytes of the file the agent says that it has seen, if it has read its beginning.
    pub(super) fn seen(&self, context: &str, path: &Path) -> Option<u64> {
        self.agent.as_ref()?;
        let (_, text) = get(self.bed.listen, "/debug/sources")?;
        let sources: Vec<Value> = serde_json::from_str(&text).ok()?;
        let is_it = |it: &&Value| it["context"].as_str() == Some(context);
        let source = sources.iter().find(is_it)?;
        let is_file = |it: &&Value| it["path"].as_str() == path.to_str() && it["gone"] == false;
        let file = source["generations"].as_array()?.iter().find(is_file)?;
        (file["offset"].as_u64()? > 0).then(|| file["size"].as_u64())?
    }

    /// Whether the agent says that all it has seen is read or declared. Looks again a moment later.
    pub(super) fn has_read_all(&mut self) -> bool {
        self.running().assert_running();
        let all = || {
            let (_, text) = get(self.bed.listen, "/debug/sources")?;
            let sources: Vec<Value> = serde_json::from_str(&text).ok()?;
            // What is not known to be empty, as a compressed file, counts as one byte.
            let is_read = |it: &Value| it["lag_bytes"].as_u64().is_some_and(|bytes| bytes <= 1);
            Some(sources.iter().all(is_read) && !sources.is_empty())
        };
        let is_all = all() == Some(true);
        sleep_ms(if is_all { 0 } else { 15 });
        is_all
    }

    /// `logferry audit` of what a tenant has in its queue.
    pub(super) fn audit(&self, tenant: &str) -> Run {
        self.topics.map_or_else(|| self.logferry(tenant, &["audit"]), |it| it.audit(tenant))
    }

    fn logferry(&self, tenant: &str, command: &[&str]) -> Run {
        let queue = self.disk.path.join(tenant).to_string_lossy().into_owned();
        Run::of(&[command, &["--queue", &queue, "--output", "json"]].concat())
    }

    /// Everything that the queues hold, by the live file's path.
    pub(super) fn records(&self) -> HashMap<String, Vec<Value>> {
        let mut records: HashMap<String, Vec<Value>> = HashMap::new();
        for tenant in TENANTS {
            let own = match self.topics {
                Some(topics) => topics.records(tenant),
                None => self.logferry(tenant, &["tail", "--all"]).json_lines(),
            };
            for record in own {
                let path = record["log.file.path"].as_str().expect("of a file").to_owned();
                // A topic has one tenant's logs alone, and its records do not name it.
                let is_own = self.topics.is_some() || record["tenant"] == tenant;
                let name = Path::new(&path).strip_prefix(self.bed.path("logs")).expect("a log");
                let name = name.strip_prefix("pods").unwrap_or(name).to_string_lossy();
                let is_own = is_own && name.starts_with(tenant);
                assert!(is_own, "in the queue of another: {record}");
                records.entry(path).or_default().push(record);
            }
        }
        records
    }

    /// What all agents said, and which files there are.
    pub(super) fn said(&self) -> String {
        let mut said = String::new();
        for life in 0.. {
            let Ok(text) = fs::read_to_string(self.bed.path(format!("stderr.{life}"))) else {
                break;
            };
            writeln!(said, "agent {life}:\n{text}").expect("memory");
        }
        let sources = get(self.bed.listen, "/debug/sources");
        writeln!(said, "\n{}", sources.map(|(_, text)| text).unwrap_or_default()).expect("memory");
        let mut list = Command::new("ls");
        let files = list.arg("-liR").arg(self.bed.path("logs")).output().expect("there is ls");
        said + &String::from_utf8_lossy(&files.stdout)
    }
}
