//! Whatever filters say: a container is in one of the LogConfigs if it was asked for, and else in none.

use std::collections::BTreeMap;

use aliyun::{Reach, convert};
use crd::{ConfigFile, EnvSelector, Settings, SourceSettings};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Values of labels and variables, of which few are equal.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ab]", Just("^(a|b)$".to_owned()), Just("^a$".to_owned())]
}

fn filter() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[xyz]", value(), 0..3)
}

/// Labels or variables of a container.
fn things() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[xyz]", "[abc]", 0..3)
}

/// What a filter says of labels or variables, by its own words.
fn holds(filter: &BTreeMap<String, String>, of: &BTreeMap<String, String>) -> bool {
    filter.iter().any(|(key, wanted)| {
        of.get(key).is_some_and(|it| match wanted.as_str() {
            "" => true,
            "^(a|b)$" => it == "a" || it == "b",
            "^a$" => it == "a",
            literal => it == literal,
        })
    })
}

fn settings(object: &Value) -> Settings {
    let conversion = convert(object, Reach::Cluster).unwrap();
    assert!(!conversion.is_refused(), "{:?}", conversion.notes);
    let sink = "{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: default}, spec: {blackhole: {}}}\n";
    let configs = conversion.configs.iter().map(|it| format!("---\n{}", crd::write_value(it)));
    let text = sink.to_owned() + &configs.collect::<String>();
    let file = ConfigFile { path: "converted.yaml".into(), bytes: Ok(text.clone().into_bytes()) };
    crd::resolve(vec![file]).unwrap_or_else(|it| panic!("{it}\n{text}"))
}

/// Whether variables are selected, by the words of our own configuration.
fn selects(selector: Option<&EnvSelector>, of: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    let is_there = |it: &crd::EnvVariable| {
        of.get(&it.name).is_some_and(|value| it.value.as_ref().is_none_or(|wanted| wanted == value))
    };
    selector.include.as_ref().is_none_or(|it| it.iter().any(is_there))
        && !selector.exclude.iter().any(is_there)
}

proptest! {
    #[test]
    fn just_those_containers_are_selected_that_are_asked_for_and_each_once(
        filters in proptest::array::uniform4(filter()),
        pods in proptest::collection::vec((things(), things()), 1..8),
    ) {
        let [include_labels, exclude_labels, include_env, exclude_env] = &filters;
        let object = json!({
            "apiVersion": "telemetry.alibabacloud.com/v1alpha1",
            "kind": "ClusterAliyunPipelineConfig",
            "metadata": {"name": "any"},
            "spec": {"config": {"inputs": [{
                "Type": "input_container_stdio",
                "ContainerFilters": {
                    "IncludeK8sLabel": include_labels, "ExcludeK8sLabel": exclude_labels,
                    "IncludeEnv": include_env, "ExcludeEnv": exclude_env,
                },
            }]}},
        });
        let settings = settings(&object);
        for (labels, env) in pods {
            let is_asked_for = (include_labels.is_empty() || holds(include_labels, &labels))
                && !holds(exclude_labels, &labels)
                && (include_env.is_empty() || holds(include_env, &env))
                && !holds(exclude_env, &env);
            let count = settings.log_configs.iter().filter(|config| {
                let SourceSettings::Containers(it) = &config.source else { return false };
                it.pod_selector.as_ref().is_none_or(|it| it.selects(&labels)) && selects(it.env.as_ref(), &env)
            }).count();
            prop_assert_eq!(count, usize::from(is_asked_for), "{:?} {:?}", labels, env);
        }
    }
}
