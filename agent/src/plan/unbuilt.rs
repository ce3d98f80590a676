//! Unbuilt: what can be written and is not built yet. Whoever builds something takes its line out.

use anyhow::{Context as _, ensure};
use crd::{AtLimit, Settings};

use super::kafka;

/// Refuses what is not built yet, with its resource and field.
pub(super) fn refuse(settings: &Settings) -> anyhow::Result<()> {
    for sink in &settings.sinks {
        kafka::refuse_unbuilt(sink).with_context(|| format!("LogSink {}", sink.name))?;
    }
    for tenant in &settings.tenants {
        ensure!(
            tenant.limits.at_limit != AtLimit::Spool,
            "LogTenant {}: limits.atLimit: `spool` is not built yet; remove it",
            tenant.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str, spec: &str) -> Option<String> {
        let header = "apiVersion: logferry.dev/v1alpha1";
        let of_config = if kind == "LogConfig" { "source: {containers: {}}, " } else { "" };
        let agent = if kind == "Agent" {
            String::new()
        } else {
            format!(
                "{{{header}, kind: Agent, metadata: {{name: a}}, spec: {{spool: {{}}}}}}\n---\n"
            )
        };
        let text = format!(
            "{agent}{{{header}, kind: LogSink, metadata: {{name: default}}, spec: {{blackhole: {{}}}}}}\n---\n\
             {{{header}, kind: {kind}, metadata: {{name: it}}, spec: {{{of_config}{spec}}}}}\n"
        );
        let file = crd::ConfigFile { path: "t.yaml".into(), bytes: Ok(text.into_bytes()) };
        let settings = crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}"));
        refuse(&settings).err().map(|it| format!("{it:#}"))
    }

    #[test]
    fn what_is_not_built_yet_is_refused_by_its_field() {
        let refused = refusal("LogTenant", "limits: {atLimit: spool}").unwrap_or_default();
        assert!(refused.starts_with("LogTenant it: limits.atLimit:"), "{refused}");
        for (kind, spec) in [
            ("Agent", "limits: {bytesPerSecond: 1MiB}"),
            (
                "LogTenant",
                "weight: 99, pinnedBytes: 0, inFlightBytes: 1MiB, openFiles: 9, limits: {recordsPerSecond: 1}",
            ),
            ("LogConfig", "limits: {perContainer: {recordsPerSecond: 9}}"),
        ] {
            assert_eq!(refusal(kind, spec), None, "{kind} {spec}");
        }
    }
}
