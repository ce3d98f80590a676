//! Memo: LogConfigs that were good before, so that of thousands only those that changed are read again.
//!
//! What a LogConfig says by itself is remembered, and nothing that depends on others but what is written here: what
//! must hold between resources is checked anew each time. Documents with problems are not remembered.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::Document;
use crate::settings::LogConfigSettings;
use crate::spec::Kind;
use crate::units::ByteSize;

/// What was read and found good; see [`crate::admit_with`].
#[derive(Debug, Default)]
pub struct Memo(HashMap<PathBuf, Known>);

/// A LogConfig that was good.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) text: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) settings: LogConfigSettings,
    around: Arc<Surroundings>,
}

/// What a LogConfig is resolved with, beside its own words and the names of sinks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) pod_logs: PathBuf,
    pub(crate) chunk: Option<ByteSize>,
}

impl Memo {
    /// What is known of the resource that `path` names, if it says the same as then.
    pub(crate) fn get(&self, path: &Path, text: &Arc<str>) -> Option<Known> {
        self.0.get(path).filter(|it| it.text == *text).cloned()
    }

    /// Remembers a LogConfig that nothing is wrong with, if it is of a text with nothing else in it.
    pub(crate) fn learn(
        &mut self,
        document: &Document,
        settings: &LogConfigSettings,
        around: &Arc<Surroundings>,
    ) {
        let Some(text) = document.text().filter(|it| !it.contains("\n---")) else { return };
        let known = Known {
            text: Arc::clone(text),
            kind: document.kind,
            settings: settings.clone(),
            around: Arc::clone(around),
        };
        self.0.insert(document.file.to_path_buf(), known);
    }

    /// Forgets all others.
    pub(crate) fn keep(&mut self, paths: &HashSet<&Path>) {
        self.0.retain(|path, _| paths.contains(&**path));
    }
}

impl Known {
    /// Whether it would come to the same again.
    pub(crate) fn holds(&self, around: &Surroundings, has_sink: impl FnOnce(&str) -> bool) -> bool {
        *self.around == *around && has_sink(&self.settings.sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Admission, Candidate, ConfigFile, SourceSettings, admit, admit_with};

    fn agent(spec: &str) -> Vec<ConfigFile> {
        let text = format!(
            "apiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
        );
        vec![ConfigFile { path: "agent.yaml".into(), bytes: Ok(text.into_bytes()) }]
    }

    fn candidate(kind: &str, name: &str, versions: &[&str]) -> Candidate {
        let namespace = if kind == "LogConfig" { r#", "namespace": "shop""# } else { "" };
        let text = |spec: &&str| -> Arc<str> {
            format!(
                r#"{{"apiVersion": "logferry.dev/v1alpha1", "kind": "{kind}", "metadata": {{"name": "{name}"{namespace}}}, "spec": {spec}}}"#
            )
            .into()
        };
        let versions = versions.iter().map(text).collect();
        Candidate { path: format!("{kind} {name}").into(), versions, is_in_force: true }
    }

    fn sink(name: &str) -> Candidate {
        candidate("LogSink", name, &[r#"{"stdout": {}}"#])
    }

    const WEB: &str = r#"{"source": {"containers": {"pods": {"include": ["web-*"]}}}}"#;
    const OTHER: &str =
        r#"{"sink": "other", "source": {"containers": {"pods": {"include": ["x"]}}}}"#;
    const LONG: &str = r#"{"line": {"maxBytes": "200KiB"}, "source": {"containers": {"containers": {"include": ["y"]}}}}"#;

    /// What readers of an admission see.
    fn seen(admission: &Admission) -> String {
        let Admission { settings, outcomes } = admission;
        format!("{settings:#?}\n{}\n{outcomes:#?}", settings.warnings)
    }

    #[test]
    fn what_is_remembered_makes_no_difference() {
        let log_config = |name: &str, spec: &str| candidate("LogConfig", name, &[spec]);
        let all = [log_config("a", WEB), log_config("b", OTHER), log_config("c", LONG)];
        let with = |more: &[Candidate]| [&all[..], more].concat();
        let steps = [
            ("", with(&[sink("default"), sink("other")])),
            // The sink of one is gone, and comes again.
            ("", with(&[sink("default")])),
            ("", with(&[sink("default"), sink("other")])),
            // Lines are measured by chunks, and places of logs are the agent's.
            ("chunkBytes: 128KiB", with(&[sink("default"), sink("other")])),
            ("podLogsDirectory: /logs", with(&[sink("default"), sink("other")])),
            // What others have against what is remembered has its place in it.
            ("", with(&[sink("default"), sink("other"), log_config("d", WEB)])),
            ("limits: {bytesPerSecond: 1MiB}", with(&[sink("default"), log_config("z", WEB)])),
            (
                "",
                with(&[
                    sink("default"),
                    sink("other"),
                    candidate(
                        "LogTenant",
                        "t",
                        &[r#"{"namespaces": ["shop"], "sinks": ["other"]}"#],
                    ),
                ]),
            ),
            // Two of one name, of a kind each; one that is bad now, and was good.
            ("", with(&[sink("default"), candidate("ClusterLogConfig", "a", &[WEB])])),
            (
                "",
                vec![
                    sink("default"),
                    candidate("LogConfig", "a", &[r#"{"sinc": 1}"#, WEB]),
                    log_config("c", OTHER),
                ],
            ),
            ("", vec![sink("default"), log_config("a", LONG), log_config("c", WEB)]),
        ];
        let mut memo = Memo::default();
        for (number, (spec, candidates)) in steps.iter().chain(&steps).enumerate() {
            let said = admit_with(&mut memo, agent(spec), candidates, &|_| None).unwrap();
            let fresh = admit(agent(spec), candidates, &|_| None).unwrap();
            assert_eq!(seen(&said), seen(&fresh), "step {number}: {spec}");
        }
    }

    #[test]
    fn of_many_only_what_changed_is_read_again() {
        let globs = |memo: &mut Memo, specs: [&str; 2]| {
            let [a, b] = specs;
            let all = [
                sink("default"),
                candidate("LogConfig", "a", &[a]),
                candidate("LogConfig", "b", &[b]),
            ];
            let settings = admit_with(memo, agent(""), &all, &|_| None).unwrap().settings;
            let set = |it: &LogConfigSettings| match &it.source {
                SourceSettings::Containers(it) => Arc::clone(it.pods.include.set()),
                SourceSettings::Files(_) => panic!("{it:?}"),
            };
            settings.log_configs.iter().map(set).collect::<Vec<_>>()
        };
        let mut memo = Memo::default();
        let before = globs(&mut memo, [WEB, LONG]);
        let changed = LONG.replace("200KiB", "100KiB");
        let after = globs(&mut memo, [WEB, &changed]);
        assert!(Arc::ptr_eq(&before[0], &after[0]), "nothing was compiled again");
        assert!(!Arc::ptr_eq(&before[1], &after[1]));
        // What is removed is not kept.
        admit_with(&mut memo, agent(""), &[sink("default")], &|_| None).unwrap();
        assert!(memo.0.is_empty());
    }
}
