//! Unbuilt: what can be written and is not built yet. Whoever builds something takes its line out.

use anyhow::{Context as _, bail};
use crd::{LogConfigSettings, Settings, SourceSettings};

use super::kafka;

/// Refuses what is not built yet, with its resource and field.
pub(super) fn refuse(settings: &Settings) -> anyhow::Result<()> {
    for sink in &settings.sinks {
        kafka::refuse_unbuilt(sink).with_context(|| format!("LogSink {}", sink.name))?;
    }
    for config in &settings.log_configs {
        if let Some(why) = refuse_config(config) {
            bail!("LogConfig {}: {why}", config.name);
        }
    }
    Ok(())
}

/// Why a LogConfig cannot be used yet, if it cannot.
pub(crate) fn refuse_config(config: &LogConfigSettings) -> Option<String> {
    let written = fields_of_config(config).into_iter().find(|(_, is_written)| *is_written);
    written.map(|(field, _)| format!("{field}: not built yet; remove it"))
}

/// Fields of a LogConfig, and whether they say anything. Files inside of containers need the container runtime.
fn fields_of_config(config: &LogConfigSettings) -> Vec<(&'static str, bool)> {
    match &config.source {
        SourceSettings::Containers(it) => vec![("source.containers.files", it.files.is_some())],
        SourceSettings::Files(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str, spec: &str) -> Option<String> {
        let header = "apiVersion: logferry.dev/v1alpha1";
        let is_config = kind == "LogConfig" && !spec.contains("source:");
        let of_config = if is_config { "source: {containers: {}}, " } else { "" };
        let text = format!(
            "{{{header}, kind: LogSink, metadata: {{name: default}}, spec: {{blackhole: {{}}}}}}\n---\n\
             {{{header}, kind: {kind}, metadata: {{name: it}}, spec: {{{of_config}{spec}}}}}\n"
        );
        let file = crd::ConfigFile { path: "t.yaml".into(), bytes: Ok(text.into_bytes()) };
        let settings = crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}"));
        refuse(&settings).err().map(|it| format!("{it:#}"))
    }

    #[test]
    fn what_is_not_built_yet_is_refused_by_its_field() {
        let spec = "source: {containers: {files: {include: [/a]}}}";
        let refused = refusal("LogConfig", spec).unwrap_or_default();
        assert!(refused.starts_with("LogConfig it: source.containers.files"), "{refused}");
        for (kind, spec) in [
            ("Agent", "limits: {bytesPerSecond: 1MiB}"),
            (
                "LogTenant",
                "weight: 99, pinnedBytes: 0, inFlightBytes: 1MiB, openFiles: 9, limits: {recordsPerSecond: 1}",
            ),
            ("LogConfig", "limits: {perContainer: {recordsPerSecond: 9}}, sampling: {oneIn: 9}"),
            (
                "LogConfig",
                "source: {containers: {podSelector: {}, namespaceSelector: {}, owner: {kind: Job}, \
                 pods: {pattern: a}, env: {include: [{name: A}]}}}",
            ),
        ] {
            assert_eq!(refusal(kind, spec), None, "{kind} {spec}");
        }
    }
}
