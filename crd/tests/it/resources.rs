//! The custom resources are what the types say, and a kube-apiserver lets in what the validator lets in.
//!
//! `crdcheck` (scripts/crdcheck.sh) is a server's own code: structural schemas, rules and their cost, defaults, unknown
//! fields. What it does not do is what the server does to every resource, such as to look at its name.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crd::{Kind, custom_resource_definition, custom_resource_kinds};
use serde_json::Value;

/// Where the Helm chart has them.
const FOLDER: &str = "deploy/helm/logferry/files/crds";

/// Why a resource is refused by what is not in it alone, or by what no schema knows: globs, expressions, YAML itself.
const BEYOND_A_SCHEMA: &[&str] = &[
    "no LogSink has this name",
    "the Agent",
    "this glob",
    "bad glob",
    "bad regular expression",
    "includes the same",
    "has the same",
    "matches the namespace",
    "to tell",
    "writes there",
    "would read it again",
    "the name is taken",
    "anchors and aliases",
    "tags are not read",
    "written twice; remove one",
    "a key must be text",
];

#[test]
fn the_definitions_in_the_chart_are_what_the_types_say() {
    let folder = crate::top().join(FOLDER);
    for kind in custom_resource_kinds() {
        let path = folder.join(format!("{}.yaml", kind.name().to_lowercase()));
        let definition = custom_resource_definition(kind);
        if crate::is_update() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &definition).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == definition, "{}: UPDATE_GOLDEN=1 rewrites it", path.display());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), custom_resource_kinds().count());
}

/// One resource as a cluster would get it, and what the validator has against it.
struct Sample {
    origin: String,
    text: String,
    /// What is wrong with it alone, as far as a schema can know.
    wrong: Vec<String>,
    is_good: bool,
}

/// The documents of a file that a cluster could get.
fn samples(path: &Path, samples: &mut Vec<Sample>) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let is_resource = |it: &&str| {
        let of = |kind: Kind| it.contains(&format!("kind: {}", kind.name()));
        it.contains("apiVersion: logferry.dev/v1alpha1") && custom_resource_kinds().any(of)
    };
    for (index, text) in text.split("\n---\n").enumerate().filter(|(_, text)| is_resource(text)) {
        // What it names is there; whether it is used does not matter.
        let sink = "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: default}\n\
                    spec: {blackhole: {}}\n---\n";
        let is_default = text.contains("kind: LogSink") && text.contains("name: default");
        let alone = if is_default { text.to_owned() } else { format!("{sink}{text}\n") };
        let problems: Vec<String> = match crate::resolve_text(&alone) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        let of_schema = |it: &&String| {
            let is_beyond = BEYOND_A_SCHEMA.iter().any(|why| it.contains(why));
            let is_of_metadata = it.contains(": metadata");
            !is_beyond && !is_of_metadata && !it.ends_with(" no LogConfig: nothing is collected")
        };
        // Without a namespace it is a ClusterLogConfig, which in a cluster it has to be called.
        let has_namespace = text.contains("namespace: ");
        let text = if has_namespace {
            text.to_owned()
        } else {
            text.replace("kind: LogConfig", "kind: ClusterLogConfig")
        };
        samples.push(Sample {
            origin: format!("{name} document {index}"),
            text,
            wrong: problems.iter().filter(of_schema).cloned().collect(),
            is_good: problems.is_empty(),
        });
    }
}

/// What a server says of each sample.
fn judged(samples: &[Sample]) -> Vec<Vec<String>> {
    let program = crate::top().join(".cache/crdcheck");
    assert!(program.is_file(), "{}: not there; run scripts/crdcheck.sh", program.display());
    let directory = tempfile::tempdir().expect("a folder");
    let definitions = directory.path().join("definitions.yaml");
    let all: Vec<String> = custom_resource_kinds().map(custom_resource_definition).collect();
    fs::write(&definitions, all.join("---\n")).expect("written");
    let mut files: Vec<PathBuf> = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        files.push(directory.path().join(format!("{index}.yaml")));
        fs::write(&files[index], &sample.text).expect("written");
    }
    let output = Command::new(&program).arg(&definitions).args(&files).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    // A document that it cannot read has no line.
    let mut judged = vec![vec!["not readable".to_owned()]; samples.len()];
    for line in lines.lines() {
        let verdict: Value = serde_json::from_str(line).expect("JSON");
        let errors: Vec<String> =
            serde_json::from_value(verdict["errors"].clone()).expect("a list");
        let file = Path::new(verdict["file"].as_str().expect("a path"));
        match file.file_stem().and_then(|it| it.to_str()).unwrap_or_default().parse::<usize>() {
            Ok(index) => judged[index] = errors,
            Err(_) => assert!(errors.is_empty(), "{}: {errors:#?}", verdict["name"]),
        }
    }
    judged
}

#[test]
fn a_server_takes_the_definitions_and_refuses_what_the_validator_refuses() {
    let mut all = Vec::new();
    for folder in ["crd/tests/golden", "deploy/examples", "deploy/examples/cluster"] {
        let mut paths: Vec<PathBuf> = fs::read_dir(crate::top().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
            .collect();
        paths.sort();
        paths.iter().for_each(|path| samples(path, &mut all));
    }
    let (mut good, mut bad, mut wrong) = (0, 0, String::new());
    for (sample, errors) in all.iter().zip(judged(&all)) {
        let Sample { origin, text, wrong: problems, is_good } = sample;
        good += usize::from(*is_good);
        bad += usize::from(!problems.is_empty());
        if !problems.is_empty() && errors.is_empty() {
            writeln!(wrong, "{origin}: let in, and should not be: {problems:#?}\n{text}").unwrap();
        }
        if *is_good && !errors.is_empty() {
            writeln!(wrong, "{origin}: refused, and should not be: {errors:#?}\n{text}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(good >= 20 && bad >= 60, "only {good} good samples and {bad} bad ones");
}
