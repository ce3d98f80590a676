//! LogConfigs: what to collect.

mod containers;
mod log_disk;
mod multiline;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::log_tenant::{TENANT_CURE, is_tenant};
use super::rate;
use crate::globs::{Against, Globs};
use crate::report::Check;
use crate::settings::{
    FilesSettings, LineSettings, LogConfigLimitsSettings, LogConfigSettings, ResourceName,
    SourceSettings,
};
use crate::spec::{
    FilesSpec, Format, LineSpec, LogConfigLimitsSpec, LogConfigSpec, OF_HOST, OF_NAMESPACE,
    RateSpec, SamplingSpec, SourceSpec, TextEncoding,
};
use crate::units::ByteSize;
use crate::{defaults, limits};

pub(super) fn resolve(
    spec: LogConfigSpec,
    pod_logs: &Path,
    chunk: Option<ByteSize>,
    sink_names: &BTreeSet<String>,
    check: &mut Check<'_>,
) -> Option<LogConfigSettings> {
    check_reach(check);
    if spec.tenant.as_deref().is_some_and(|it| !is_tenant(it)) {
        check.error("spec.tenant", "not a tenant", TENANT_CURE);
    }
    let sink = sink(spec.sink, sink_names, check);
    let topic = topic(spec.topic, check);
    let line = line(&spec.line.unwrap_or_default(), chunk, check);
    let multiline = spec.multiline.map(|it| multiline::resolve(it, &line, check));
    let late_writes = check.ranged(
        "spec.rotation.lateWrites",
        spec.rotation.unwrap_or_default().late_writes,
        defaults::LATE_WRITES,
        &limits::LATE_WRITES,
    );
    let limits = limits(spec.limits.unwrap_or_default(), check);
    let source = source(spec.source, pod_logs, check);
    let format = spec.format.unwrap_or(defaults::FORMAT);
    let encoding = encoding(spec.encoding, format, source.as_ref(), check);
    let sampling = spec.sampling.map(|it| sampling(&it, check));
    let name = check.document.name.clone();
    Some(LogConfigSettings {
        name: ResourceName { namespace: check.document.namespace.clone(), name },
        tenant: spec.tenant,
        sink,
        topic,
        source: source?,
        start_at: spec.start_at.unwrap_or(defaults::START_AT),
        format,
        encoding,
        line,
        multiline: multiline.flatten(),
        late_writes: late_writes.duration(),
        sampling_one_in: sampling.flatten(),
        limits,
    })
}

/// A LogConfig of a namespace says nothing of the host, and nothing of other namespaces; one of none says nothing that is a
/// namespace's own.
fn check_reach(check: &mut Check<'_>) {
    let Some(namespace) = check.document.namespace.clone() else {
        for (field, reason) in OF_NAMESPACE {
            let path = format!("spec.{field}");
            if check.document.is_written(&path) {
                check.error(&path, reason, "remove it, or write a LogConfig of that namespace");
            }
        }
        return;
    };
    for (field, reason) in OF_HOST {
        let path = format!("spec.{field}");
        if check.document.is_written(&path) {
            let why = format!("this LogConfig is of namespace {namespace}, {reason}");
            check.error(&path, &why, "remove it, or write a ClusterLogConfig");
        }
    }
}

fn sampling(spec: &SamplingSpec, check: &mut Check<'_>) -> Option<u32> {
    let path = "spec.sampling.oneIn";
    if spec.one_in.is_none() {
        check.missing(path, "write a number, such as 10 for every tenth record");
    }
    spec.one_in.map(|it| check.ranged(path, Some(it), it, &limits::SAMPLE_ONE_IN))
}

fn limits(spec: LogConfigLimitsSpec, check: &mut Check<'_>) -> LogConfigLimitsSettings {
    let rate = RateSpec {
        bytes_per_second: spec.bytes_per_second,
        records_per_second: spec.records_per_second,
        burst: spec.burst,
    };
    let each_path = "spec.limits.perContainer";
    let each = rate::resolve(each_path, &spec.per_container.unwrap_or_default(), check);
    let rate = rate::resolve("spec.limits", &rate, check);
    rate::check_within(each_path, &each, &rate, "all of them together", check);
    LogConfigLimitsSettings { rate, per_container: each }
}

/// How characters are written: what a container runtime writes is never UTF-16, nor what is inside of a container
/// ever written by a runtime.
fn encoding(
    written: Option<TextEncoding>,
    format: Format,
    source: Option<&SourceSettings>,
    check: &mut Check<'_>,
) -> TextEncoding {
    let encoding = written.unwrap_or(defaults::CHARACTERS);
    let is_plain_format = matches!(format, Format::Auto | Format::Plain);
    let (has_streams, is_inside) = match source {
        Some(SourceSettings::Containers(it)) => (it.stdout || it.stderr, it.files.is_some()),
        _ => (false, false),
    };
    if encoding != TextEncoding::Utf8 && (!is_plain_format || has_streams) {
        let cure = "remove it, or collect files in the format plain";
        check.error("spec.encoding", "only plain files are written so", cure);
    }
    if is_inside && !is_plain_format {
        let cure = "remove it, or collect the files by a resource of their own";
        check.error("spec.format", "files inside containers are not written so", cure);
    }
    encoding
}

/// The name of the sink, which must exist.
fn sink(written: Option<String>, sink_names: &BTreeSet<String>, check: &mut Check<'_>) -> String {
    let is_written = written.is_some();
    let name = written.unwrap_or_else(|| defaults::SINK.to_owned());
    let is_known = sink_names.contains(&name) || check.report.has_unread;
    if !is_known && is_written {
        let cure = if sink_names.is_empty() {
            format!("add a LogSink of the name {name}")
        } else {
            let names: Vec<&str> = sink_names.iter().map(String::as_str).take(10).collect();
            format!("write one of `{}`, or add it", names.join("`, `"))
        };
        check.error("spec.sink", "no LogSink has this name", &cure);
    } else if !is_known {
        let name = defaults::SINK;
        let cure = format!(
            "name a LogSink, or add one of the name {name}, which is taken if none is named"
        );
        check.missing("spec.sink", &cure);
    }
    name
}

/// What stands behind the topic of the sink, in letters that Kafka takes.
fn topic(written: Option<String>, check: &mut Check<'_>) -> Option<String> {
    let is_legal = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let topic = written?;
    if topic.is_empty() || topic.len() > limits::TOPIC_CHARS_MAX || !topic.chars().all(is_legal) {
        let most = limits::TOPIC_CHARS_MAX;
        let cure = format!("write 1 to {most} letters, digits, `.`, `_` and `-`, such as access");
        check.error("spec.topic", "not a topic", &cure);
    }
    Some(topic)
}

fn line(spec: &LineSpec, chunk: Option<ByteSize>, check: &mut Check<'_>) -> LineSettings {
    let path = "spec.line.maxBytes";
    let default = defaults::LINE_BYTES.min(chunk.unwrap_or(defaults::CHUNK_BYTES));
    let bytes = check.ranged(path, spec.max_bytes, default, &limits::LINE_BYTES);
    if let Some(chunk) = chunk.filter(|&chunk| bytes > chunk) {
        let cure = format!("write at most {chunk}, or a larger chunkBytes for the Agent");
        check.error(path, &format!("above the Agent's chunkBytes of {chunk}"), &cure);
    }
    let flush_timeout = check.ranged(
        "spec.line.flushTimeout",
        spec.flush_timeout,
        defaults::LINE_FLUSH_TIMEOUT,
        &limits::LINE_FLUSH_TIMEOUT,
    );
    LineSettings { bytes_max: bytes.as_usize(), flush_timeout: flush_timeout.duration() }
}

fn source(
    spec: Option<SourceSpec>,
    pod_logs: &Path,
    check: &mut Check<'_>,
) -> Option<SourceSettings> {
    let spec = spec.unwrap_or_default();
    match (spec.containers, spec.files) {
        (Some(containers), None) => {
            let containers = containers::resolve(containers, pod_logs, check);
            Some(SourceSettings::Containers(Box::new(containers)))
        }
        (None, Some(files)) => files_of(files, check).map(SourceSettings::Files),
        (Some(_), Some(_)) => {
            let cure = "write one of them, and the other into a resource of its own";
            check.error("spec.source.files", "beside spec.source.containers", cure);
            None
        }
        (None, None) => {
            let cure = "write `containers: {}` for all containers, or `files` with `include`";
            check.missing("spec.source", cure);
            None
        }
    }
}

fn files_of(spec: FilesSpec, check: &mut Check<'_>) -> Option<FilesSettings> {
    let path = "spec.source.files";
    let include_path = format!("{path}.include");
    if spec.include.is_none() {
        check.missing(&include_path, "write absolute globs, such as /var/log/*.log");
    }
    refuse_empty(&include_path, spec.include.as_ref(), check);
    let include = check.globs(&include_path, spec.include, &[], Against::Paths);
    let exclude: Globs = check.globs(&format!("{path}.exclude"), spec.exclude, &[], Against::Paths);
    let folders = spec.follow_links_into.unwrap_or_default();
    let follow_links_into = link_targets(&format!("{path}.followLinksInto"), folders, check);
    Some(FilesSettings { include, exclude, follow_links_into })
}

/// Folders that links may lead into; those that are none are complained about.
fn link_targets(path: &str, folders: Vec<String>, check: &mut Check<'_>) -> Vec<PathBuf> {
    if folders.len() > limits::GLOBS_MAX {
        let cure = format!("write at most {}, or folders further up", limits::GLOBS_MAX);
        check.error(path, &format!("{} folders", folders.len()), &cure);
        return Vec::new();
    }
    let mut targets = Vec::new();
    for (index, folder) in folders.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(folder) = check.absolute(&path, Some(folder)) else { continue };
        if folder == Path::new("/") {
            let cure = "name the folders that links lead into";
            check.error(&path, "links could lead to any file of the host", cure);
        }
        targets.push(folder);
    }
    targets
}

fn refuse_empty(path: &str, list: Option<&Vec<String>>, check: &mut Check<'_>) {
    if list.is_some_and(Vec::is_empty) && !check.document.is_broken(path) {
        check.error(path, "an empty list collects nothing", "write a glob, or leave it out");
    }
}
