//! docs/CONFIGURATION.md has each field of each kind, with the default and range that the code has.

use std::collections::{BTreeMap, BTreeSet};

use crd::{Settings, limits};
use serde_json::Value;

/// Per kind and field: default and range, as the tables show them.
type Table = BTreeMap<(String, String), (String, String)>;

/// Fields that have to be written where their parent is.
const REQUIRED: &[&str] = &[
    "queue.path",
    "file.path",
    "source.files.include",
    "kafka.brokers",
    "kafka.topic",
    "kafka.sasl.mechanism",
    "source.containers.owner.kind",
    "source.containers.files.include",
    "sampling.oneIn",
];
/// Fields that are optional and have no default.
const NO_DEFAULT: &[&str] = &[
    "memory",
    "nodeName",
    "clusterName",
    "podLabels",
    "containerRuntime.socket",
    "hostName",
    "tenant",
    "namespaces",
    "namespaceSelector",
    "stdout",
    "blackhole",
    "kafka.tls.caFile",
    "kafka.tls.certificateFile",
    "kafka.tls.keyFile",
    "kafka.tls.keyPasswordFile",
    "kafka.tls.keyPasswordEnv",
    "kafka.sasl.username",
    "kafka.sasl.usernameFile",
    "kafka.sasl.usernameEnv",
    "kafka.sasl.passwordFile",
    "kafka.sasl.passwordEnv",
    "kafka.sasl.tokenFile",
    "multiline.begin",
    "multiline.continue",
    "multiline.end",
    "multiline.preset",
    "source.containers.namespaces.pattern",
    "source.containers.namespaceSelector",
    "source.containers.pods.pattern",
    "source.containers.podSelector",
    "source.containers.owner.name",
    "source.containers.containers.pattern",
    "source.containers.env.include",
    "source.containers.logDisk.folders",
    "source.containers.logDisk.size",
    "source.containers.logDisk.mode",
    "source.containers.logDisk.keep",
    "source.containers.logDisk.full",
    "source.containers.logDisk.fullTimeout",
    "source.containers.logDisk.fsync",
    "source.containers.logDisk.fsyncTimeout",
    "sinks",
    "topic",
    "topics",
    "limits.bytesPerSecond",
    "limits.recordsPerSecond",
    "limits.maxLag",
    "limits.sampleOneIn",
    "limits.perContainer.bytesPerSecond",
    "limits.perContainer.recordsPerSecond",
    "pinnedBytes",
    "spoolBytes",
    "inFlightBytes",
    "openFiles",
];

fn ranges() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("memory", limits::MEMORY.to_string()),
        ("readers", limits::READERS.to_string()),
        ("shippers", limits::SHIPPERS.to_string()),
        ("chunkBytes", limits::CHUNK_BYTES.to_string()),
        ("shutdownGrace", limits::SHUTDOWN_GRACE.to_string()),
        ("checkpointInterval", limits::CHECKPOINT_INTERVAL.to_string()),
        ("scanInterval", limits::SCAN_INTERVAL.to_string()),
        ("openFilesMax", limits::OPEN_FILES_MAX.to_string()),
        ("pinnedBytesMax", limits::PINNED_BYTES_MAX.to_string()),
        ("queue.segmentBytes", limits::QUEUE_SEGMENT_BYTES.to_string()),
        ("queue.retention.bytes", limits::QUEUE_RETENTION_BYTES.to_string()),
        ("queue.retention.age", limits::QUEUE_RETENTION_AGE.to_string()),
        ("queue.syncInterval", limits::QUEUE_SYNC_INTERVAL.to_string()),
        ("kafka.inFlight", limits::KAFKA_IN_FLIGHT.to_string()),
        ("kafka.readBack", limits::KAFKA_READ_BACK.to_string()),
        ("kafka.payloadCompression.level", limits::ZSTD_LEVEL.to_string()),
        ("file.rotateBytes", limits::FILE_ROTATE_BYTES.to_string()),
        ("file.keep", limits::FILE_KEEP.to_string()),
        ("compression.level", limits::ZSTD_LEVEL.to_string()),
        ("batch.bytes", limits::BATCH_BYTES.to_string()),
        ("batch.records", limits::BATCH_RECORDS.to_string()),
        ("batch.linger", limits::BATCH_LINGER.to_string()),
        ("retry.initial", limits::RETRY_INITIAL.to_string()),
        ("retry.max", limits::RETRY_MAX.to_string()),
        ("memory.reserved", limits::TENANT_RESERVED.to_string()),
        ("memory.max", limits::TENANT_MAX.to_string()),
        ("line.maxBytes", limits::LINE_BYTES.to_string()),
        ("line.flushTimeout", limits::LINE_FLUSH_TIMEOUT.to_string()),
        ("multiline.timeout", limits::MULTILINE_TIMEOUT.to_string()),
        ("multiline.maxLines", limits::MULTILINE_LINES.to_string()),
        ("multiline.maxBytes", limits::MULTILINE_BYTES.to_string()),
        ("rotation.lateWrites", limits::LATE_WRITES.to_string()),
        ("spool.bytes", limits::SPOOL_BYTES.to_string()),
        ("spool.bytesPerTenant", limits::SPOOL_BYTES.to_string()),
        ("spool.drainBytesPerSecond", limits::BYTES_PER_SECOND.to_string()),
        ("limits.bytesPerSecond", limits::BYTES_PER_SECOND.to_string()),
        ("limits.recordsPerSecond", limits::RECORDS_PER_SECOND.to_string()),
        ("limits.burst", limits::BURST.to_string()),
        ("limits.perContainer.bytesPerSecond", limits::BYTES_PER_SECOND.to_string()),
        ("limits.perContainer.recordsPerSecond", limits::RECORDS_PER_SECOND.to_string()),
        ("limits.perContainer.burst", limits::BURST.to_string()),
        ("source.containers.logDisk.size", limits::LOG_DISK_SIZE.to_string()),
        ("source.containers.logDisk.keep", limits::LOG_DISK_KEEP.to_string()),
        ("source.containers.logDisk.fullTimeout", limits::LOG_DISK_FULL_TIMEOUT.to_string()),
        ("source.containers.logDisk.fsyncTimeout", limits::LOG_DISK_FSYNC_TIMEOUT.to_string()),
        ("limits.maxLag", limits::MAX_LAG.to_string()),
        ("sampling.oneIn", limits::SAMPLE_ONE_IN.to_string()),
        ("limits.sampleOneIn", limits::SAMPLE_ONE_IN.to_string()),
        ("weight", limits::WEIGHT.to_string()),
        ("priority", limits::PRIORITY.to_string()),
        ("pinnedBytes", limits::PINNED_BYTES_MAX.to_string()),
        ("spoolBytes", limits::TENANT_SPOOL_BYTES.to_string()),
        ("inFlightBytes", limits::TENANT_IN_FLIGHT.to_string()),
        ("openFiles", limits::TENANT_OPEN_FILES.to_string()),
    ])
}

/// full.yaml, which another test proves to hold the defaults, with all that it has in comments.
fn complete() -> Settings {
    let path = crate::top().join("deploy/examples/full.yaml");
    let text = std::fs::read_to_string(path).expect("the full example").replace("\n  # ", "\n  ");
    let text = text.replace("\n    # ", "\n    ");
    let header = "---\napiVersion: logferry.dev/v1alpha1\nkind: LogSink\n";
    let config = "---\napiVersion: logferry.dev/v1alpha1\nkind: LogConfig\n";
    let tenant = "---\napiVersion: logferry.dev/v1alpha1\nkind: LogTenant\n";
    let source = "source: {files: {include: [/srv/";
    let more = format!(
        "{header}metadata: {{name: k}}\nspec: {{kafka: {{brokers: ['k:1'], topic: t, tls: {{caFile: /a, \
         certificateFile: /b, keyFile: /c, keyPasswordFile: /d}}, sasl: {{mechanism: PLAIN, username: u, passwordFile: /p}}}}}}\n\
         {header}metadata: {{name: l}}\nspec: {{kafka: {{brokers: ['k:1'], topic: t, \
         payloadCompression: {{codec: zstd}}, tls: {{certificateFile: /b, keyFile: /c, keyPasswordEnv: D}}, \
         sasl: {{mechanism: PLAIN, usernameEnv: U, passwordEnv: P}}}}}}\n\
         {header}metadata: {{name: m}}\nspec: {{kafka: {{brokers: ['k:1'], topic: t, \
         sasl: {{mechanism: PLAIN, usernameFile: /u, passwordFile: /p}}}}}}\n\
         {header}metadata: {{name: n}}\nspec: {{kafka: {{brokers: ['k:1'], topic: t, \
         sasl: {{mechanism: OAUTHBEARER, tokenFile: /t}}}}}}\n\
         {header}metadata: {{name: o}}\nspec: {{stdout: {{}}}}\n\
         {header}metadata: {{name: b}}\nspec: {{blackhole: {{}}}}\n\
         {tenant}metadata: {{name: z}}\nspec: {{topics: [t], limits: {{atLimit: sample, sampleOneIn: 10}}}}\n\
         {config}metadata: {{name: y}}\nspec: {{{source}y]}}}}, multiline: {{continue: ^b}}}}\n\
         {config}metadata: {{name: z}}\nspec: {{{source}z]}}}}, multiline: {{end: c$}}}}\n\
         {config}metadata: {{name: zz}}\nspec: {{topic: t, sampling: {{oneIn: 2}}, source: {{containers: {{\
         namespaces: {{pattern: a}}, namespaceSelector: {{matchLabels: {{a: b}}}}, pods: {{pattern: a}}, \
         podSelector: {{matchLabels: {{a: b}}}}, owner: {{kind: Job, name: a}}, containers: {{pattern: a}}, \
         env: {{include: [{{name: A}}]}}, files: {{include: [/a]}}}}}}}}\n\
         {config}metadata: {{name: d, namespace: n}}\nspec: {{source: {{containers: {{logDisk: {{folders: [/a], \
         size: 1MiB, mode: strict, keep: 0, full: block, fullTimeout: 1s, fsync: ack, fsyncTimeout: 1s}}}}}}}}\n"
    );
    crate::resolve_text(&(text + &more)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        // A label selector is one field, and documented by Kubernetes.
        Value::Object(fields) if !fields.is_empty() && !path.ends_with("Selector") => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(value, &path, out);
            }
        }
        _ => out.push((path.to_owned(), value.clone())),
    }
}

fn in_code() -> Table {
    let ranges = ranges();
    let mut table = Table::new();
    let resources: Vec<Value> = serde_json::from_str(&complete().describe_json()).expect("JSON");
    for resource in &resources {
        // One table has the fields of both kinds.
        let kind = resource["kind"].as_str().expect("a kind").trim_start_matches("Cluster");
        let mut fields = Vec::new();
        leaves(&resource["spec"], "", &mut fields);
        for (path, value) in fields {
            // Where defaults differ, the table shows that of the resource called `default`, or else
            // that of the first.
            let is_shown = resource["metadata"]["name"] == "default";
            let default = match &value {
                _ if REQUIRED.contains(&path.as_str()) => "required".to_owned(),
                _ if NO_DEFAULT.contains(&path.as_str()) => "none".to_owned(),
                Value::String(text) => format!("`{text}`"),
                other => format!("`{other}`"),
            };
            let range = ranges.get(path.as_str()).cloned().unwrap_or_default();
            let key = (kind.to_owned(), path);
            if is_shown || !table.contains_key(&key) {
                table.insert(key, (default, range));
            }
        }
    }
    table
}

fn docs() -> String {
    let path = crate::top().join("docs/CONFIGURATION.md");
    std::fs::read_to_string(path).expect("the documentation")
}

fn in_docs() -> Table {
    let text = docs();
    let mut table = Table::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", field, _type, default, range, meaning, ""] = cells.as_slice() else { continue };
        let Some(field) = field.strip_prefix('`').and_then(|it| it.strip_suffix('`')) else {
            continue;
        };
        assert!(!meaning.is_empty(), "{kind} {field} has no meaning");
        let earlier = table
            .insert((kind.to_owned(), field.to_owned()), (default.to_owned(), range.to_owned()));
        assert_eq!(earlier, None, "{kind} {field} is documented twice");
    }
    table
}

#[test]
fn the_tables_have_every_field_with_its_default_and_range() {
    let (code, docs) = (in_code(), in_docs());
    for (key, value) in &code {
        assert_eq!(docs.get(key), Some(value), "{key:?} in docs/CONFIGURATION.md");
    }
    // Described settings have a file where a Secret was written.
    let secret = |(kind, field): &(String, String)| {
        let field = field.strip_suffix("File").filter(|_| field.starts_with("kafka."))?;
        Some((kind.clone(), format!("{field}Secret")))
    };
    let secrets: BTreeSet<(String, String)> = code.keys().filter_map(secret).collect();
    assert!(secrets.len() > 5, "{secrets:?}");
    for key in &secrets {
        assert!(docs.contains_key(key), "{key:?} in docs/CONFIGURATION.md");
    }
    for key in docs.keys().filter(|key| !secrets.contains(*key)) {
        assert!(code.contains_key(key), "{key:?} is documented but does not exist");
    }
    for field in ranges().keys() {
        assert!(code.keys().any(|(_, path)| path == field), "{field} has a range but is no field");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let text = docs();
    let line = format!(
        "Limits: {} MiB a file, {} files, {} resources, {} levels, {} globs a list.",
        limits::FILE_BYTES_MAX >> 20,
        limits::FILES_MAX,
        limits::RESOURCES_MAX,
        limits::YAML_DEPTH_MAX,
        limits::GLOBS_MAX
    );
    assert!(text.contains(&line), "{line}");
}
