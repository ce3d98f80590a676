//! Variables: `aliyun_logs_{key}` and its suffixes in the environment of a container, which ask for what an
//! AliyunLogConfig of the container's namespace would.
//!
//! They are written by whoever writes the pod, so that nothing in them speaks of other namespaces or of the host, and
//! just containers with that variable are meant, whatever `_detail` says. Source: `helper/envconfig` of iLogtail 1.8.8.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::fields::Fate;
use crate::{Documents, Note, Reach, documents};

/// What such variables begin with; the first counts where both are there.
const PREFIXES: [&str; 2] = ["loong_logs_", "aliyun_logs_"];

/// Suffixes, and the field of the `spec` that each is.
const FIELDS: [(&str, &str); 17] = [
    ("project", "project"),
    ("logstore", "logstore"),
    ("shard", "shardCount"),
    ("ttl", "lifeCycle"),
    ("machinegroup", "machineGroups"),
    ("logstoremode", "logstoreMode"),
    ("logstorehotttl", "logstoreHotTTL"),
    ("logstoretelemetrytype", "logstoreTelemetryType"),
    ("logstoreappendmeta", "logstoreAppendMeta"),
    ("logstoremaxsplitshard", "logstoreMaxSplitShard"),
    ("logstoreenabletracking", "logstoreEnableTracking"),
    ("logstoreautosplit", "logstoreAutoSplit"),
    ("logstoreencryptconf", "logstoreEncryptConf"),
    ("logstoremeteringmode", "logstoreMeteringMode"),
    ("configtags", "configTags"),
    ("product", "productCode"),
    ("language", "productLang"),
];
/// Suffixes that say how.
const OTHERS: [&str; 4] = ["tags", "jsonfile", "dockerfile", "detail"];

/// Variables of one key by their names; without a value those that come from elsewhere.
pub type Variables = BTreeMap<String, Option<String>>;

/// Whether a variable may be one of them, by its name.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    PREFIXES.iter().any(|it| name.strip_prefix(it).is_some_and(|key| !key.is_empty()))
}

/// The variables of a container by their keys; others are left out.
#[must_use]
pub fn by_key(variables: &Variables) -> BTreeMap<String, Variables> {
    let mut keys: BTreeMap<String, Variables> = BTreeMap::new();
    for prefix in PREFIXES.iter().rev() {
        let mut own: BTreeMap<String, Variables> = BTreeMap::new();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(prefix).filter(|it| !it.is_empty()) else {
                continue;
            };
            let key = split(rest).0.to_owned();
            own.entry(key).or_default().insert(name.clone(), value.clone());
        }
        keys.extend(own);
    }
    keys
}

/// Key and suffix of a name without its prefix: what stands behind the last `_`, if that is a suffix.
fn split(rest: &str) -> (&str, Option<&str>) {
    let is_suffix =
        |it: &str| FIELDS.iter().any(|(suffix, _)| *suffix == it) || OTHERS.contains(&it);
    match rest.rsplit_once('_') {
        Some((key, suffix)) if !key.is_empty() && is_suffix(suffix) => (key, Some(suffix)),
        _ => (rest, None),
    }
}

/// What the variables of one key come to in a namespace, as LogConfigs called `name`.
///
/// # Errors
/// Every reason why they are refused.
pub fn documents_of(
    namespace: &str,
    name: &str,
    variables: &Variables,
) -> Result<Documents, String> {
    let (mut main, mut suffixes) = (None, BTreeMap::new());
    for (name, value) in variables {
        let prefix = PREFIXES.iter().find(|it| name.starts_with(**it)).copied().unwrap_or_default();
        let Some(value) = value else {
            return Err(format!("{name}: its value comes from elsewhere; write it in the pod"));
        };
        match split(&name[prefix.len()..]) {
            (key, None) => main = Some((name.as_str(), key, value.as_str())),
            (_, Some(suffix)) => drop(suffixes.insert(suffix, (name.as_str(), value.as_str()))),
        }
    }
    let Some((variable, key, value)) = main else {
        let first = variables.keys().next().map_or("", String::as_str);
        return Err(format!("{first}: the variable without its suffix is missing; write both"));
    };
    let (input_type, detail) = detail(variable, value, &suffixes)?;
    let mut spec = Map::new();
    spec.insert("logstore".to_owned(), json!(key));
    for (suffix, field) in FIELDS {
        if let Some((_, value)) = suffixes.get(suffix) {
            spec.insert(field.to_owned(), json!(value));
        }
    }
    let logtail_config = json!({"configName": key, "inputType": input_type, "inputDetail": detail});
    spec.insert("logtailConfig".to_owned(), logtail_config);
    let object = json!({
        "apiVersion": "log.alibabacloud.com/v1alpha1",
        "kind": "AliyunLogConfig",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    let mut documents = documents(&object.to_string(), Reach::Namespace)?;
    // It is the variable that was written, not this.
    documents.notes.retain(|it| it.path != "spec.logtailConfig.configName");
    if let Some((name, _)) = suffixes.get("tags") {
        let text = "other tags of records".to_owned();
        documents.notes.push(Note { path: (*name).to_owned(), fate: Fate::NotYet, text });
    }
    Ok(documents)
}

/// `inputType` and `inputDetail`.
fn detail(
    variable: &str,
    value: &str,
    suffixes: &BTreeMap<&str, (&str, &str)>,
) -> Result<(&'static str, Value), String> {
    let mut detail = match suffixes.get("detail") {
        None => Map::new(),
        Some((name, text)) => serde_json::from_str(text)
            .map_err(|error| format!("{name}: not a JSON object ({error}); write inputDetail"))?,
    };
    let flag = |suffix: &str| match suffixes.get(suffix) {
        None => Ok(None),
        Some((_, "true")) => Ok(Some(true)),
        Some((_, "false")) => Ok(Some(false)),
        Some((name, other)) => Err(format!("{name}: {other:?}: write true or false")),
    };
    let (is_json, is_inside) = (flag("jsonfile")?, flag("dockerfile")?);
    let env = json!({variable: value});
    let (stdout, stderr) = match value {
        "stdout" => (true, true),
        "stdout-only" => (true, false),
        "stderr-only" => (false, true),
        path if path.starts_with('/') && !path.ends_with('/') => {
            let (folder, file) = path.rsplit_once('/').unwrap_or_default();
            let folder = folder.strip_suffix("/**").unwrap_or(folder);
            detail
                .insert("logPath".to_owned(), json!(if folder.is_empty() { "/" } else { folder }));
            detail.insert("filePattern".to_owned(), json!(file));
            detail.insert("dockerFile".to_owned(), json!(is_inside.unwrap_or(true)));
            if is_json == Some(true) {
                detail.insert("logType".to_owned(), json!("json_log"));
            }
            detail.insert("dockerIncludeEnv".to_owned(), env);
            return Ok(("file", Value::Object(detail)));
        }
        other => {
            return Err(format!(
                "{variable}: {other:?}: write stdout, stdout-only, stderr-only, or the absolute path of files"
            ));
        }
    };
    // Of what `_detail` says of an input only its fields count: which streams and which containers is said here.
    let plugin = detail.entry("plugin").or_insert_with(|| json!({}));
    let mut input = plugin["inputs"][0]["detail"].as_object().cloned().unwrap_or_default();
    input.insert("Stdout".to_owned(), json!(stdout));
    input.insert("Stderr".to_owned(), json!(stderr));
    input.insert("IncludeEnv".to_owned(), env);
    let Some(plugin) = plugin.as_object_mut() else {
        return Err(format!("{variable}_detail: plugin: not a mapping; write inputDetail"));
    };
    let inputs = json!([{"type": "service_docker_stdout", "detail": input}]);
    plugin.insert("inputs".to_owned(), inputs);
    Ok(("plugin", Value::Object(detail)))
}

#[cfg(test)]
mod tests {
    use crd::{ConfigFile, SourceSettings};
    use proptest::prelude::*;

    use super::*;

    fn variables(of: &[(&str, &str)]) -> Variables {
        of.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
    }

    fn converted(of: &[(&str, &str)]) -> Result<Documents, String> {
        documents_of("shop", "it", &variables(of))
    }

    #[test]
    fn names_are_split_at_the_last_underscore_where_a_suffix_follows() {
        let all = variables(&[
            ("aliyun_logs_my_app", "stdout"),
            ("aliyun_logs_my_app_logstore", "web"),
            ("aliyun_logs_b", "/log/*.log"),
            ("loong_logs_b", "stdout"),
            ("aliyun_logs_", "stdout"),
            ("PATH", "/bin"),
        ]);
        let keys = by_key(&all);
        let names: Vec<Vec<&str>> =
            keys.values().map(|it| it.keys().map(String::as_str).collect()).collect();
        let app = vec!["aliyun_logs_my_app", "aliyun_logs_my_app_logstore"];
        assert_eq!(names, [vec!["loong_logs_b"], app]);
        assert!(is_variable("aliyun_logs_a") && !is_variable("aliyun_logs_") && !is_variable("a"));
    }

    #[test]
    fn a_variable_yields_what_an_object_would() {
        for (value, streams) in [
            ("stdout", ""),
            ("stdout-only", "      streams:\n        - stdout\n"),
            ("stderr-only", "      streams:\n        - stderr\n"),
        ] {
            let it = converted(&[("aliyun_logs_access", value)]).unwrap();
            let want = format!(
                "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata:\n  name: it\n  namespace: shop\n\
                 spec:\n  topic: access\n  source:\n    containers:\n      env:\n        include:\n          \
                 - name: aliyun_logs_access\n            value: {value}\n{streams}"
            );
            assert_eq!(it.text, want);
            assert!(it.notes.is_empty(), "{:?}", it.notes);
        }
        let it = converted(&[
            ("aliyun_logs_a", "/var/log/**/app*.log"),
            ("aliyun_logs_a_logstore", "web_2"),
            ("aliyun_logs_a_ttl", "30"),
            ("aliyun_logs_a_project", "p"),
            ("aliyun_logs_a_machinegroup", "g"),
            ("aliyun_logs_a_tags", "team=web"),
            ("aliyun_logs_a_jsonfile", "true"),
        ]);
        let it = it.unwrap();
        assert!(
            it.text.contains("topic: web_2\n") && it.text.contains("\"/var/log/**/app*.log\""),
            "{}",
            it.text
        );
        let notes: Vec<&str> = it.notes.iter().map(|it| it.path.as_str()).collect();
        let parsing = "spec.logtailConfig.inputDetail.logType";
        assert_eq!(
            notes,
            ["spec.lifeCycle", parsing, "spec.machineGroups", "spec.project", "aliyun_logs_a_tags"]
        );
        let detail = r#"{"plugin": {"inputs": [{"type": "x", "detail": {"BeginLineRegex": "a", "IncludeEnv": {"B": ""}}}]}}"#;
        let it =
            converted(&[("aliyun_logs_a", "stdout"), ("aliyun_logs_a_detail", detail)]).unwrap();
        assert!(it.text.contains("begin: a") && !it.text.contains("name: B"), "{}", it.text);
    }

    #[test]
    fn wrong_values_are_said_and_never_guessed() {
        let cases = [
            (&[("aliyun_logs_a", "stdOut")][..], "aliyun_logs_a: \"stdOut\": write stdout"),
            (&[("aliyun_logs_a", "log/*.log")], "absolute path"),
            (&[("aliyun_logs_a", "/log/")], "absolute path"),
            (&[("aliyun_logs_a_logstore", "x")], "without its suffix is missing"),
            (&[("aliyun_logs_a", "stdout"), ("aliyun_logs_a_logstore", "x/y")], "no logstore"),
            (&[("aliyun_logs_a", "stdout"), ("aliyun_logs_a_detail", "{")], "not a JSON object"),
            (&[("aliyun_logs_a", "stdout"), ("aliyun_logs_a_detail", "{\"plugin\": 1}")], "plugin"),
            (&[("aliyun_logs_a", "/a.log"), ("aliyun_logs_a_dockerfile", "yes")], "true or false"),
            (
                &[("aliyun_logs_a", "/a.log"), ("aliyun_logs_a_dockerfile", "false")],
                "not a namespace's",
            ),
        ];
        for (of, why) in cases {
            let said = converted(of).unwrap_err();
            assert!(said.contains(why), "{of:?}: {said}");
        }
        let elsewhere = Variables::from([("aliyun_logs_a".to_owned(), None)]);
        assert!(documents_of("shop", "it", &elsewhere).unwrap_err().contains("from elsewhere"));
    }

    const VALUES: [&str; 12] = [
        "stdout",
        "/a/*.log",
        "/../../etc/shadow",
        "/**",
        "bank",
        "../bank",
        "${tenant}",
        "true",
        "false",
        r#"{"dockerFile": false, "logPath": "/etc", "dockerIncludeEnv": {}}"#,
        r#"{"plugin": {"inputs": [{"detail": {"K8sNamespaceRegex": "bank", "IncludeEnv": {}}}]}}"#,
        r#"{"advanced": {"k8s": {"K8sNamespaceRegex": "bank"}}, "dockerIncludeLabel": {"io.kubernetes.pod.namespace": "bank"}}"#,
    ];

    proptest! {
        /// Whatever is written, what comes of it is of the container's namespace, and of containers with that variable.
        #[test]
        fn nothing_in_variables_leaves_their_namespace(
            main in proptest::sample::select(&VALUES[..]),
            suffixes in proptest::collection::btree_map(
                proptest::sample::select(&["logstore", "detail", "dockerfile", "project", "machinegroup", "tags"][..]),
                proptest::sample::select(&VALUES[..]), 0..4),
        ) {
            let mut all = variables(&[("aliyun_logs_a", main)]);
            all.extend(suffixes.iter().map(|(suffix, value)| {
                (format!("aliyun_logs_a_{suffix}"), Some((*value).to_owned()))
            }));
            let Ok(it) = documents_of("shop", "it", &all) else { return Ok(()) };
            let sink = "{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {name: default}, \
                        spec: {kafka: {brokers: ['k:1'], topic: '${tenant}'}}}\n---\n";
            let file = ConfigFile { path: "it.yaml".into(), bytes: Ok((sink.to_owned() + &it.text).into_bytes()) };
            let Ok(settings) = crd::resolve(vec![file]) else { return Ok(()) };
            prop_assert!(!settings.log_configs.is_empty());
            for config in &settings.log_configs {
                prop_assert_eq!(config.name.namespace.as_deref(), Some("shop"));
                prop_assert_eq!(&config.tenant, &None);
                let SourceSettings::Containers(containers) = &config.source else { panic!("{}", it.text) };
                prop_assert!(!containers.selects("bank", "web-0", "app"));
                let env = containers.env.as_ref().and_then(|it| it.include.as_ref()).expect("a variable");
                prop_assert!(env.iter().all(|it| it.name == "aliyun_logs_a" && it.value.as_deref() == Some(main)));
            }
        }
    }
}
