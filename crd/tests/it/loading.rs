//! Files, directories, reloads.

use std::fs;
use std::path::PathBuf;

use crd::{CompressionSettings, Settings, SinkTarget, load};

const SINK: &str = "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: default}\n\
                    spec: {queue: {path: /var/lib/logferry/queue}}\n";
const CONFIG: &str = "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {name: all}\n\
                      spec: {source: {containers: {}}}\n";

#[test]
fn a_directory_is_its_yaml_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("b.yaml"), CONFIG).unwrap();
    fs::write(path.join("a.yml"), SINK).unwrap();
    fs::write(path.join("c.txt"), "not: read").unwrap();
    fs::write(path.join(".hidden.yaml"), "not: read").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    fs::write(path.join("sub/d.yaml"), "not: read").unwrap();
    let settings = load(&[path.to_path_buf(), path.join("b.yaml")]).unwrap();
    assert_eq!(settings.log_configs.len(), 1);
    assert_eq!(settings.sinks.len(), 1);
}

#[test]
fn what_cannot_be_read_is_told_with_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.yaml");
    fs::write(&bad, "kind: Agent\n").unwrap();
    let large = directory.path().join("large.yaml");
    fs::write(&large, "#".repeat(1 << 21)).unwrap();
    fs::create_dir(directory.path().join("x.yaml")).unwrap();
    let none = PathBuf::from("/nonexistent/agent.yaml");
    let problems = load(&[none, directory.path().to_path_buf()]).unwrap_err();
    let text = problems.to_string();
    let told = [
        "/nonexistent/agent.yaml: not readable: No such file or directory",
        "bad.yaml:1:1: apiVersion: missing",
        "large.yaml: larger than 1048576 bytes",
        "x.yaml: not readable: a directory within",
    ];
    for told in told {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn nothing_at_all_is_the_defaults_and_a_warning() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.agent.memory_bytes, None);
    assert_eq!(settings.agent.listen.to_string(), "127.0.0.1:9180");
    assert_eq!(settings.warnings.0.len(), 1);
}

fn settings(text: &str) -> Settings {
    crate::resolve_text(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_same_in_other_words_is_equal() {
    let one = settings(&format!("{SINK}---\n{CONFIG}"));
    let other = settings(&format!("# again\n---\n{CONFIG}---\n{SINK}"));
    assert_eq!(one, other);
    let changed = settings(&format!("{SINK}---\n{}", CONFIG.replace("{}", "{streams: [stdout]}")));
    assert_ne!(one, changed);
    // A warning that moved is no change.
    let agent = "---\napiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\n\
                 spec: {listen: '[::]:1'}\n";
    let before = settings(&format!("{SINK}---\n{CONFIG}{agent}"));
    let after = settings(&format!("{SINK}---\n\n{CONFIG}{agent}"));
    assert_ne!(before.warnings, after.warnings);
    assert_eq!(before, after);
}

#[test]
fn a_resource_is_read_as_a_cluster_gives_it_out() {
    let written = settings(&format!("{SINK}---\n{CONFIG}"));
    let given = CONFIG.replace("{name: all}", "{name: all, uid: a-b, resourceVersion: '12', generation: 3, \
        creationTimestamp: 2026-01-02T03:04:05Z, managedFields: [{manager: kubectl, fieldsV1: {'f:spec': {}}}], \
        finalizers: [a/b], ownerReferences: [{name: x}]}");
    let status =
        "status: {observedGeneration: 3, conditions: [{type: Accepted, status: 'True'}]}\n";
    assert_eq!(settings(&format!("{SINK}---\n{given}{status}")), written);
}

#[test]
fn the_first_by_name_has_a_container_and_a_namespace() {
    let header = "---\napiVersion: logferry.dev/v1alpha1\nkind:";
    let text = format!(
        "{SINK}\
         {header} LogConfig\nmetadata: {{name: b}}\nspec: {{source: {{containers: {{}}}}}}\n\
         {header} LogConfig\nmetadata: {{name: a}}\nspec: {{tenant: t, source: {{containers: \
         {{pods: {{include: [web-*], exclude: [web-0]}}}}}}}}\n\
         {header} LogConfig\nmetadata: {{name: c, namespace: shop}}\nspec: {{source: {{containers: {{}}}}}}\n\
         {header} LogTenant\nmetadata: {{name: y}}\nspec: {{namespaces: [shop, shop-us*]}}\n\
         {header} LogTenant\nmetadata: {{name: x}}\nspec: {{namespaces: [shop-eu], memory: {{max: 4MiB}}}}\n"
    );
    let settings = settings(&text);
    let cases = [
        ("shop", "web-0", "b", "y"),
        ("shop", "web-1", "a", "t"),
        ("shop-eu", "db", "b", "x"),
        ("else", "db", "b", "else"),
    ];
    for (namespace, pod, name, tenant) in cases {
        let config = settings.log_config_of_container(namespace, pod, "app").unwrap();
        assert_eq!(config.name.name, name, "{namespace}/{pod}");
        let owner = settings.tenant_of_container(config, namespace);
        assert_eq!(owner, Some(tenant), "{namespace}/{pod}");
    }
    assert_eq!(settings.memory_of_tenant("x").max_bytes, 4 << 20);
    let shop = &settings.log_configs[2];
    assert_eq!(shop.name.to_string(), "shop/c");
    let crd::SourceSettings::Containers(containers) = &shop.source else { panic!("{shop:?}") };
    assert!(containers.selects("shop", "any", "any") && !containers.selects("shop2", "any", "any"));
}

#[test]
fn defaults_follow_what_they_must_fit() {
    let agent = "---\napiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\n";
    let small = settings(&format!("{SINK}---\n{CONFIG}{agent}spec: {{chunkBytes: 64KiB}}\n"));
    assert_eq!(small.log_configs[0].line.bytes_max, 64 << 10);
    let large = settings(&format!("{SINK}---\n{CONFIG}{agent}spec: {{chunkBytes: 16MiB}}\n"));
    assert_eq!(large.log_configs[0].line.bytes_max, 256 << 10);
    assert_eq!(large.other_tenants_memory.reserved_bytes, 16 << 20);
    assert_eq!(large.other_tenants_memory.max_bytes, 16 << 20);
}

#[test]
fn each_target_has_its_own_defaults() {
    let cases = [
        ("queue: {path: /q}", "OtlpProto", CompressionSettings::Zstd { level: 1 }),
        (
            "kafka: {brokers: ['k:1'], topic: t}",
            "OtlpProto",
            CompressionSettings::Zstd { level: 1 },
        ),
        (
            "kafka: {brokers: ['k:1'], topic: t, payloadCompression: {codec: zstd}}",
            "OtlpProto",
            CompressionSettings::None,
        ),
        ("file: {path: /f}", "JsonLines", CompressionSettings::None),
        ("stdout: {}", "JsonLines", CompressionSettings::None),
        ("blackhole: {}", "OtlpProto", CompressionSettings::None),
    ];
    for (target, encoding, compression) in cases {
        let sink = SINK.replace("queue: {path: /var/lib/logferry/queue}", target);
        let settings = settings(&format!("{sink}---\n{CONFIG}"));
        let sink = &settings.sinks[0];
        assert_eq!(format!("{:?}", sink.encoding), encoding, "{target}");
        assert_eq!(sink.compression, compression, "{target}");
        let is_file = matches!(sink.target, SinkTarget::File(_));
        assert_eq!(is_file, target.starts_with("file"));
    }
}

#[test]
fn what_a_kafka_sink_says_is_described_as_itself() {
    let specs = [
        "kafka: {brokers: ['k:1'], topic: t}, compression: {codec: gzip}",
        "kafka: {brokers: ['k:1'], topic: t}, compression: {codec: lz4, level: 12}",
        "kafka: {brokers: ['k:1'], topic: t}, compression: {codec: snappy}, encoding: json",
        "kafka: {brokers: ['k:1'], topic: t}, compression: {codec: zstd, level: 12}, encoding: raw",
        "kafka: {brokers: ['k:1'], topic: t, delivery: transactional}",
        "kafka: {brokers: ['k:1'], topic: t, payloadCompression: {codec: zstd}}",
        "kafka: {brokers: ['k:1'], topic: t, payloadCompression: {codec: zstd, level: 19}}",
        "kafka: {brokers: ['k:1'], topic: t, tls: {caFile: /a, certificateFile: /b, keyFile: /c, keyPasswordEnv: K}}",
        "kafka: {brokers: ['k:1'], topic: t, sasl: {mechanism: PLAIN, username: u, passwordEnv: P}}",
        "kafka: {brokers: ['k:1'], topic: t, sasl: {mechanism: SCRAM-SHA-256, usernameFile: /u, passwordFile: /p}}",
        "kafka: {brokers: ['k:1'], topic: t, sasl: {mechanism: SCRAM-SHA-512, usernameEnv: U, passwordFile: /p}}",
        "kafka: {brokers: ['k:1'], topic: t, sasl: {mechanism: OAUTHBEARER, tokenFile: /t}}",
    ];
    let mut seen: Vec<Settings> = Vec::new();
    for spec in specs {
        let sink = SINK.replace("queue: {path: /var/lib/logferry/queue}", spec);
        let settings = settings(&format!("{sink}---\n{CONFIG}"));
        let again = crate::resolve_text(&settings.describe());
        assert_eq!(again.expect("it describes itself"), settings, "{spec}");
        assert!(!seen.contains(&settings), "{spec} is as one before");
        seen.push(settings);
    }
}

#[test]
fn two_sinks_of_one_topic_are_warned_of_and_others_are_not() {
    let sink = |name: &str, brokers: &str, topic: &str| {
        format!(
            "---\napiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {{name: {name}}}\n\
             spec: {{kafka: {{brokers: [{brokers}], topic: {topic}}}}}\n\
             ---\napiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {{name: {name}}}\n\
             spec: {{sink: {name}, source: {{files: {{include: [/l/{name}]}}}}}}\n"
        )
    };
    let warnings = |other: &str| {
        let text = format!("{}{other}", sink("a", "'one:9092', 'two:9092'", "logs"));
        settings(&text).warnings.to_string()
    };
    let met = warnings(&sink("b", "'two:9092'", "logs"));
    assert!(met.contains("LogSink b: spec.kafka.topic"), "{met}");
    assert!(met.contains("LogSink a writes there too"), "{met}");
    for (brokers, topic) in [("'two:9092'", "other"), ("'three:9092'", "logs")] {
        assert_eq!(warnings(&sink("b", brokers, topic)), "", "{brokers} {topic}");
    }
}
