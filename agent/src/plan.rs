//! Plan: from the resolved configuration to what a data plane is to do.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use crd::{LogConfigSettings, Settings, SourceSettings, TextEncoding};
use cri_watch::Containers;
use flow::{Clock, RecordFlags, nanoseconds};
use pipeline::budgets::BudgetSpec;
use pipeline::discovery::{FileSelection, Rule, Selection};
use pipeline::frame::{ByteOrder, Format};
use pipeline::fs::{HostFs, Reach};
use pipeline::plane::PlanePlan;
use pipeline::source::{SourceOptions, StartAt};
use sink::queue::Queue;
use sink::spool::{LateSpool, SpoolStore};

use crate::memory_plan::MemoryPlan;
use crate::place;

mod credentials;
mod inside;
mod kafka;
mod limits;
mod multiline;
mod owed;
mod pods;
mod producers;
mod sinks;
mod spool;
mod tenants;
mod unknowable;
#[cfg(test)]
mod worlds;

pub(crate) use credentials::Credentials;
pub(crate) use inside::needs_runtime;
pub(crate) use kafka::config as kafka_config;
pub(crate) use owed::{folders as spool_folders, is_drained, undrained};
pub(crate) use pods::{Awaited, Watched, awaits, label_attributes};
pub(crate) use producers::Producers;
pub(crate) use sinks::Absent;
use sinks::Stores;
use spool::Spools;
pub(crate) use tenants::{ByLabels, tenants};
pub(crate) use unknowable::unknowable;

/// A plan, and the queues that its sinks write to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) plan: PlanePlan,
    pub(crate) queues: Vec<(Arc<str>, Arc<Queue>)>,
    /// What sinks do not take is kept there.
    pub(crate) spools: Vec<(Arc<str>, Arc<SpoolStore>)>,
    /// Those that cannot be opened yet.
    pub(crate) late_spools: Vec<(Arc<str>, Arc<LateSpool>)>,
    /// Sinks that are not there yet.
    pub(crate) absent: Vec<Absent>,
    /// There is memory for what log disks read back.
    pub(crate) has_recall: bool,
    /// For the plane after it.
    pub(crate) producers: Producers,
}

/// Refuses what can be written and is not built yet, and what this machine has no memory for.
///
/// # Errors
/// With the resource and the field, and what to do.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<MemoryPlan> {
    for sink in &settings.sinks {
        kafka::refuse_unbuilt(sink).with_context(|| format!("LogSink {}", sink.name))?;
    }
    MemoryPlan::of(settings)
}

/// Opens the sinks and resolves everything else. `watched` is what an API server says, `containers` what a runtime
/// says of containers. Of sinks that are known to be `away`, and why, nobody waits to hear it again. Those whose
/// `producers` ended in good order go on with them.
pub(crate) fn resolve(
    settings: &Settings,
    credentials: &Credentials,
    watched: Option<&Watched>,
    containers: Option<&Arc<Containers>>,
    away: &HashMap<String, String>,
    producers: Producers,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Resolved> {
    let memory = check(settings)?;
    tracing::info!("{memory}");
    if let Some(warning) = memory.warning() {
        tracing::warn!("{warning}");
    }
    let agent = &settings.agent;
    let mut stores = Stores::new(Spools::of(settings), producers);
    let undrained = undrained(settings);
    undrained.iter().for_each(|it| tracing::warn!("{it}"));
    if let Err(error) = owed::remember(settings, &undrained) {
        tracing::warn!("where the spool is, is not remembered: {error:#}");
    }
    let (mut sinks, mut absent) = (Vec::new(), Vec::new());
    for sink in &settings.sinks {
        let opener = sinks::opener(sink, agent, credentials, clock)?;
        let plan = match away.get(&*sink.name) {
            Some(why) => stores.late(sink, agent, clock, (opener, why.clone()), &mut absent),
            None => match stores.open_now(sink, &opener) {
                Ok(opened) => stores.present(sink, agent, clock, opened),
                Err(error) if sinks::is_absence(&error) => {
                    let why = format!("LogSink {}: {error:#}", sink.name);
                    stores.late(sink, agent, clock, (opener, why), &mut absent)
                }
                Err(error) => return Err(error.context(format!("LogSink {}", sink.name))),
            },
        };
        sinks.push(plan?);
    }
    let others = settings.other_tenants_memory;
    let budget = |it: &crd::MemorySettings| BudgetSpec {
        reserved_bytes: it.reserved_bytes,
        max_bytes: it.max_bytes,
    };
    let by_labels = match watched {
        Some(watched) => watched.by_labels.clone(),
        None => ByLabels::of(settings, &Arc::default()),
    };
    let by_labels = by_labels.as_ref();
    let sidecars = containers.map(|it| Arc::new(inside::Sidecars::new(Arc::clone(it))));
    let has_spools = stores.spools.len() == sinks.len();
    let plan = PlanePlan {
        rules: settings
            .log_configs
            .iter()
            .map(|it| {
                let rule = rule(it, settings, watched, by_labels)?;
                Ok(inside::rules(it, rule, containers, sidecars.as_ref()))
            })
            .collect::<anyhow::Result<Vec<_>>>()?
            .concat(),
        place: place::of(agent),
        sinks,
        readers: agent.readers,
        chunk_bytes: agent.chunk_bytes,
        pool_bytes: memory.pool_bytes(),
        known_beside_bytes: memory.known_beside_bytes(),
        ended_bytes_max: memory.ended_bytes(),
        default_budget: budget(&others),
        default_reserves: memory.other_reserves(),
        budgets: settings
            .tenants
            .iter()
            .map(|it| (Arc::from(&*it.name), budget(&it.memory)))
            .collect::<HashMap<_, _>>(),
        windows: settings
            .tenants
            .iter()
            .filter_map(|it| Some((Arc::from(&*it.name), it.in_flight_bytes_max?)))
            .collect(),
        limits: limits::of(settings, has_spools),
        state_directory: agent.state_directory.clone(),
        checkpoint_interval_ns: nanoseconds(agent.checkpoint_interval),
        scan_interval_ns: nanoseconds(agent.scan_interval),
        open_files_max: place::open_files_max(agent.open_files_max),
        pinned_bytes_max: agent.pinned_bytes_max,
        pinned_by_tenant: settings
            .tenants
            .iter()
            .filter_map(|it| Some((Arc::from(&*it.name), it.pinned_bytes_max?)))
            .collect(),
    };
    let Stores { queues, spools, late_spools, producers, .. } = stores;
    let has_recall = memory.has_recall();
    Ok(Resolved { plan, queues, spools, late_spools, absent, has_recall, producers })
}

fn rule(
    config: &LogConfigSettings,
    settings: &Settings,
    watched: Option<&Watched>,
    by_labels: Option<&Arc<ByLabels>>,
) -> anyhow::Result<Rule> {
    let name: Arc<str> = Arc::from(config.name.to_string());
    let sink = settings.sinks.iter().position(|it| it.name == config.sink);
    let sink = sink.with_context(|| format!("LogConfig {name}: no sink {}", config.sink))?;
    let linger = settings.sinks[sink].batch.linger;
    let (selection, skip, is_files) = match &config.source {
        SourceSettings::Containers(it) => {
            let selection = pods::selection(it, &settings.agent, watched);
            let skip = match (it.stdout, it.stderr) {
                (true, false) => RecordFlags::STDERR,
                (false, true) => RecordFlags::STDOUT,
                _ => RecordFlags::NONE,
            };
            (Selection::Pods(Box::new(selection)), skip, false)
        }
        SourceSettings::Files(it) => {
            let selection = FileSelection::new(it.include.patterns(), (**it.exclude.set()).clone())
                .with_context(|| format!("LogConfig {name}"))?;
            (Selection::Files(selection), RecordFlags::NONE, true)
        }
    };
    let format = match (config.encoding, config.format) {
        (TextEncoding::Utf16le, _) => Some(Format::Utf16(ByteOrder::Little)),
        (TextEncoding::Utf16be, _) => Some(Format::Utf16(ByteOrder::Big)),
        (TextEncoding::Utf8, crd::Format::Auto) => is_files.then_some(Format::Plain),
        (TextEncoding::Utf8, crd::Format::Plain) => Some(Format::Plain),
        (TextEncoding::Utf8, crd::Format::Cri) => Some(Format::Cri),
        (TextEncoding::Utf8, crd::Format::Docker) => Some(Format::Docker),
    };
    let options = SourceOptions {
        format,
        start_at: match config.start_at {
            crd::StartAt::Beginning => StartAt::Beginning,
            crd::StartAt::End => StartAt::End,
        },
        line_bytes_max: u32::try_from(config.line.bytes_max).unwrap_or(u32::MAX),
        flush_timeout_ns: nanoseconds(config.line.flush_timeout),
        multiline: config.multiline.as_ref().map(multiline::of),
        late_writes_ns: nanoseconds(config.late_writes),
        sample_one_in: config.sampling_one_in,
        skip,
        linger_ns: nanoseconds(linger),
    };
    let fs = Arc::new(HostFs::new(reach(config)?));
    let tenants = tenants(config, settings, by_labels);
    let topic = config.topic.as_deref().map(Arc::from);
    Ok(Rule { name, selection, tenants, sink, topic, options: Arc::new(options), fs })
}

/// Where the files of a LogConfig may lie.
pub(crate) fn reach(config: &LogConfigSettings) -> anyhow::Result<Reach> {
    Ok(match &config.source {
        SourceSettings::Containers(it) => {
            Reach::shared_tree(it.root.clone(), it.follow_links_into.clone())
        }
        SourceSettings::Files(it) => {
            let selection = FileSelection::new(it.include.patterns(), (**it.exclude.set()).clone())
                .with_context(|| format!("LogConfig {}", config.name))?;
            Reach::own_trees(selection.roots(), it.follow_links_into.clone())
        }
    })
}
