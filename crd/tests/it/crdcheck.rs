//! A kube-apiserver lets in what the validator lets in, as far as one resource alone can tell.
//!
//! `crdcheck` (scripts/crdcheck.sh) is a server's own code: structural schemas, rules and their cost, defaults, unknown
//! fields. Where it could not be built, scripts/test.sh leaves these tests out, and says so. What it does not do is what the server does to every resource, such as to look at its name.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crd::custom_resource_definitions;
use serde_json::Value;

/// Why a resource is refused by what is not in it alone, or by what no schema knows: globs, expressions, YAML itself.
const BEYOND_A_SCHEMA: &[&str] = &[
    "no LogSink has this name",
    "the Agent",
    "may not name the topic",
    "that of all tenants",
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
        it.contains("apiVersion: logferry.dev/v1alpha1")
            && (it.contains("kind: Log") || it.contains("kind: ClusterLogConfig"))
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
    let all: Vec<String> = custom_resource_definitions().map(|(_, it)| it).collect();
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

/// Specs with one fault each, by kind; `kafka` is that of a LogSink.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "LogConfig",
        &[
            "source: {containers: {}}, tenant: bank",
            "source: {files: {include: [/etc/shadow]}}",
            "source: {containers: {root: /etc}}",
            "source: {containers: {namespaces: {include: [bank]}}}",
            "source: {containers: {namespaceSelector: {}}}",
            "source: {containers: {followLinksInto: [/etc]}}",
            "source: {containers: {files: {include: [/../etc/shadow]}}}",
            "source: {containers: {logDisk: {folders: []}}}",
            "source: {containers: {logDisk: {folders: [/1, /2, /3, /4, /5, /6, /7, /8, /9]}}}",
            "source: {containers: {logDisk: {folders: [var/log]}}}",
            "source: {containers: {logDisk: {folders: [/]}}}",
            "source: {containers: {logDisk: {folders: [/var/log/]}}}",
            "source: {containers: {logDisk: {folders: [/var/../log]}}}",
            "source: {containers: {logDisk: {folders: ['/var/log/*']}}}",
            "source: {containers: {logDisk: {folders: ['/var/a:b']}}}",
            "source: {containers: {logDisk: {size: 1023KiB}}}",
            "source: {containers: {logDisk: {size: 1025GiB}}}",
            "source: {containers: {logDisk: {mode: quick}}}",
            "source: {containers: {logDisk: {full: drop}}}",
            "source: {containers: {logDisk: {fsync: yes}}}",
            "source: {containers: {logDisk: {fullTimeout: 61m}}}",
            "source: {containers: {logDisk: {fsyncTimeout: 999ms}}}",
            "source: {containers: {logDisk: {only: ['*.log']}}}",
        ],
    ),
    (
        "ClusterLogConfig",
        &[
            "{}",
            "source: {containers: {logDisk: {size: 1MiB}}}",
            "source: {}",
            "source: {containers: {}, files: {include: [/a]}}",
            "source: {files: {}}",
            "source: {files: {include: []}}",
            "source: {files: {include: [a]}}",
            "source: {files: {include: [/a/../b]}}",
            "source: {files: {include: [/a//b]}}",
            "source: {files: {include: [/a/]}}",
            "source: {files: {include: [/a], followLinksInto: [/a/..]}}",
            "source: {containers: {root: a}}",
            "source: {containers: {streams: []}}",
            "source: {containers: {streams: [stdin]}}",
            "source: {containers: {pods: {include: ['']}}}",
            "source: {containers: {pods: {pattern: ''}}}",
            "source: {containers: {owner: {kind: job}}}",
            "source: {containers: {owner: {kind: Job, name: A}}}",
            "source: {containers: {env: {}}}",
            "source: {containers: {env: {include: []}}}",
            "source: {containers: {env: {exclude: [{name: A=B}]}}}",
            "source: {containers: {env: {exclude: [{value: A}]}}}",
            "source: {containers: {podSelector: {matchLabels: {-a: b}}}}",
            "source: {containers: {podSelector: {matchLabels: {a: b-}}}}",
            "source: {containers: {namespaceSelector: {matchLabels: {a/b/c: b}}}}",
            "source: {containers: {podSelector: {matchExpressions: [{key: a, operator: In}]}}}",
            "source: {containers: {podSelector: {matchExpressions: [{key: a, operator: In, values: []}]}}}",
            "source: {containers: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}",
            "source: {containers: {podSelector: {matchExpressions: [{key: a, operator: In, values: [-b]}]}}}",
            "source: {containers: {podSelector: {matchExpressions: [{operator: Exists}]}}}",
            "source: {containers: {files: {include: [/a]}}}, format: cri",
            "source: {containers: {files: {include: [/a]}, streams: [stdout]}}, encoding: utf16le",
            "source: {containers: {}}, encoding: utf16le",
            "source: {files: {include: [/a]}}, encoding: utf16le, format: docker",
            "source: {containers: {}}, tenant: A",
            "source: {containers: {}}, tenant: '..'",
            "source: {containers: {}}, sink: A_b",
            "source: {containers: {}}, line: {maxBytes: 1023B}",
            "source: {containers: {}}, line: {maxBytes: 17MiB}",
            "source: {containers: {}}, line: {maxBytes: 5}",
            "source: {containers: {}}, line: {maxBytes: 1Mi}",
            "source: {containers: {}}, line: {flushTimeout: 9ms}",
            "source: {containers: {}}, line: {flushTimeout: 1d}",
            "source: {containers: {}}, line: {flushTimeout: 9999999999999999999s}",
            "source: {containers: {}}, multiline: {}",
            "source: {containers: {}}, multiline: {begin: a, preset: go}",
            "source: {containers: {}}, multiline: {continue: a, end: b}",
            "source: {containers: {}}, multiline: {begin: ''}",
            "source: {containers: {}}, multiline: {begin: a, maxLines: 1}",
            "source: {containers: {}}, multiline: {begin: a, maxBytes: 512KiB}",
            "source: {containers: {}}, multiline: {begin: a, maxBytes: 8KiB}, line: {maxBytes: 4KiB}",
            "source: {containers: {}}, rotation: {lateWrites: 1d}",
            "source: {containers: {}}, sampling: {}",
            "source: {containers: {}}, sampling: {oneIn: 1}",
            "source: {containers: {}}, limits: {burst: 1s}",
            "source: {containers: {}}, limits: {perContainer: {burst: 1s}}",
            "source: {containers: {}}, limits: {recordsPerSecond: 1, perContainer: {recordsPerSecond: 2}}",
            "source: {containers: {}}, limits: {bytesPerSecond: 1MiB, perContainer: {bytesPerSecond: 1025KiB}}",
            "source: {containers: {}}, limits: {bytesPerSecond: 2TiB}",
        ],
    ),
    (
        "LogTenant",
        &[
            "namespaces: ['']",
            "memory: {reserved: 2MiB, max: 1MiB}",
            "memory: {reserved: 2KiB}",
            "inFlightBytes: 17MiB",
            "inFlightBytes: 2MiB, memory: {max: 1MiB}",
            "weight: 0",
            "sinks: []",
            "limits: {atLimit: sample}",
            "limits: {sampleOneIn: 2}",
            "limits: {atLimit: delay, sampleOneIn: 2}",
            "limits: {burst: 1s}",
            "limits: {maxLag: 31d}",
            "limits: {maxLag: 721h}",
            "openFiles: 1",
        ],
    ),
    (
        "LogSink",
        &[
            "{}",
            "stdout: {}, blackhole: {}",
            "queue: {}",
            "queue: {path: q}",
            "queue: {path: /q, segmentBytes: 8MiB, retention: {bytes: 15MiB}}",
            "queue: {path: /q, retention: {bytes: 100MiB}}",
            "queue: {path: /q, retention: {age: 1s}}",
            "queue: {path: /q, retention: {age: 3651d}}",
            "file: {path: /f}, compression: {codec: zstd}",
            "stdout: {}, compression: {level: 1}",
            "queue: {path: /q}, compression: {codec: gzip}",
            "queue: {path: /q}, compression: {codec: lz4, level: 1}",
            "queue: {path: /q}, compression: {level: 20}",
            "queue: {path: /q}, encoding: json",
            "blackhole: {}, compression: {level: 1}",
            "stdout: {}, retry: {initial: 1s, max: 999ms}",
            "stdout: {}, retry: {max: 99ms}",
            "stdout: {}, batch: {records: 0}",
        ],
    ),
    (
        "kafka",
        &[
            "brokers: []",
            "brokers: [k]",
            "brokers: ['k:x']",
            "topic: ''",
            "topic: a/b",
            "topic: '..'",
            "topic: '${pod}'",
            "topic: '${tenant}${namespace}'",
            "topic: '${namespace}-a-${tenant}'",
            "payloadCompression: {codec: gzip}",
            "payloadCompression: {level: 3}",
            "payloadCompression: {codec: zstd, level: 20}",
            "tls: {caFile: /a, caSecret: {name: k, key: a}}",
            "tls: {certificateFile: /a}",
            "tls: {keySecret: {name: k, key: a}}",
            "tls: {keyPasswordEnv: A}",
            "tls: {caSecret: {name: k}}",
            "tls: {caSecret: {name: ../k, key: a}}",
            "tls: {caSecret: {name: k, key: ../a}}",
            "tls: {caSecret: {name: k, key: ..}}",
            "tls: {caSecret: {namespace: b, name: k, key: a}}",
            "sasl: {}",
            "sasl: {mechanism: PLAIN, username: u}",
            "sasl: {mechanism: PLAIN, passwordFile: /p}",
            "sasl: {mechanism: PLAIN, username: u, usernameFile: /u, passwordFile: /p}",
            "sasl: {mechanism: PLAIN, username: u, passwordFile: /p, passwordEnv: P}",
            "sasl: {mechanism: PLAIN, username: u, passwordEnv: 1P}",
            "sasl: {mechanism: PLAIN, username: u, passwordFile: /p, tokenFile: /t}",
            "sasl: {mechanism: OAUTHBEARER}",
            "sasl: {mechanism: OAUTHBEARER, tokenFile: /t, username: u}",
            "sasl: {mechanism: OAUTHBEARER, tokenFile: /t, tokenSecret: {name: k, key: t}}",
        ],
    ),
];

/// What is at the very edge of what is allowed.
const EDGES: &[(&str, &[&str])] = &[
    (
        "LogConfig",
        &[
            "source: {containers: {logDisk: {}}}",
            "source: {containers: {logDisk: {folders: [/a, /b/..c/.d, /3, /4, /5, /6, /7, /8], size: 1MiB, keep: 0}}}",
            "source: {containers: {logDisk: {size: 1024GiB, keep: 1B, mode: fast, full: drop_oldest, fullTimeout: 0, fsync: ack, \
             fsyncTimeout: 1h}}}",
        ],
    ),
    (
        "ClusterLogConfig",
        &[
            "source: {files: {include: [/a/.b/..c, '/**'], exclude: []}}, encoding: utf16be, format: plain",
            "source: {containers: {root: /a//b/./c/, followLinksInto: []}}, tenant: '...a'",
            "source: {containers: {}}, line: {maxBytes: 1024B, flushTimeout: 300000ms}, rotation: {lateWrites: 0}",
            "source: {containers: {}}, line: {maxBytes: 256KiB}, multiline: {continue: a, maxBytes: 262144B}, rotation: {lateWrites: 0d}",
            "source: {containers: {podSelector: {matchLabels: {a: '', b.c/D_e: F.g}}}}, multiline: {begin: a, maxBytes: 256KiB}",
            "source: {containers: {files: {include: [/a]}}}, encoding: utf16le, limits: {bytesPerSecond: 1MiB, perContainer: {bytesPerSecond: 1024KiB}}",
        ],
    ),
    (
        "LogTenant",
        &[
            "{}",
            "memory: {reserved: 20MiB}, inFlightBytes: 20MiB",
            "inFlightBytes: 16MiB, pinnedBytes: 0, limits: {maxLag: 30d}",
            "limits: {atLimit: sample, sampleOneIn: 2, maxLag: 720h}",
        ],
    ),
    (
        "LogSink",
        &[
            "queue: {path: /q, retention: {age: 0, bytes: 128MiB}, syncInterval: '0'}, compression: {level: 19}",
            "queue: {path: /q, retention: {age: 3650d}}, compression: {codec: lz4}",
            "file: {path: /f}, compression: {codec: none}, retry: {initial: 1m}",
            "stdout: {}, retry: {max: 100ms}",
        ],
    ),
    (
        "kafka",
        &[
            "topic: '${tenant}.${namespace}', brokers: ['[::1]:9092']",
            "topic: '${tenant}-${tenant}_x${namespace}', payloadCompression: {codec: zstd, level: 19}",
            "tls: {}",
            "tls: {caSecret: {name: k.l, key: .a}, certificateFile: /c, keySecret: {name: k, key: ca.crt}, keyPasswordEnv: _P1}",
            "sasl: {mechanism: SCRAM-SHA-256, usernameSecret: {name: k, key: u}, passwordEnv: P}",
            "sasl: {mechanism: OAUTHBEARER, tokenSecret: {name: k, key: t}}",
        ],
    ),
];

/// A resource of a kind, or a LogSink with more than brokers and a topic in its `kafka`.
fn resource(kind: &str, spec: &str) -> String {
    let (kind, spec) = match kind {
        "kafka" => {
            let brokers = if spec.contains("brokers: ") { "" } else { "brokers: ['k:1'], " };
            let topic = if spec.contains("topic: ") { "" } else { "topic: t, " };
            ("LogSink", format!("kafka: {{{brokers}{topic}{spec}}}"))
        }
        kind => (kind, if spec == "{}" { String::new() } else { spec.to_owned() }),
    };
    let namespace = if kind == "LogConfig" { ", namespace: shop" } else { "" };
    format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it{namespace}}}\n\
         spec: {{{spec}}}\n"
    )
}

fn samples_of(table: &[(&str, &[&str])]) -> Vec<Sample> {
    let sink = "---\napiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: default}\n\
                spec: {blackhole: {}}\n";
    let each = table.iter().flat_map(|(kind, specs)| specs.iter().map(move |it| (kind, it)));
    let sample = |(kind, spec): (&&str, &&str)| {
        let text = resource(kind, spec);
        let problems = crate::resolve_text(&format!("{text}{sink}")).err();
        let wrong = problems.iter().flat_map(|it| it.iter()).map(ToString::to_string).collect();
        Sample { origin: format!("{kind}: {spec}"), text, wrong, is_good: problems.is_none() }
    };
    each.map(sample).collect()
}

#[test]
fn each_single_fault_is_refused_by_the_validator_and_by_a_server() {
    let all = samples_of(FAULTS);
    for (sample, errors) in all.iter().zip(judged(&all)) {
        assert!(!sample.is_good, "the validator lets in {}", sample.origin);
        assert_eq!(
            sample.wrong.len(),
            1,
            "more than one fault: {}: {:#?}",
            sample.origin,
            sample.wrong
        );
        assert!(!errors.is_empty(), "the server lets in {}", sample.origin);
    }
}

#[test]
fn what_is_just_allowed_is_let_in_by_the_validator_and_by_a_server() {
    let all = samples_of(EDGES);
    for (sample, errors) in all.iter().zip(judged(&all)) {
        assert!(sample.is_good, "{}: {:#?}", sample.origin, sample.wrong);
        assert!(errors.is_empty(), "{}: {errors:#?}", sample.origin);
    }
}
