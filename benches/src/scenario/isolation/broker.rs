//! Broker: the aggressor's topic is stuck, or its messages are rejected, where all tenants share a sink and a client.
//!
//! Each tenant has a topic of one partition. *Stalled*: the broker that leads the aggressor's is stopped (SIGSTOP);
//! another of the three leads the victim's. *Memory*: the same, where what is read of the aggressor and goes nowhere
//! fills the little memory that the agent has. *Rejected*: an access rule of the broker keeps the agent's user out of
//! the aggressor's topic.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result};
use kafka_kit::{AclOperation, Cluster, Listener, User};

use super::config::Config;
use super::neighbours::{Bed, QUIET, VICTIM_RATE};
use super::{Case, Fault, Settings, Space, ask};
use crate::report::Section;

/// Bytes a second of the aggressor.
const FLOOD_RATE: u64 = 100 * VICTIM_RATE;
/// Brokers, where one of them stops: the others are a majority.
const BROKERS: u32 = 3;
/// Files of the flood where memory is short.
const MEMORY_FILES: u32 = 200;
/// The agent's memory there.
const MEMORY: &str = ", memory: 64MiB";
const MEMORY_BYTES: u64 = 64 << 20;
/// Of the 4.5 MiB that are data there, who has what; the aggressor has the reserve of those that are not listed.
const MEMORY_TENANTS: [(&str, &str); 2] = [
    ("victim", "memory: {reserved: 1MiB}"),
    ("quiet", "namespaces: [quiet-*], memory: {reserved: 1MiB}"),
];
/// Tries to have two topics led by two brokers: each is as good as any, so that none helps in one of 3^20 cases.
const TRIES: u32 = 20;
/// The agent's user.
const USER: &str = "logferry";
const PASSWORD: &str = "bench-only";

/// The broker of the aggressor's topic does not answer.
pub(in super::super) fn stalled(settings: &Settings, space: &Space) -> Result<Section> {
    let cluster = Cluster::builder().brokers(BROKERS).start()?;
    let phases = Cell::new(0);
    ask(settings, space, |bed| {
        let what = "100 MB/s in one file for a topic whose broker has stopped; other brokers lead all topics of the \
                    victim.";
        stuck(bed, &cluster, &phases, "isolation-stalled", what, 1)
    })
}

/// Nor does it here, and the agent has little memory.
pub(in super::super) fn memory(settings: &Settings, space: &Space) -> Result<Section> {
    let cluster = Cluster::builder().brokers(BROKERS).start()?;
    let phases = Cell::new(0);
    ask(settings, space, |bed| {
        let what = "100 MB/s in 200 files for a topic whose broker has stopped, read by an agent of 64 MiB; other \
                    brokers lead all topics of the victim.";
        let case = stuck(bed, &cluster, &phases, "isolation-memory", what, MEMORY_FILES)?;
        let tenants = MEMORY_TENANTS.map(|(name, fields)| (name.to_owned(), fields.to_owned()));
        let config = Config { agent: MEMORY, tenants: tenants.to_vec(), ..case.config };
        Ok(Case { config, resident_max: Some(MEMORY_BYTES), ..case })
    })
}

/// A case whose fault is that the broker of the aggressor's topic stops.
fn stuck<'a>(
    bed: &Bed<'_>,
    cluster: &'a Cluster,
    phases: &Cell<u32>,
    name: &'static str,
    what: &'static str,
    files: u32,
) -> Result<Case<'a>> {
    let prefix = topics(cluster, phases)?;
    let broker = apart(cluster, &prefix)?;
    let config = config(&cluster.addresses(Listener::Plain), &prefix, "");
    let fault = Box::new(Stopped { cluster, broker });
    let mut case = case(bed, cluster, name, what, &prefix, config, fault);
    case.aggressor.files = files;
    Ok(case)
}

/// The aggressor's messages are rejected.
pub(in super::super) fn rejecting(settings: &Settings, space: &Space) -> Result<Section> {
    let cluster = Cluster::builder().user(&User::new(USER, PASSWORD)).start()?;
    let password = space.root.join("password");
    fs::write(&password, PASSWORD)?;
    let phases = Cell::new(0);
    ask(settings, space, |bed| {
        let prefix = topics(&cluster, &phases)?;
        let brokers = cluster.addresses(Listener::Sasl);
        let file = serde_json::Value::from(password.to_string_lossy());
        let sasl = format!(", sasl: {{mechanism: PLAIN, username: {USER}, passwordFile: {file}}}");
        let config = config(&brokers, &prefix, &sasl);
        let fault = Box::new(Denied { cluster: &cluster, topic: topic(&prefix, "aggressor") });
        let what = "100 MB/s in one file for a topic that the agent may not write to.";
        Ok(case(bed, &cluster, "isolation-rejected", what, &prefix, config, fault))
    })
}

fn topic(prefix: &str, tenant: &str) -> String {
    format!("{prefix}-{tenant}")
}

/// New topics for all tenants; returns what their names begin with.
fn topics(cluster: &Cluster, phases: &Cell<u32>) -> Result<String> {
    phases.set(phases.get() + 1);
    let prefix = format!("phase-{}", phases.get());
    let quiet = (0..QUIET).map(|number| format!("quiet-{number}"));
    let others = ["quiet", "victim", "aggressor"].map(str::to_owned);
    for tenant in quiet.chain(others) {
        cluster.create_topic(&topic(&prefix, &tenant), 1, 1, &[])?;
    }
    Ok(prefix)
}

/// Moves the aggressor's topic until another broker leads it than the victim's; returns its own.
fn apart(cluster: &Cluster, prefix: &str) -> Result<u32> {
    let leader = |tenant: &str| {
        cluster.leader(&topic(prefix, tenant), 0)?.context("a topic without a leader")
    };
    let (victims, aggressor) = (leader("victim")?, topic(prefix, "aggressor"));
    for _ in 0..TRIES {
        let aggressors = leader("aggressor")?;
        if aggressors != victims {
            return Ok(aggressors);
        }
        cluster.delete_topic(&aggressor)?;
        cluster.create_topic(&aggressor, 1, 1, &[])?;
    }
    anyhow::bail!("one broker leads all topics")
}

fn config(brokers: &str, prefix: &str, access: &str) -> Config {
    let brokers: Vec<String> =
        brokers.split(',').map(|it| serde_json::Value::from(it).to_string()).collect();
    let brokers = brokers.join(", ");
    let sink = format!(
        "kafka: {{brokers: [{brokers}], topic: \"{prefix}-${{tenant}}\"{access}}}, \
         compression: {{codec: zstd, level: 1}}"
    );
    Config { sink, ..Config::default() }
}

fn case<'a>(
    bed: &Bed<'_>,
    cluster: &Cluster,
    name: &'static str,
    what: &'static str,
    prefix: &str,
    config: Config,
    fault: Box<dyn Fault + 'a>,
) -> Case<'a> {
    let mut aggressor = bed.aggressor(1);
    aggressor.rate = FLOOD_RATE;
    let tail = [
        "--kafka".to_owned(),
        cluster.addresses(Listener::Plain),
        "--topic".to_owned(),
        topic(prefix, "victim"),
    ];
    let tail = tail.into_iter().map(OsString::from).collect();
    Case { name, what, config, tail, aggressor, resident_max: None, fault: Some(fault) }
}

/// A broker stops.
struct Stopped<'a> {
    cluster: &'a Cluster,
    broker: u32,
}

impl Fault for Stopped<'_> {
    fn begin(&self) -> Result<()> {
        self.cluster.broker(self.broker).pause()
    }

    fn end(&self) -> Result<()> {
        self.cluster.broker(self.broker).resume()
    }
}

/// The agent's user may not write to a topic.
struct Denied<'a> {
    cluster: &'a Cluster,
    topic: String,
}

impl Fault for Denied<'_> {
    fn begin(&self) -> Result<()> {
        self.cluster.deny(USER, AclOperation::Write, &self.topic)
    }

    fn end(&self) -> Result<()> {
        self.cluster.undeny(USER, AclOperation::Write, &self.topic)
    }
}
