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

use read::Resources;

use crate::document::{Document, Written};
use crate::report::{Check, Report};
use crate::spec::AgentSpec;
use crate::units::ByteSize;
use crate::{AgentSettings, ConfigFile, Problems, Settings};

/// Turns files into settings.
///
/// # Errors
/// Every problem of every file, if one of them is an error. Without errors, warnings come with the
/// settings.
pub fn resolve(files: Vec<ConfigFile>) -> Result<Settings, Problems> {
    let mut report = Report::default();
    let resources = read::read(files, &mut report);
    let settings = settings(resources, &mut report);
    let problems = report.finish();
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Settings { warnings: problems, ..settings })
}

/// Fills and checks; of use only if the report has no errors afterwards.
pub(crate) fn settings(resources: Resources, report: &mut Report) -> Settings {
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
    let log_configs = resolve_all(log_configs, report, |spec, check| {
        log_config::resolve(spec, &agent.pod_logs_directory, known_chunk, &sink_names, check)
    });

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
