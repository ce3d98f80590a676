//! Which containers, and what of them.

use std::path::Path;

use super::super::labels;
use super::{link_targets, log_disk, multiline, refuse_empty};
use crate::document::is_dns_name;
use crate::globs::Against;
use crate::report::Check;
use crate::settings::{
    ContainerFilesSettings, ContainersSettings, EnvSelector, EnvVariable, OwnerSettings, Selector,
};
use crate::spec::{
    ContainerFilesSpec, ContainersSpec, EnvSelectorSpec, EnvSpec, OwnerSpec, SelectorSpec,
    StreamName,
};
use crate::{defaults, limits};

const PATH: &str = "spec.source.containers";

pub(super) fn resolve(
    spec: ContainersSpec,
    pod_logs: &Path,
    check: &mut Check<'_>,
) -> ContainersSettings {
    let root = check.absolute(&format!("{PATH}.root"), spec.root);
    let streams = streams(spec.streams, spec.files.is_some(), check);
    let namespaces = match check.document.namespace.clone() {
        None => spec.namespaces,
        // A namespace's name has no character that is special in a glob.
        Some(namespace) => {
            Some(SelectorSpec { include: Some(vec![namespace]), ..SelectorSpec::default() })
        }
    };
    let folders = spec.follow_links_into;
    let follow_links_into = match folders {
        Some(folders) => link_targets(&format!("{PATH}.followLinksInto"), folders, check),
        None => vec![defaults::CONTAINERS_LINK_TARGET.into()],
    };
    let mut by_labels = |field: &str, spec: Option<_>| {
        spec.map(|it| labels::resolve(&format!("{PATH}.{field}"), it, check))
    };
    let namespace_selector = by_labels("namespaceSelector", spec.namespace_selector);
    let pod_selector = by_labels("podSelector", spec.pod_selector);
    ContainersSettings {
        root: root.unwrap_or_else(|| pod_logs.to_path_buf()),
        namespaces: selector(&format!("{PATH}.namespaces"), namespaces, check),
        namespace_selector,
        pods: selector(&format!("{PATH}.pods"), spec.pods, check),
        pod_selector,
        owner: spec.owner.and_then(|it| owner(it, check)),
        containers: selector(&format!("{PATH}.containers"), spec.containers, check),
        env: spec.env.map(|it| env(it, check)),
        stdout: streams.contains(&StreamName::Stdout),
        stderr: streams.contains(&StreamName::Stderr),
        files: spec.files.map(|it| files(it, check)),
        log_disk: spec.log_disk.map(|it| log_disk::resolve(it, check)),
        follow_links_into,
    }
}

fn streams(
    written: Option<Vec<StreamName>>,
    has_files: bool,
    check: &mut Check<'_>,
) -> Vec<StreamName> {
    let path = format!("{PATH}.streams");
    match written {
        Some(streams) => {
            if streams.is_empty() && !check.document.is_broken(&path) {
                let cure = "write `stdout`, `stderr` or both, or leave it out for both";
                check.error(&path, "an empty list collects nothing", cure);
            }
            streams
        }
        None if has_files => Vec::new(),
        None => vec![StreamName::Stdout, StreamName::Stderr],
    }
}

fn selector(path: &str, spec: Option<SelectorSpec>, check: &mut Check<'_>) -> Selector {
    let spec = spec.unwrap_or_default();
    let include_path = format!("{path}.include");
    refuse_empty(&include_path, spec.include.as_ref(), check);
    let everything = [defaults::INCLUDE_NAMES];
    let pattern_path = format!("{path}.pattern");
    Selector {
        include: check.globs(&include_path, spec.include, &everything, Against::Names),
        exclude: check.globs(&format!("{path}.exclude"), spec.exclude, &[], Against::Names),
        pattern: spec.pattern.and_then(|it| multiline::pattern(&pattern_path, &it, check)),
    }
}

fn owner(spec: OwnerSpec, check: &mut Check<'_>) -> Option<OwnerSettings> {
    let (kind_path, name_path) = (format!("{PATH}.owner.kind"), format!("{PATH}.owner.name"));
    let Some(kind) = spec.kind else {
        check.missing(&kind_path, "write a kind, such as Deployment");
        return None;
    };
    let is_kind = kind.len() <= limits::TENANT_CHARS_MAX
        && kind.starts_with(|it: char| it.is_ascii_uppercase())
        && kind.chars().all(|it| it.is_ascii_alphanumeric());
    if !is_kind {
        check.error(&kind_path, "not a kind", "write one such as Deployment");
    }
    if spec.name.as_ref().is_some_and(|it| !is_dns_name(it, limits::NAME_CHARS_MAX)) {
        check.error(&name_path, "not a name", "write that of the owner, or leave it out");
    }
    Some(OwnerSettings { kind, name: spec.name })
}

fn env(spec: EnvSelectorSpec, check: &mut Check<'_>) -> EnvSelector {
    let path = format!("{PATH}.env");
    if spec.include.is_none() && spec.exclude.is_none() && !check.document.is_broken(&path) {
        check.missing(&path, "write `include` or `exclude` with names of variables");
    }
    let mut variables = |field: &str, written: Option<Vec<EnvSpec>>| {
        env_variables(&format!("{path}.{field}"), written, check)
    };
    let (include, exclude) =
        (variables("include", spec.include), variables("exclude", spec.exclude));
    EnvSelector { include, exclude: exclude.unwrap_or_default() }
}

fn env_variables(
    path: &str,
    written: Option<Vec<EnvSpec>>,
    check: &mut Check<'_>,
) -> Option<Vec<EnvVariable>> {
    let written = written?;
    if written.len() > limits::GLOBS_MAX {
        let cure = format!("write at most {}", limits::GLOBS_MAX);
        check.error(path, &format!("{} variables", written.len()), &cure);
        return None;
    }
    if written.is_empty() && path.ends_with("include") && !check.document.is_broken(path) {
        check.error(path, "an empty list collects nothing", "write a variable, or leave it out");
    }
    let mut variables = Vec::with_capacity(written.len());
    for (index, variable) in written.into_iter().enumerate() {
        let name_path = format!("{path}[{index}].name");
        let Some(name) = variable.name else {
            check.missing(&name_path, "write the name of an environment variable");
            continue;
        };
        // What Kubernetes takes for one: any printable ASCII but `=`.
        let is_name = !name.is_empty()
            && name.len() <= limits::NAME_CHARS_MAX
            && name.chars().all(|it| it.is_ascii_graphic() && it != '=');
        if !is_name {
            check.error(&name_path, "not an environment variable", "write its name, as in the pod");
        }
        if variable.value.as_ref().is_some_and(|it| it.len() > limits::ENV_VALUE_BYTES_MAX) {
            let cure = format!("write at most {} bytes", limits::ENV_VALUE_BYTES_MAX);
            check.error(&format!("{path}[{index}].value"), "too long", &cure);
        }
        variables.push(EnvVariable { name, value: variable.value });
    }
    Some(variables)
}

fn files(spec: ContainerFilesSpec, check: &mut Check<'_>) -> ContainerFilesSettings {
    let include_path = format!("{PATH}.files.include");
    if spec.include.is_none() {
        check.missing(
            &include_path,
            "write globs from the container's root, such as /app/log/*.log",
        );
    }
    refuse_empty(&include_path, spec.include.as_ref(), check);
    ContainerFilesSettings {
        include: check.globs(&include_path, spec.include, &[], Against::Paths),
        exclude: check.globs(&format!("{PATH}.files.exclude"), spec.exclude, &[], Against::Paths),
    }
}
