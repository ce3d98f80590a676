//! AliyunLogConfig: files, or standard output by `service_docker_stdout`.

use crd::ByteSize;
use crd::spec::{LogConfigLimitsSpec, LogConfigSpec, MultilineSpec, SourceSpec};

use crate::containers::{self, Filters};
use crate::object::Object;
use crate::source::{self, Files};
use crate::{Reach, files, lines};

const INPUT: &str = "spec.logtailConfig.inputDetail";
const PLUGIN: &str = "spec.logtailConfig.inputDetail.plugin.inputs";
/// What becomes the topic.
pub(crate) const LOGSTORE: &str = "spec.logstore";
/// How many folders below `logPath` are looked into, if it is not said.
const DEPTH: u64 = 100;

/// What it asks for; of an object that is refused, anything.
pub(crate) fn specs(object: &mut Object<'_>, reach: Reach) -> Vec<LogConfigSpec> {
    let (sources, spec) = match object.text("spec.logtailConfig.inputType") {
        Some("file") => of_files(object, reach),
        Some("plugin") => of_stdout(object, reach),
        Some(other) => {
            let text = format!("{other:?} is not an input that there is; write file or plugin");
            object.refuse("spec.logtailConfig.inputType", &text);
            Asked::default()
        }
        None => {
            object.refuse("spec.logtailConfig.inputType", "missing; write file or plugin");
            Asked::default()
        }
    };
    let spec = |it| LogConfigSpec { source: Some(it), ..spec.clone() };
    sources.into_iter().map(spec).collect()
}

/// Where the logs are, and what else is said of each of these.
type Asked = (Vec<SourceSpec>, LogConfigSpec);

fn of_files(object: &mut Object<'_>, reach: Reach) -> Asked {
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
    let mut list = |field: &str| object.texts(&at(&format!("advanced.blacklist.{field}")));
    let (folders, names) = (list("dir_blacklist"), list("filename_blacklist"));
    let exclude = files::excluded(&folders, &names, &list("filepath_blacklist"));
    let selected = Files { include, exclude };
    let is_inside = object.flag(&at("dockerFile"), false);
    let encoding = lines::encoding(object, &at("fileEncoding"));
    let multiline = object.pattern(&at("logBeginRegex")).and_then(|it| lines::begin(it, true));
    let rate = object.number(&at("maxSendRate")).filter(|&it| it > 0).map(ByteSize);
    let limits = rate.map(|it| LogConfigLimitsSpec {
        bytes_per_second: Some(it),
        ..LogConfigLimitsSpec::default()
    });
    let spec = LogConfigSpec { encoding, multiline, limits, ..LogConfigSpec::default() };
    if !is_inside {
        if reach == Reach::Namespace {
            let text = "files of the host are not a namespace's to read; set it for files inside of containers, or convert it as an administrator";
            object.refuse(&at("dockerFile"), text);
        }
        return (selected.of_host(), spec);
    }
    let filters = Filters {
        include_env: at("dockerIncludeEnv"),
        exclude_env: at("dockerExcludeEnv"),
        include_container_labels: at("dockerIncludeLabel"),
        exclude_container_labels: at("dockerExcludeLabel"),
        ..Filters::below(&at("advanced.k8s"), [""; 2])
    };
    (selected.inside(containers::selected(object, &filters, reach)), spec)
}

fn of_stdout(object: &mut Object<'_>, reach: Reach) -> Asked {
    if object.get(&format!("{INPUT}.logPath")).is_some() {
        object.refuse(&format!("{INPUT}.logPath"), "beside inputType plugin; write one of them");
    }
    if !object.has_one(PLUGIN) {
        return Asked::default();
    }
    let type_path = format!("{PLUGIN}[0].type");
    match object.text(&type_path) {
        Some("service_docker_stdout") => {}
        Some(other) => object
            .refuse(&type_path, &format!("{other:?}: only service_docker_stdout is collected")),
        None => object.refuse(&type_path, "missing; write service_docker_stdout"),
    }
    let detail = format!("{PLUGIN}[0].detail");
    let at = |field: &str| format!("{detail}.{field}");
    let streams = (object.flag(&at("Stdout"), true), object.flag(&at("Stderr"), true));
    let begin = object.pattern(&at("BeginLineRegex")).and_then(|it| lines::begin(it, false));
    let timeout = object.number(&at("BeginLineTimeoutMs")).map(lines::timeout);
    let max_bytes = object.number(&at("MaxLogSize")).map(lines::bytes);
    let multiline = begin.map(|it| MultilineSpec { timeout, max_bytes, ..it });
    let filters = Filters::below(&detail, ["IncludeLabel", "ExcludeLabel"]);
    let selected = containers::selected(object, &filters, reach);
    let sources = source::streams(object, &at("Stdout"), streams, selected);
    (sources, LogConfigSpec { multiline, ..LogConfigSpec::default() })
}
