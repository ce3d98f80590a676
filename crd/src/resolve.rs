//! From what was written to what runs: reads every document, fills defaults, checks all relations.
//!
//! Never stops at a problem: what could not be used is taken for not written, and what depends on
//! it is not complained about.

mod agent;
mod labels;
mod log_config;
mod log_sink;
mod log_tenant;
mod rate;
pub(crate) mod read;
mod relations;
mod tenancy;

use std::collections::BTreeSet;
use std::sync::Arc;

use read::{LogConfigWords, Resources};

use crate::document::{Document, Written};
use crate::memo::{Known, Memo, Surroundings};
use crate::report::{Check, Report};
use crate::spec::AgentSpec;
use crate::units::ByteSize;
use crate::{AgentSettings, ConfigFile, LogConfigSettings, Problems, Settings};

/// Turns files into settings.
///
/// # Errors
/// Every problem of every file, if one of them is an error. Without errors, warnings come with the
/// settings.
pub fn resolve(files: Vec<ConfigFile>) -> Result<Settings, Problems> {
    let mut report = Report::default();
    let resources = read::read(files, &mut report);
    let settings = settings(resources, &mut report, None);
    let problems = report.finish();
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Settings { warnings: problems, ..settings })
}

/// Fills and checks; of use only if the report has no errors afterwards. What is good by itself is remembered, where
/// there is a memo.
pub(crate) fn settings(
    resources: Resources,
    report: &mut Report,
    memo: Option<&mut Memo>,
) -> Settings {
    let Resources { agents, log_configs, sinks, tenants, stray_names } = resources;
    let (agent, agent_document) = one_agent(agents, report);
    let is_broken = |path| agent_document.as_ref().is_some_and(|it| it.is_broken(path));
    // Where the agent's size is not known, nothing is measured by it.
    let chunk = ByteSize(agent.chunk_bytes as u64);
    let known_chunk = (!is_broken("spec.chunkBytes")).then_some(chunk);

    let mut sink_names: BTreeSet<String> = stray_names;
    sink_names.extend(sinks.iter().map(|sink| sink.document.name.clone()));
    let tenants = resolve_all(tenants, report, |spec, check| {
        log_tenant::resolve(spec, known_chunk, &sink_names, check)
    });
    let secrets = agent.secrets_directory.as_path();
    let sinks = resolve_all(sinks, report, |spec, check| log_sink::resolve(spec, secrets, check));
    let around = Surroundings { pod_logs: agent.pod_logs_directory.clone(), chunk: known_chunk };
    let around = Arc::new(around);
    let log_configs = resolve_log_configs(log_configs, &around, &sink_names, report);
    if let Some(memo) = memo {
        let bad = report.files();
        let good = log_configs.iter().filter(|it| !bad.contains(&it.document.file_index));
        good.for_each(|it| memo.learn(&it.document, &it.settings, &around));
    }

    report.begin_relations();
    tenancy::check_namespaces(&tenants, report);
    tenancy::check_shares(&agent, agent_document.as_ref(), &tenants, report);
    tenancy::check_rates(&agent, agent_document.as_ref(), &tenants, &log_configs, report);
    tenancy::check_allowed(&tenants, &log_configs, report);
    relations::check_memory(&agent, agent_document, &tenants, report);
    relations::check_sinks(&sinks, &log_configs, report);
    relations::check_sources(&log_configs, report);
    relations::check_topics(&sinks, report);
    relations::check_own_topics(&sinks, &log_configs, report);
    relations::check_use(&sinks, &log_configs, report);

    Settings {
        agent,
        log_configs: sorted(log_configs, |it| it.name.clone()),
        sinks: sorted(sinks, |it| it.name.clone()),
        tenants: sorted(tenants, |it| it.name.clone()),
        other_tenants_memory: log_tenant::memory_of_others(chunk),
        warnings: Problems::default(),
    }
}

/// A resource with its document, for the checks between resources.
struct Resolved<T> {
    document: Document,
    settings: T,
}

/// The first agent, or one of defaults; the others are complained about.
fn one_agent(
    agents: Vec<Written<AgentSpec>>,
    report: &mut Report,
) -> (AgentSettings, Option<Document>) {
    let mut first: Option<(AgentSettings, Document)> = None;
    for Written { document, spec } in agents {
        let check = &mut Check { document: &document, report };
        let settings = agent::resolve(spec, check);
        if let Some((_, earlier)) = &first {
            let why = format!("a second Agent; the first is at {}", earlier.place_text());
            check.error("metadata.name", &why, "remove one of them");
        } else {
            first = Some((settings, document));
        }
    }
    if let Some((settings, document)) = first {
        return (settings, Some(document));
    }
    (agent::of_defaults(), None)
}

/// Resolves LogConfigs, but for those of which it is known what they come to.
fn resolve_log_configs(
    written: Vec<Written<LogConfigWords>>,
    around: &Surroundings,
    sink_names: &BTreeSet<String>,
    report: &mut Report,
) -> Vec<Resolved<LogConfigSettings>> {
    let mut all = Vec::with_capacity(written.len());
    for written in written {
        let holds = |it: &Known| it.holds(around, |sink| sink_names.contains(sink));
        let Written { document, spec } = read::unless_known(written, holds, report);
        let settings = match spec {
            LogConfigWords::Known(known) => Some(known.settings),
            LogConfigWords::New(spec) => {
                let check = &mut Check { document: &document, report };
                log_config::resolve(*spec, &around.pod_logs, around.chunk, sink_names, check)
            }
        };
        all.extend(settings.map(|settings| Resolved { document, settings }));
    }
    all
}

fn resolve_all<S, T>(
    written: Vec<Written<S>>,
    report: &mut Report,
    resolve: impl Fn(S, &mut Check<'_>) -> Option<T>,
) -> Vec<Resolved<T>> {
    let mut all = Vec::with_capacity(written.len());
    for Written { document, spec } in written {
        let settings = resolve(spec, &mut Check { document: &document, report });
        all.extend(settings.map(|settings| Resolved { document, settings }));
    }
    all
}

fn sorted<T, K: Ord>(resolved: Vec<Resolved<T>>, name: impl Fn(&T) -> K) -> Vec<T> {
    let mut all: Vec<T> = resolved.into_iter().map(|it| it.settings).collect();
    all.sort_by_key(name);
    all
}
