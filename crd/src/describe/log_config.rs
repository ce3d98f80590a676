//! A LogConfig's settings as its spec.

use std::path::PathBuf;

use crate::settings::{
    ContainersSettings, FilesSettings, LogConfigLimitsSettings, LogConfigSettings, MultilineRule,
    MultilineSettings, Selector, SourceSettings,
};
use crate::spec::{
    ContainersSpec, FilesSpec, LineSpec, LogConfigLimitsSpec, LogConfigSpec, MultilineSpec,
    RateSpec, RotationSpec, SelectorSpec, SourceSpec, StreamName,
};
use crate::units::Period;

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
    ContainersSpec {
        root: Some(containers.root.to_string_lossy().into_owned()),
        // That of a LogConfig in a namespace follows from its metadata, and may not be written.
        namespaces: (!is_namespaced).then(|| selector(&containers.namespaces)),
        pods: Some(selector(&containers.pods)),
        containers: Some(selector(&containers.containers)),
        streams: Some(streams),
        // An administrator's to write, so not in a namespace.
        follow_links_into: (!is_namespaced).then(|| folders(&containers.follow_links_into)),
    }
}

fn selector(selector: &Selector) -> SelectorSpec {
    SelectorSpec {
        include: Some(selector.include.patterns().to_vec()),
        exclude: Some(selector.exclude.patterns().to_vec()),
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
