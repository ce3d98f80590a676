//! Whatever a LogConfig of a namespace says, it reaches nothing but the containers of that namespace.

use crd::{Settings, SourceSettings, defaults};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Fields of a LogConfig's spec as somebody hostile would write them.
const FIELDS: &[&str] = &[
    "tenant: bank",
    "tenant: null",
    "sink: other",
    "startAt: end",
    "limits: {bytesPerSecond: 1MiB}",
    "sampling: {oneIn: 2}",
    "secrets: {namespace: bank}",
    "topic: bank",
    "kafka: {topic: bank}",
];

/// Fields of its source's containers.
const CONTAINERS: &[&str] = &[
    "root: /etc",
    "root: /var/log/pods/../../../etc",
    "namespaces: {}",
    "namespaces: {include: [bank]}",
    "namespaces: {include: ['*'], exclude: [shop]}",
    "namespaces: {pattern: '.*'}",
    "namespaceSelector: {}",
    "namespaceSelector: {matchLabels: {a: b}}",
    "pods: {include: ['*', '../bank_web*', 'bank/*']}",
    "pods: {pattern: '.*'}",
    "podSelector: {}",
    "containers: {include: ['*']}",
    "owner: {kind: Deployment}",
    "env: {include: [{name: A}]}",
    "streams: [stdout]",
    "files: {include: [/etc/shadow]}",
    "files: {include: [/../../etc/shadow]}",
    "files: {include: ['/*/../../etc/*']}",
    "followLinksInto: [/]",
    "followLinksInto: [/etc]",
];

const SOURCES: &[&str] = &["files: {include: [/etc/shadow]}", "files: {include: ['/**']}"];

fn document() -> impl Strategy<Value = String> {
    let fields = subsequence(FIELDS, 0..3);
    let containers = subsequence(CONTAINERS, 0..4);
    let sources = subsequence(SOURCES, 0..2);
    let namespace = select(&["shop", "shop-eu", "a"][..]);
    (fields, containers, sources, namespace).prop_map(|(fields, containers, sources, namespace)| {
        let containers = format!("containers: {{{}}}", containers.join(", "));
        let source = [vec![containers.as_str()], sources].concat().join(", ");
        let mut fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
        fields.push(format!("source: {{{source}}}"));
        format!(
            "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\n\
             metadata: {{name: it, namespace: {namespace}}}\nspec: {{{}}}\n",
            fields.join(", ")
        )
    })
}

fn resolved(config: &str) -> Option<Settings> {
    let header = "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata:";
    let spec = "spec: {blackhole: {}}\n---\n";
    let sinks = format!("{header} {{name: default}}\n{spec}{header} {{name: other}}\n{spec}");
    crate::resolve_text(&format!("{sinks}{config}")).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_logconfig_of_a_namespace_reaches_that_namespace_alone(text in document()) {
        let Some(settings) = resolved(&text) else { return Ok(()) };
        let config = &settings.log_configs[0];
        let namespace = config.name.namespace.as_deref().expect("it has one");
        prop_assert_eq!(&config.tenant, &None);
        let SourceSettings::Containers(containers) = &config.source else {
            panic!("files of the host: {text}");
        };
        prop_assert_eq!(containers.namespaces.include.patterns(), &[namespace.to_owned()][..]);
        for other in ["bank", "shop-us", "b", ""] {
            prop_assert!(!containers.selects(other, "web-0", "app"), "{}", text);
        }
        prop_assert_eq!(&containers.namespace_selector, &None);
        prop_assert_eq!(containers.root.to_str(), Some(defaults::POD_LOGS_DIRECTORY));
        prop_assert_eq!(containers.follow_links_into.len(), 1);
        if let Some(files) = &containers.files {
            let is_within = |glob: &String| glob.starts_with('/') && !glob.contains("..");
            prop_assert!(files.include.patterns().iter().all(is_within), "{}", text);
        }
    }
}

/// The property above is of something: most of what is allowed is let in.
#[test]
fn a_logconfig_of_a_namespace_is_let_in_if_it_keeps_to_it() {
    let text = "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\n\
                metadata: {name: it, namespace: shop}\nspec: {sink: other, source: {containers: \
                {podSelector: {}, pods: {pattern: a}, files: {include: [/etc/shadow]}}}}\n";
    let settings = resolved(text).unwrap();
    assert_eq!(settings.log_configs[0].name.to_string(), "shop/it");
    // It is described as it may be written.
    assert_eq!(crate::resolve_text(&settings.describe()).unwrap(), settings);
}
