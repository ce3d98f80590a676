//! ClusterAliyunPipelineConfig: one input of LoongCollector's own.

use crd::spec::{
    ContainerFilesSpec, FilesSpec, LineSpec, LogConfigSpec, MultilineSpec, SourceSpec,
};

use crate::containers::{self, Filters};
use crate::fields::Fate;
use crate::log_config::streams;
use crate::object::Object;
use crate::{Reach, files, lines};

const INPUTS: &str = "spec.config.inputs";
/// The one input that there is.
const INPUT: &str = "spec.config.inputs[0]";

fn at(field: &str) -> String {
    format!("{INPUT}.{field}")
}

/// What it asks for; of an object that is refused, anything.
pub(crate) fn specs(object: &mut Object<'_>) -> Vec<LogConfigSpec> {
    let count = object.get(INPUTS).and_then(|it| it.as_array()).map_or(0, Vec::len);
    if count != 1 {
        object.refuse(
            INPUTS,
            &format!("{count} inputs; write one, and others into objects of their own"),
        );
        return Vec::new();
    }
    let multiline = multiline(object);
    let specs = match object.text(&at("Type")) {
        Some("input_file") => of_files(object),
        Some("input_container_stdio") => of_stdout(object),
        Some(other) => {
            object.refuse(
                &at("Type"),
                &format!("{other:?}: only input_file and input_container_stdio are collected"),
            );
            Vec::new()
        }
        None => {
            object.refuse(&at("Type"), "missing; write input_file or input_container_stdio");
            Vec::new()
        }
    };
    specs.into_iter().map(|it| LogConfigSpec { multiline: multiline.clone(), ..it }).collect()
}

fn of_files(object: &mut Object<'_>) -> Vec<LogConfigSpec> {
    let depth = object.number(&at("MaxDirSearchDepth")).unwrap_or(0);
    let paths = object.texts(&at("FilePaths"));
    if paths.is_empty() {
        object.refuse(&at("FilePaths"), "missing; write absolute paths");
    }
    let include: Vec<String> = paths.iter().flat_map(|it| files::with_depth(it, depth)).collect();
    let exclude = excluded(object);
    let encoding = lines::encoding(object, &at("FileEncoding"));
    let flush = object.number(&at("FlushTimeoutSecs"));
    let flush_timeout = flush.map(|it| lines::timeout(it.saturating_mul(1000)));
    let line = flush_timeout.map(|it| LineSpec { flush_timeout: Some(it), max_bytes: None });
    let spec = |source| LogConfigSpec {
        source: Some(source),
        encoding,
        line: line.clone(),
        ..LogConfigSpec::default()
    };
    if !object.flag(&at("EnableContainerDiscovery"), false) {
        if object.get(&at("ContainerFilters")).is_some() {
            object.refuse(
                &at("ContainerFilters"),
                "without EnableContainerDiscovery; set it, or take the filters out",
            );
        }
        let of_host = FilesSpec { include: Some(include), exclude, follow_links_into: None };
        return vec![spec(SourceSpec { containers: None, files: Some(of_host) })];
    }
    let inside = ContainerFilesSpec { include: Some(include), exclude };
    let selected =
        containers::selected(object, &filters(), Reach::Cluster).into_iter().map(|mut it| {
            it.files = Some(inside.clone());
            spec(SourceSpec { containers: Some(it), files: None })
        });
    selected.collect()
}

fn of_stdout(object: &mut Object<'_>) -> Vec<LogConfigSpec> {
    let stdout = !object.flag(&at("IgnoringStdout"), false);
    let stderr = !object.flag(&at("IgnoringStderr"), false);
    if !stdout && !stderr {
        object.refuse(&at("IgnoringStdout"), "neither stdout nor stderr is collected");
    }
    let selected =
        containers::selected(object, &filters(), Reach::Cluster).into_iter().map(|mut it| {
            it.streams = streams(stdout, stderr);
            let source = SourceSpec { containers: Some(it), files: None };
            LogConfigSpec { source: Some(source), ..LogConfigSpec::default() }
        });
    selected.collect()
}

fn filters() -> Filters {
    let at = |field: &str| format!("{INPUT}.ContainerFilters.{field}");
    Filters {
        namespaces: at("K8sNamespaceRegex"),
        pods: at("K8sPodRegex"),
        containers: at("K8sContainerRegex"),
        include_labels: at("IncludeK8sLabel"),
        exclude_labels: at("ExcludeK8sLabel"),
        include_env: at("IncludeEnv"),
        exclude_env: at("ExcludeEnv"),
        include_container_labels: at("IncludeContainerLabel"),
        exclude_container_labels: at("ExcludeContainerLabel"),
    }
}

fn excluded(object: &mut Object<'_>) -> Option<Vec<String>> {
    let mut list = |field: &str| object.texts(&at(field));
    let mut globs: Vec<String> = files::below(&list("ExcludeDirs")).collect();
    globs.extend(files::of_names(&list("ExcludeFiles")));
    globs.extend(list("ExcludeFilePaths").into_iter().map(str::to_owned));
    (!globs.is_empty()).then_some(globs)
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
