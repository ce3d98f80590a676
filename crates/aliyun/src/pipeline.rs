//! ClusterAliyunPipelineConfig: one input of LoongCollector's own.

use crd::spec::{LineSpec, LogConfigSpec, MultilineSpec, SourceSpec};

use crate::containers::{self, Filters};
use crate::fields::Fate;
use crate::object::Object;
use crate::source::{self, Files};
use crate::{Reach, files, lines};

const INPUTS: &str = "spec.config.inputs";
/// The one input that there is.
const INPUT: &str = "spec.config.inputs[0]";
/// What becomes the topic.
pub(crate) const LOGSTORE: &str = "spec.config.flushers[0].Logstore";

fn at(field: &str) -> String {
    format!("{INPUT}.{field}")
}

/// What it asks for; of an object that is refused, anything.
pub(crate) fn specs(object: &mut Object<'_>) -> Vec<LogConfigSpec> {
    if !object.has_one(INPUTS) {
        return Vec::new();
    }
    if object.get("spec.config.flushers[1]").is_some() {
        object.note("spec.config.flushers[1]", Fate::NotYet, "a second flusher; the first counts");
    }
    let multiline = multiline(object);
    let (sources, spec) = match object.text(&at("Type")) {
        Some("input_file") => of_files(object),
        Some("input_container_stdio") => (of_stdout(object), LogConfigSpec::default()),
        Some(other) => {
            object.refuse(
                &at("Type"),
                &format!("{other:?}: only input_file and input_container_stdio are collected"),
            );
            return Vec::new();
        }
        None => {
            object.refuse(&at("Type"), "missing; write input_file or input_container_stdio");
            return Vec::new();
        }
    };
    let spec = LogConfigSpec { multiline, ..spec };
    let spec = |it| LogConfigSpec { source: Some(it), ..spec.clone() };
    sources.into_iter().map(spec).collect()
}

fn of_files(object: &mut Object<'_>) -> (Vec<SourceSpec>, LogConfigSpec) {
    let depth = object.number(&at("MaxDirSearchDepth")).unwrap_or(0);
    let paths = object.texts(&at("FilePaths"));
    if paths.is_empty() {
        object.refuse(&at("FilePaths"), "missing; write absolute paths");
    }
    let include = paths.iter().flat_map(|it| files::with_depth(it, depth)).collect();
    let mut list = |field: &str| object.texts(&at(field));
    let (folders, names) = (list("ExcludeDirs"), list("ExcludeFiles"));
    let exclude = files::excluded(&folders, &names, &list("ExcludeFilePaths"));
    let selected = Files { include, exclude };
    let encoding = lines::encoding(object, &at("FileEncoding"));
    let flush = object.number(&at("FlushTimeoutSecs"));
    let flush_timeout = flush.map(|it| lines::timeout(it.saturating_mul(1000)));
    let line = flush_timeout.map(|it| LineSpec { flush_timeout: Some(it), max_bytes: None });
    let spec = LogConfigSpec { encoding, line, ..LogConfigSpec::default() };
    if object.flag(&at("EnableContainerDiscovery"), false) {
        let containers = containers::selected(object, &filters(), Reach::Cluster);
        return (selected.inside(containers), spec);
    }
    if object.get(&at("ContainerFilters")).is_some() {
        object.refuse(
            &at("ContainerFilters"),
            "without EnableContainerDiscovery; set it, or take the filters out",
        );
    }
    (selected.of_host(), spec)
}

fn of_stdout(object: &mut Object<'_>) -> Vec<SourceSpec> {
    let mut is_left_out = |field: &str| object.flag(&at(field), false);
    let streams = (!is_left_out("IgnoringStdout"), !is_left_out("IgnoringStderr"));
    let selected = containers::selected(object, &filters(), Reach::Cluster);
    source::streams(object, &at("IgnoringStdout"), streams, selected)
}

fn filters() -> Filters {
    Filters::below(&at("ContainerFilters"), ["IncludeContainerLabel", "ExcludeContainerLabel"])
}

/// One of the three patterns, as there may be; the first says most of where records begin.
fn multiline(object: &mut Object<'_>) -> Option<MultilineSpec> {
    let at = |field: &str| at(&format!("Multiline.{field}"));
    let mode = object.text(&at("Mode")).unwrap_or("custom");
    if mode != "custom" {
        object.note(&at("Mode"), Fate::NotYet, &format!("{mode:?}: each line is a record"));
        return None;
    }
    let [start, goes_on, end] = ["StartPattern", "ContinuePattern", "EndPattern"].map(|field| {
        let pattern = object.pattern(&at(field));
        // It is compared from the first character on.
        (at(field), pattern.map(|it| format!("^(?:{it})")))
    });
    let mut chosen = None;
    for (index, (path, pattern)) in [start, goes_on, end].into_iter().enumerate() {
        let Some(pattern) = pattern else { continue };
        if chosen.is_some() {
            object.note(
                &path,
                Fate::NotYet,
                "beside another pattern; the first of start, continue and end counts",
            );
            continue;
        }
        let mut spec = MultilineSpec::default();
        match index {
            0 => spec.begin = Some(pattern),
            1 => spec.continues = Some(pattern),
            _ => spec.end = Some(pattern),
        }
        chosen = Some(spec);
    }
    chosen
}
