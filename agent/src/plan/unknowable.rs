//! Unknowable: what resources ask for and only an API server knows, where there is none.

use std::collections::BTreeSet;

use crd::{Settings, SourceSettings};

use super::pods::asked_fields;

/// What can select nothing without an API server: which resource, which field, and what to do.
pub(crate) fn unknowable(settings: &Settings) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |kind: &str, name: &str, field: &str| {
        all.insert(format!(
            "{kind} {name}: spec.{field}: nobody tells labels, owners and environment of pods without an API server, so \
             it selects nothing; run with --kubernetes or --kubeconfig, or select by names"
        ));
    };
    for config in &settings.log_configs {
        let SourceSettings::Containers(it) = &config.source else { continue };
        let fields = asked_fields(it);
        let name = config.name.to_string();
        fields.iter().for_each(|it| add("LogConfig", &name, &format!("source.containers.{it}")));
    }
    for tenant in settings.tenants.iter().filter(|it| it.namespace_selector.is_some()) {
        add("LogTenant", &tenant.name, "namespaceSelector");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resources and fields of what is said of these LogConfigs' sources and of a LogTenant with these fields.
    fn said(containers: &str, tenant: &str) -> Vec<String> {
        let text = format!(
            "{{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {{name: default}}, spec: {{stdout: {{}}}}}}
---
{{apiVersion: logferry.dev/v1alpha1, kind: LogConfig, metadata: {{namespace: shop, name: web}}, spec: {{source: {{containers: {{{containers}}}}}}}}}
---
{{apiVersion: logferry.dev/v1alpha1, kind: LogTenant, metadata: {{name: team}}, spec: {{{tenant}}}}}
"
        );
        let file = crd::ConfigFile { path: "k.yaml".into(), bytes: Ok(text.into_bytes()) };
        let settings = crd::resolve(vec![file]).unwrap();
        let all = unknowable(&settings);
        all.iter().map(|it| it.split_once(": nobody").unwrap().0.to_owned()).collect()
    }

    #[test]
    fn each_field_that_only_an_api_server_can_answer_is_named() {
        let named = "pods: {include: [web-*]}, podSelector: {}";
        assert!(said(named, "namespaces: [shop]").is_empty(), "a selector of all asks for nothing");
        let asking = "podSelector: {matchLabels: {app: web}}, owner: {kind: Deployment}, \
                      env: {include: [{name: LOGS}]}";
        let all = said(asking, "namespaceSelector: {matchLabels: {team: a}}");
        let want = [
            "LogConfig shop/web: spec.source.containers.env",
            "LogConfig shop/web: spec.source.containers.owner",
            "LogConfig shop/web: spec.source.containers.podSelector",
            "LogTenant team: spec.namespaceSelector",
        ];
        assert_eq!(all, want);
    }
}
