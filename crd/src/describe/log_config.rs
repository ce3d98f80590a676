//! A LogConfig's settings as its spec.

use std::path::PathBuf;

use crate::settings::{
    ContainersSettings, EnvSelector, EnvVariable, FilesSettings, LabelRequirement, LabelSelector,
    LogConfigLimitsSettings, LogConfigSettings, LogDiskSettings, MultilineRule, MultilineSettings,
    OwnerSettings, Selector, SourceSettings,
};
use crate::spec::{
    ContainerFilesSpec, ContainersSpec, EnvSelectorSpec, EnvSpec, FilesSpec, LabelExpressionSpec,
    LabelSelectorSpec, LineSpec, LogConfigLimitsSpec, LogConfigSpec, LogDiskSpec, MultilineSpec,
    OwnerSpec, RateSpec, RotationSpec, SamplingSpec, SelectorSpec, SourceSpec, StreamName,
};
use crate::units::{ByteSize, Period};

pub(super) fn spec(config: &LogConfigSettings) -> LogConfigSpec {
    let source = match &config.source {
        SourceSettings::Containers(it) => {
            let is_namespaced = config.name.namespace.is_some();
            SourceSpec { containers: Some(containers(it, is_namespaced)), files: None }
        }
        SourceSettings::Files(it) => SourceSpec { containers: None, files: Some(files(it)) },
    };
    LogConfigSpec {
        tenant: config.tenant.clone(),
        sink: Some(config.sink.clone()),
        topic: config.topic.clone(),
        source: Some(source),
        start_at: Some(config.start_at),
        format: Some(config.format),
        encoding: Some(config.encoding),
        line: Some(LineSpec {
            max_bytes: Some(super::size(config.line.bytes_max)),
            flush_timeout: Some(Period::from(config.line.flush_timeout)),
        }),
        multiline: config.multiline.as_ref().map(multiline),
        rotation: Some(RotationSpec { late_writes: Some(Period::from(config.late_writes)) }),
        sampling: config.sampling_one_in.map(|it| SamplingSpec { one_in: Some(it) }),
        limits: limits(&config.limits),
    }
}

fn limits(limits: &LogConfigLimitsSettings) -> Option<LogConfigLimitsSpec> {
    let LogConfigLimitsSettings { rate, per_container } = limits;
    let RateSpec { bytes_per_second, records_per_second, burst } = super::rate(rate);
    let per_container = per_container.is_limited().then(|| super::rate(per_container));
    (rate.is_limited() || per_container.is_some()).then_some(LogConfigLimitsSpec {
        bytes_per_second,
        records_per_second,
        burst,
        per_container,
    })
}

fn multiline(multiline: &MultilineSettings) -> MultilineSpec {
    let limits = MultilineSpec {
        timeout: Some(Period::from(multiline.timeout)),
        max_lines: Some(multiline.lines_max),
        max_bytes: Some(super::size(multiline.bytes_max)),
        ..MultilineSpec::default()
    };
    match &multiline.rule {
        MultilineRule::Begin(it) => MultilineSpec { begin: Some(it.to_string()), ..limits },
        MultilineRule::Continue(it) => MultilineSpec { continues: Some(it.to_string()), ..limits },
        MultilineRule::End(it) => MultilineSpec { end: Some(it.to_string()), ..limits },
        MultilineRule::Preset(it) => MultilineSpec { preset: Some(*it), ..limits },
    }
}

fn containers(containers: &ContainersSettings, is_namespaced: bool) -> ContainersSpec {
    let mut streams = Vec::new();
    streams.extend(containers.stdout.then_some(StreamName::Stdout));
    streams.extend(containers.stderr.then_some(StreamName::Stderr));
    let mut spec = ContainersSpec {
        root: Some(containers.root.to_string_lossy().into_owned()),
        namespaces: Some(selector(&containers.namespaces)),
        namespace_selector: containers.namespace_selector.as_ref().map(labels),
        pods: Some(selector(&containers.pods)),
        pod_selector: containers.pod_selector.as_ref().map(labels),
        owner: containers.owner.as_ref().map(owner),
        containers: Some(selector(&containers.containers)),
        env: containers.env.as_ref().map(env),
        streams: (!streams.is_empty()).then_some(streams),
        files: containers.files.as_ref().map(|it| ContainerFilesSpec {
            include: Some(it.include.patterns().to_vec()),
            exclude: Some(it.exclude.patterns().to_vec()),
        }),
        log_disk: containers.log_disk.as_ref().map(log_disk),
        follow_links_into: Some(folders(&containers.follow_links_into)),
    };
    if is_namespaced {
        // What speaks of the host, or of other namespaces, may not be written in one.
        spec.root = None;
        spec.namespaces = None;
        spec.follow_links_into = None;
    }
    spec
}

fn log_disk(disk: &LogDiskSettings) -> LogDiskSpec {
    LogDiskSpec {
        folders: (!disk.folders.is_empty()).then(|| disk.folders.clone()),
        size: disk.size_bytes.map(ByteSize),
        mode: disk.mode,
        keep: disk.keep_bytes.map(ByteSize),
        full: disk.full,
        full_timeout: disk.full_timeout.map(Period::from),
        fsync: disk.fsync,
        fsync_timeout: disk.fsync_timeout.map(Period::from),
    }
}

fn selector(selector: &Selector) -> SelectorSpec {
    SelectorSpec {
        include: Some(selector.include.patterns().to_vec()),
        exclude: Some(selector.exclude.patterns().to_vec()),
        pattern: selector.pattern.as_ref().map(ToString::to_string),
    }
}

pub(super) fn labels(selector: &LabelSelector) -> LabelSelectorSpec {
    let expression = |it: &LabelRequirement| {
        let (operator, values) = it.rule.parts();
        LabelExpressionSpec {
            key: Some(it.key.clone()),
            operator: Some(operator),
            values: values.cloned(),
        }
    };
    let expressions = selector.requirements.iter().map(expression).collect();
    LabelSelectorSpec { match_labels: None, match_expressions: Some(expressions) }
}

fn owner(owner: &OwnerSettings) -> OwnerSpec {
    OwnerSpec { kind: Some(owner.kind.clone()), name: owner.name.clone() }
}

fn env(selector: &EnvSelector) -> EnvSelectorSpec {
    let variables = |them: &[EnvVariable]| {
        let variable =
            |it: &EnvVariable| EnvSpec { name: Some(it.name.clone()), value: it.value.clone() };
        them.iter().map(variable).collect()
    };
    EnvSelectorSpec {
        include: selector.include.as_deref().map(variables),
        exclude: Some(variables(&selector.exclude)),
    }
}

fn files(files: &FilesSettings) -> FilesSpec {
    FilesSpec {
        include: Some(files.include.patterns().to_vec()),
        exclude: Some(files.exclude.patterns().to_vec()),
        follow_links_into: Some(folders(&files.follow_links_into)),
    }
}

fn folders(folders: &[PathBuf]) -> Vec<String> {
    folders.iter().map(|it| it.to_string_lossy().into_owned()).collect()
}
