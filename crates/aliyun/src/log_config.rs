//! AliyunLogConfig: files, or standard output by `service_docker_stdout`.

use crd::ByteSize;
use crd::spec::{
    ContainerFilesSpec, FilesSpec, LogConfigLimitsSpec, LogConfigSpec, SourceSpec, StreamName,
};

use crate::containers::{self, Filters};
use crate::object::Object;
use crate::{Reach, files, lines};

const INPUT: &str = "spec.logtailConfig.inputDetail";
const PLUGIN: &str = "spec.logtailConfig.inputDetail.plugin.inputs";
/// How many folders below `logPath` are looked into, if it is not said.
const DEPTH: u64 = 100;

/// What it asks for; of an object that is refused, anything.
pub(crate) fn specs(object: &mut Object<'_>, reach: Reach) -> Vec<LogConfigSpec> {
    match object.text("spec.logtailConfig.inputType") {
        Some("file") => of_files(object, reach),
        Some("plugin") => of_stdout(object, reach),
        Some(other) => {
            let text = format!("{other:?} is not an input that there is; write file or plugin");
            object.refuse("spec.logtailConfig.inputType", &text);
            Vec::new()
        }
        None => {
            object.refuse("spec.logtailConfig.inputType", "missing; write file or plugin");
            Vec::new()
        }
    }
}

fn of_files(object: &mut Object<'_>, reach: Reach) -> Vec<LogConfigSpec> {
    let at = |field: &str| format!("{INPUT}.{field}");
    if object.get(&at("plugin")).is_some() {
        object.refuse(&at("plugin"), "beside inputType file; write one of them");
    }
    let folder = object.text(&at("logPath"));
    let name = object.text(&at("filePattern"));
    let depth = object.number(&at("maxDepth")).unwrap_or(DEPTH);
    let include = match (folder, name) {
        (Some(folder), Some(name)) => files::in_folder(folder, name, depth),
        _ => {
            object.refuse(&at("logPath"), "logPath and filePattern are needed");
            Vec::new()
        }
    };
    let exclude = excluded(object);
    let is_inside = object.flag(&at("dockerFile"), false);
    let encoding = lines::encoding(object, &at("fileEncoding"));
    let multiline = object.pattern(&at("logBeginRegex")).and_then(|it| lines::begin(it, true));
    let rate = object.number(&at("maxSendRate")).filter(|&it| it > 0).map(ByteSize);
    let limits = rate.map(|it| LogConfigLimitsSpec {
        bytes_per_second: Some(it),
        ..LogConfigLimitsSpec::default()
    });
    let spec = |source| LogConfigSpec {
        source: Some(source),
        encoding,
        multiline: multiline.clone(),
        limits: limits.clone(),
        ..LogConfigSpec::default()
    };
    if !is_inside {
        if reach == Reach::Namespace {
            let text = "files of the host are not a namespace's to read; set it for files inside of containers, or convert it as an administrator";
            object.refuse(&at("dockerFile"), text);
        }
        let of_host = FilesSpec { include: Some(include), exclude, follow_links_into: None };
        return vec![spec(SourceSpec { containers: None, files: Some(of_host) })];
    }
    let filters = Filters {
        namespaces: at("advanced.k8s.K8sNamespaceRegex"),
        pods: at("advanced.k8s.K8sPodRegex"),
        containers: at("advanced.k8s.K8sContainerRegex"),
        include_labels: at("advanced.k8s.IncludeK8sLabel"),
        exclude_labels: at("advanced.k8s.ExcludeK8sLabel"),
        include_env: at("dockerIncludeEnv"),
        exclude_env: at("dockerExcludeEnv"),
        include_container_labels: at("dockerIncludeLabel"),
        exclude_container_labels: at("dockerExcludeLabel"),
    };
    let inside = ContainerFilesSpec { include: Some(include), exclude };
    let selected = containers::selected(object, &filters, reach).into_iter().map(|mut it| {
        it.files = Some(inside.clone());
        spec(SourceSpec { containers: Some(it), files: None })
    });
    selected.collect()
}

/// Globs of files and folders that are not to be collected.
fn excluded(object: &mut Object<'_>) -> Option<Vec<String>> {
    let mut list = |field: &str| object.texts(&format!("{INPUT}.advanced.blacklist.{field}"));
    let mut globs: Vec<String> = files::below(&list("dir_blacklist")).collect();
    globs.extend(files::of_names(&list("filename_blacklist")));
    globs.extend(list("filepath_blacklist").into_iter().map(str::to_owned));
    (!globs.is_empty()).then_some(globs)
}

fn of_stdout(object: &mut Object<'_>, reach: Reach) -> Vec<LogConfigSpec> {
    if object.get(&format!("{INPUT}.logPath")).is_some() {
        object.refuse(&format!("{INPUT}.logPath"), "beside inputType plugin; write one of them");
    }
    let count = object.get(PLUGIN).and_then(|it| it.as_array()).map_or(0, Vec::len);
    if count != 1 {
        object.refuse(
            PLUGIN,
            &format!("{count} inputs; write one, and others into objects of their own"),
        );
        return Vec::new();
    }
    let type_path = format!("{PLUGIN}[0].type");
    match object.text(&type_path) {
        Some("service_docker_stdout") => {}
        Some(other) => object
            .refuse(&type_path, &format!("{other:?}: only service_docker_stdout is collected")),
        None => object.refuse(&type_path, "missing; write service_docker_stdout"),
    }
    let at = |field: &str| format!("{PLUGIN}[0].detail.{field}");
    let (stdout, stderr) = (object.flag(&at("Stdout"), true), object.flag(&at("Stderr"), true));
    if !stdout && !stderr {
        object.refuse(&at("Stdout"), "neither stdout nor stderr is collected");
    }
    let begin = object.pattern(&at("BeginLineRegex")).and_then(|it| lines::begin(it, false));
    let timeout = object.number(&at("BeginLineTimeoutMs")).map(lines::timeout);
    let max_bytes = object.number(&at("MaxLogSize")).map(lines::bytes);
    let filters = Filters {
        namespaces: at("K8sNamespaceRegex"),
        pods: at("K8sPodRegex"),
        containers: at("K8sContainerRegex"),
        include_labels: at("IncludeK8sLabel"),
        exclude_labels: at("ExcludeK8sLabel"),
        include_env: at("IncludeEnv"),
        exclude_env: at("ExcludeEnv"),
        include_container_labels: at("IncludeLabel"),
        exclude_container_labels: at("ExcludeLabel"),
    };
    let multiline = begin.map(|mut it| {
        (it.timeout, it.max_bytes) = (timeout, max_bytes);
        it
    });
    let selected = containers::selected(object, &filters, reach).into_iter().map(|mut it| {
        it.streams = streams(stdout, stderr);
        LogConfigSpec {
            source: Some(SourceSpec { containers: Some(it), files: None }),
            multiline: multiline.clone(),
            ..LogConfigSpec::default()
        }
    });
    selected.collect()
}

/// The streams, if they are not both.
pub(crate) fn streams(stdout: bool, stderr: bool) -> Option<Vec<StreamName>> {
    match (stdout, stderr) {
        (true, false) => Some(vec![StreamName::Stdout]),
        (false, true) => Some(vec![StreamName::Stderr]),
        _ => None,
    }
}
