//! Unbuilt: what can be written and is not built yet. Whoever builds something takes its line out.

use anyhow::{Context as _, ensure};
use crd::{Settings, TenantSettings};

use super::kafka;

/// Refuses what is not built yet, with its resource and field.
pub(super) fn refuse(settings: &Settings) -> anyhow::Result<()> {
    for sink in &settings.sinks {
        kafka::refuse_unbuilt(sink).with_context(|| format!("LogSink {}", sink.name))?;
    }
    for tenant in &settings.tenants {
        for (field, is_written) in fields(tenant) {
            ensure!(!is_written, "LogTenant {}: {field}: not built yet; remove it", tenant.name);
        }
    }
    Ok(())
}

/// Fields of a LogTenant, and whether they say anything.
fn fields(tenant: &TenantSettings) -> [(&'static str, bool); 2] {
    [
        ("inFlightBytes", tenant.in_flight_bytes_max.is_some()),
        ("openFiles", tenant.open_files_max.is_some()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str, spec: &str) -> Option<String> {
        let header = "apiVersion: logferry.dev/v1alpha1";
        let of_config = if kind == "LogConfig" { "source: {containers: {}}, " } else { "" };
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
        let cases = [
            ("LogTenant", "inFlightBytes: 1MiB", "LogTenant it: inFlightBytes:"),
            ("LogTenant", "openFiles: 9", "LogTenant it: openFiles:"),
        ];
        for (kind, spec, begin) in cases {
            let refusal = refusal(kind, spec).unwrap_or_default();
            assert!(refusal.starts_with(begin), "{spec}: {refusal}");
        }
        for (kind, spec) in [
            ("Agent", "limits: {bytesPerSecond: 1MiB}"),
            (
                "LogTenant",
                "weight: 99, pinnedBytes: 0, sinks: [default], limits: {recordsPerSecond: 1}",
            ),
            ("LogConfig", "limits: {perContainer: {recordsPerSecond: 9}}"),
        ] {
            assert_eq!(refusal(kind, spec), None, "{kind} {spec}");
        }
    }
}
