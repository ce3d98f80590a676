//! What must hold between resources: memory fits, no place is written twice or read back, nothing
//! is collected twice by the same words.

use std::collections::HashMap;
use std::path::PathBuf;

use super::{Resolved, log_tenant};
use crate::document::Document;
use crate::problem::{Place, Problem, Severity};
use crate::report::{Check, Report};
use crate::settings::{
    AgentSettings, ContainersSettings, LogConfigSettings, SinkSettings, SinkTarget, SourceSettings,
    TenantSettings,
};
use crate::units::ByteSize;

/// The reserves of all tenants, and one for tenants nobody wrote about, fit into the memory that is written.
/// Whether there is room for everything else besides, the agent knows.
pub(super) fn check_memory(
    agent: &AgentSettings,
    document: Option<Document>,
    tenants: &[Resolved<TenantSettings>],
    report: &mut Report,
) {
    let unknown = |document: &Document| {
        document.is_broken("spec.memory") || document.is_broken("spec.chunkBytes")
    };
    if document.as_ref().is_some_and(unknown) || tenants.iter().any(|it| unknown(&it.document)) {
        return;
    }
    let Some(memory) = agent.memory_bytes else { return };
    let others = log_tenant::memory_of_others(ByteSize(agent.chunk_bytes as u64));
    let reserves = tenants.iter().map(|it| it.settings.memory.reserved_bytes);
    let sum = reserves.fold(others.reserved_bytes, usize::saturating_add);
    if sum <= memory {
        return;
    }
    let sum = ByteSize(sum as u64);
    let other = ByteSize(others.reserved_bytes as u64);
    let memory = ByteSize(memory as u64);
    let why = format!(
        "{memory} of memory do not hold the reserves of {sum}: those of {} LogTenants and {other} \
         for tenants without one",
        tenants.len()
    );
    let cure = format!("write at least {sum} for the Agent's memory, or smaller reserves");
    match document {
        Some(document) => {
            let check = &mut Check { document: &document, report };
            check.error("spec.memory", &why, &cure);
        }
        None => add_overall(report, Severity::Error, &why, &cure),
    }
}

/// No two sinks write the same place, nor one within another's; and none is read back.
pub(super) fn check_sinks(
    sinks: &[Resolved<SinkSettings>],
    configs: &[Resolved<LogConfigSettings>],
    report: &mut Report,
) {
    let mut owners: HashMap<PathBuf, String> = HashMap::new();
    for sink in sinks {
        let Some((path, _)) = place_of(&sink.settings) else { continue };
        owners.entry(path).or_insert_with(|| sink.document.title());
    }
    for sink in sinks {
        let Some((path, field)) = place_of(&sink.settings) else { continue };
        let check = &mut Check { document: &sink.document, report };
        let title = check.document.title();
        let other = path.ancestors().filter_map(|it| owners.get(it)).find(|it| **it != title);
        if let Some(other) = other {
            let why = format!("{other} writes there");
            check.error(field, &why, "give each LogSink a place of its own");
        }
        for config in configs {
            let SourceSettings::Files(files) = &config.settings.source else { continue };
            if files.selects(&path) {
                let why = format!("{} would read it again", config.document.title());
                check.error(field, &why, "choose another path, or exclude it there");
            }
        }
    }
}

/// Two sinks of one topic are allowed, as two agents are, and seldom meant.
pub(super) fn check_topics(sinks: &[Resolved<SinkSettings>], report: &mut Report) {
    if report.has_errors() {
        return;
    }
    let mut owners: HashMap<(&str, &str), String> = HashMap::new();
    for sink in sinks {
        let SinkTarget::Kafka(kafka) = &sink.settings.target else { continue };
        let check = &mut Check { document: &sink.document, report };
        let title = check.document.title();
        let place = |broker| (kafka.topic.as_str(), broker);
        let mut brokers = kafka.brokers.iter().map(String::as_str);
        if let Some(other) = brokers.find_map(|it| owners.get(&place(it))) {
            let why = format!(
                "{other} writes there too: its tenants and these meet in it, and at a start each reads back what \
                 both wrote"
            );
            let cure = "give each LogSink a topic of its own, or use one for all of them";
            check.warning("spec.kafka.topic", &why, cure);
        }
        for broker in &kafka.brokers {
            owners.entry(place(broker)).or_insert_with(|| title.clone());
        }
    }
}

/// Who writes a LogConfig of a namespace names no topic that all tenants share: another tenant's could be it.
pub(super) fn check_own_topics(
    sinks: &[Resolved<SinkSettings>],
    configs: &[Resolved<LogConfigSettings>],
    report: &mut Report,
) {
    for config in configs {
        let LogConfigSettings { name, sink, topic, .. } = &config.settings;
        let target = sinks.iter().find(|it| it.settings.name == *sink);
        let Some(SinkTarget::Kafka(kafka)) = target.map(|it| &it.settings.target) else { continue };
        if name.namespace.is_none() || topic.is_none() || kafka.topic.contains("${tenant}") {
            continue;
        }
        let check = &mut Check { document: &config.document, report };
        let why = format!("the topic {} of the LogSink {sink} is that of all tenants", kafka.topic);
        let cure = "remove it, or write `${tenant}` into the LogSink's, so that each has its own";
        check.error("spec.topic", &why, cure);
    }
}

/// Where a sink writes, and the field that says so.
fn place_of(sink: &SinkSettings) -> Option<(PathBuf, &'static str)> {
    match &sink.target {
        SinkTarget::Queue(queue) => Some((queue.path.clone(), "spec.queue.path")),
        SinkTarget::File(file) => Some((file.path.clone(), "spec.file.path")),
        SinkTarget::Kafka(_) | SinkTarget::Stdout | SinkTarget::Blackhole => None,
    }
}

/// No two LogConfigs include the same by the same words. What overlaps otherwise is decided at run
/// time: the first by name has it.
pub(super) fn check_sources(configs: &[Resolved<LogConfigSettings>], report: &mut Report) {
    let mut owners: HashMap<Vec<String>, String> = HashMap::new();
    for config in configs {
        let check = &mut Check { document: &config.document, report };
        let title = check.document.title();
        for (field, words) in words_of(&config.settings.source) {
            match owners.get(&words) {
                Some(owner) if *owner != title => {
                    let why = format!("{owner} includes the same");
                    check.error(&field, &why, "include it in one of them only");
                }
                Some(_) => {}
                None => drop(owners.insert(words, title.clone())),
            }
        }
    }
}

/// The words by which a source includes: each glob of files by itself, of containers all that says which.
fn words_of(source: &SourceSettings) -> Vec<(String, Vec<String>)> {
    match source {
        SourceSettings::Files(files) => {
            let patterns = files.include.patterns().iter().enumerate();
            let word = |(index, pattern): (usize, &String)| {
                (format!("spec.source.files.include[{index}]"), vec![pattern.clone()])
            };
            patterns.map(word).collect()
        }
        SourceSettings::Containers(containers) => words_of_containers(containers),
    }
}

/// Their streams, and each glob of files inside, each with all that says which containers.
fn words_of_containers(containers: &ContainersSettings) -> Vec<(String, Vec<String>)> {
    if containers.namespaces.include.patterns().is_empty() {
        return Vec::new();
    }
    let mut which = vec![containers.root.to_string_lossy().into_owned()];
    for selector in [&containers.namespaces, &containers.pods, &containers.containers] {
        let mut patterns = selector.include.patterns().to_vec();
        patterns.sort();
        which.push(patterns.len().to_string());
        which.append(&mut patterns);
        which.extend(selector.pattern.as_ref().map(ToString::to_string));
    }
    let ContainersSettings { namespace_selector, pod_selector, owner, env, .. } = containers;
    which.push(format!("{namespace_selector:?} {pod_selector:?} {owner:?} {env:?}"));
    let mut words = Vec::new();
    if containers.stdout || containers.stderr {
        words.push(("spec.source.containers".to_owned(), which.clone()));
    }
    let globs = containers.files.iter().flat_map(|it| it.include.patterns()).enumerate();
    words.extend(globs.map(|(index, glob)| {
        let field = format!("spec.source.containers.files.include[{index}]");
        (field, [&which[..], std::slice::from_ref(glob)].concat())
    }));
    words
}

/// Something is collected, and what is written is used.
pub(super) fn check_use(
    sinks: &[Resolved<SinkSettings>],
    configs: &[Resolved<LogConfigSettings>],
    report: &mut Report,
) {
    if report.has_errors() {
        return;
    }
    if configs.is_empty() {
        let cure = "add one that says what to collect";
        add_overall(report, Severity::Warning, "no LogConfig: nothing is collected", cure);
        return;
    }
    for sink in sinks {
        if configs.iter().all(|config| config.settings.sink != sink.settings.name) {
            let check = &mut Check { document: &sink.document, report };
            check.warning(
                "metadata.name",
                "no LogConfig names this LogSink",
                "name it, or remove it",
            );
        }
    }
}

/// A problem of all files together.
fn add_overall(report: &mut Report, severity: Severity, why: &str, cure: &str) {
    let problem = Problem {
        severity,
        place: None::<Place>,
        resource: String::new(),
        path: String::new(),
        what: String::new(),
        why: why.to_owned(),
        cure: cure.to_owned(),
    };
    report.add(usize::MAX, problem);
}
