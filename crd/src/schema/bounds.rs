//! Bounds: what one field by itself may hold, by its path, and what it holds if it is not written.
//!
//! Only a default that depends on nothing is one of the schema: a kube-apiserver writes it into the stored resource,
//! where it stays when the agent's own changes. The others are in docs/CONFIGURATION.md.

use serde_json::{Value, json};

use super::{rules, structural};
use crate::defaults;
use crate::limits::{self, Range};
use crate::spec::Kind;
use crate::units::{ByteSize, Period};

/// A bound on one field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// A whole number.
    Number(i64, i64),
    Size(Range<ByteSize>),
    Time(Range<Period>),
    /// A time, or 0 for something else.
    TimeOrZero(Range<Period>),
    /// A text of at most so many characters that matches.
    Text(usize, &'static str),
    /// A text of so many characters.
    Length(usize, usize),
    /// A list, or a mapping.
    Items(usize, usize),
    /// A mapping in which these are written.
    Has(&'static [&'static str]),
    Default(&'static str),
    DefaultNumber(i64),
}

impl Bound {
    const fn count(range: Range<u32>) -> Bound {
        Bound::Number(range.min as i64, range.max as i64)
    }

    /// Adds it to the schema of its field.
    pub(super) fn apply(self, field: &mut Value) {
        match self {
            Bound::Number(min, max) => {
                field["minimum"] = json!(min);
                field["maximum"] = json!(max);
            }
            Bound::Size(range) => {
                let holds = rules::is_size_within("self", &range);
                structural::add_rule(field, &holds, &format!("write {range}"));
            }
            Bound::Time(range) => {
                let holds = rules::is_time_within("self", &range);
                structural::add_rule(field, &holds, &format!("write {range}"));
            }
            Bound::TimeOrZero(range) => {
                let within = rules::is_time_within("self", &range);
                let holds = format!("string(self).matches('^0+[a-z]*$') || ({within})");
                structural::add_rule(field, &holds, &format!("write {range}, or 0"));
            }
            Bound::Text(max, pattern) => {
                field["maxLength"] = json!(max);
                field["pattern"] = json!(pattern);
            }
            Bound::Length(min, max) => {
                if min > 0 {
                    field["minLength"] = json!(min);
                }
                field["maxLength"] = json!(max);
            }
            Bound::Items(min, max) => {
                let is_map = field["type"] == "object";
                let (least, most) = if is_map {
                    ("minProperties", "maxProperties")
                } else {
                    ("minItems", "maxItems")
                };
                if min > 0 {
                    field[least] = json!(min);
                }
                field[most] = json!(max);
            }
            Bound::Has(fields) => field["required"] = json!(fields),
            Bound::Default(word) => field["default"] = json!(word),
            Bound::DefaultNumber(number) => field["default"] = json!(number),
        }
    }
}

const DNS_NAME: Bound = Bound::Text(
    limits::NAME_CHARS_MAX,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
);
/// Absolute, and no part of it is `..`.
const PATH: Bound =
    Bound::Text(limits::GLOB_BYTES_MAX, r"^/(([^/.][^/]*|\.([^/.][^/]*)?|\.\.[^/]+)?(/|$))*$");
/// The same, where no part is empty or `.` either.
const PATH_GLOB: Bound =
    Bound::Text(limits::GLOB_BYTES_MAX, r"^(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))+$");
const NAME_GLOB: Bound = Bound::Length(1, limits::GLOB_BYTES_MAX);
const EXPRESSION: Bound = Bound::Length(1, limits::PATTERN_BYTES_MAX);
const GLOBS: Bound = Bound::Items(1, limits::GLOBS_MAX);
const NO_GLOBS: Bound = Bound::Items(0, limits::GLOBS_MAX);
const LABELS: Bound = Bound::Items(0, limits::LABELS_MAX);
const VARIABLE: Bound = Bound::Text(limits::NAME_CHARS_MAX, "^[A-Za-z_][A-Za-z0-9_]*$");
const SECRET_KEY: Bound =
    Bound::Text(limits::SECRET_KEY_CHARS_MAX, r"^(\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*)$");

/// The bounds of a kind, by the paths of their fields within its spec.
pub(super) fn of(kind: Kind) -> Vec<(&'static str, Bound)> {
    match kind {
        Kind::Agent => Vec::new(),
        Kind::LogConfig | Kind::ClusterLogConfig => {
            [LOG_CONFIG, CONTAINERS, LOG_DISK, LABEL_SELECTORS].concat()
        }
        Kind::LogSink => [LOG_SINK, KAFKA_ACCESS].concat(),
        Kind::LogTenant => LOG_TENANT.to_vec(),
    }
}

const LOG_CONFIG: &[(&str, Bound)] = &[
    ("", Bound::Has(&["source"])),
    ("tenant", Bound::Text(limits::TENANT_CHARS_MAX, r"^\.*[-a-z0-9][-.a-z0-9]*$")),
    ("sink", DNS_NAME),
    ("sink", Bound::Default(defaults::SINK)),
    ("topic", Bound::Text(limits::TOPIC_CHARS_MAX, "^[-._a-zA-Z0-9]+$")),
    ("startAt", Bound::Default("beginning")),
    ("format", Bound::Default("auto")),
    ("encoding", Bound::Default("utf8")),
    ("line.maxBytes", Bound::Size(limits::LINE_BYTES)),
    ("line.flushTimeout", Bound::Time(limits::LINE_FLUSH_TIMEOUT)),
    ("multiline.begin", EXPRESSION),
    ("multiline.continue", EXPRESSION),
    ("multiline.end", EXPRESSION),
    ("multiline.timeout", Bound::Time(limits::MULTILINE_TIMEOUT)),
    ("multiline.maxLines", Bound::count(limits::MULTILINE_LINES)),
    ("multiline.maxBytes", Bound::Size(limits::MULTILINE_BYTES)),
    ("rotation.lateWrites", Bound::Time(limits::LATE_WRITES)),
    ("sampling", Bound::Has(&["oneIn"])),
    ("sampling.oneIn", Bound::count(limits::SAMPLE_ONE_IN)),
    ("limits.bytesPerSecond", Bound::Size(limits::BYTES_PER_SECOND)),
    ("limits.recordsPerSecond", Bound::count(limits::RECORDS_PER_SECOND)),
    ("limits.burst", Bound::Time(limits::BURST)),
    ("limits.perContainer.bytesPerSecond", Bound::Size(limits::BYTES_PER_SECOND)),
    ("limits.perContainer.recordsPerSecond", Bound::count(limits::RECORDS_PER_SECOND)),
    ("limits.perContainer.burst", Bound::Time(limits::BURST)),
    ("source.files", Bound::Has(&["include"])),
    ("source.files.include", GLOBS),
    ("source.files.include[]", PATH_GLOB),
    ("source.files.exclude", NO_GLOBS),
    ("source.files.exclude[]", PATH_GLOB),
    ("source.files.followLinksInto", NO_GLOBS),
    ("source.files.followLinksInto[]", PATH),
];

const CONTAINERS: &[(&str, Bound)] = &[
    ("source.containers.root", PATH),
    ("source.containers.followLinksInto", NO_GLOBS),
    ("source.containers.followLinksInto[]", PATH),
    ("source.containers.namespaces.include", GLOBS),
    ("source.containers.namespaces.include[]", NAME_GLOB),
    ("source.containers.namespaces.exclude", NO_GLOBS),
    ("source.containers.namespaces.exclude[]", NAME_GLOB),
    ("source.containers.namespaces.pattern", EXPRESSION),
    ("source.containers.pods.include", GLOBS),
    ("source.containers.pods.include[]", NAME_GLOB),
    ("source.containers.pods.exclude", NO_GLOBS),
    ("source.containers.pods.exclude[]", NAME_GLOB),
    ("source.containers.pods.pattern", EXPRESSION),
    ("source.containers.containers.include", GLOBS),
    ("source.containers.containers.include[]", NAME_GLOB),
    ("source.containers.containers.exclude", NO_GLOBS),
    ("source.containers.containers.exclude[]", NAME_GLOB),
    ("source.containers.containers.pattern", EXPRESSION),
    ("source.containers.owner", Bound::Has(&["kind"])),
    ("source.containers.owner.kind", Bound::Text(limits::TENANT_CHARS_MAX, "^[A-Z][A-Za-z0-9]*$")),
    ("source.containers.owner.name", DNS_NAME),
    ("source.containers.env.include", GLOBS),
    ("source.containers.env.include[]", Bound::Has(&["name"])),
    ("source.containers.env.include[].name", Bound::Text(limits::NAME_CHARS_MAX, "^[!-<>-~]+$")),
    ("source.containers.env.include[].value", Bound::Length(0, limits::ENV_VALUE_BYTES_MAX)),
    ("source.containers.env.exclude", NO_GLOBS),
    ("source.containers.env.exclude[]", Bound::Has(&["name"])),
    ("source.containers.env.exclude[].name", Bound::Text(limits::NAME_CHARS_MAX, "^[!-<>-~]+$")),
    ("source.containers.env.exclude[].value", Bound::Length(0, limits::ENV_VALUE_BYTES_MAX)),
    ("source.containers.streams", Bound::Items(1, 16)),
    ("source.containers.files", Bound::Has(&["include"])),
    ("source.containers.files.include", GLOBS),
    ("source.containers.files.include[]", PATH_GLOB),
    ("source.containers.files.exclude", NO_GLOBS),
    ("source.containers.files.exclude[]", PATH_GLOB),
];

/// Absolute, of plain names.
const FOLDER: Bound = Bound::Text(
    limits::GLOB_BYTES_MAX,
    r"^(/([^/.*?:\[\]{}\\][^/*?:\[\]{}\\]*|\.[^/.*?:\[\]{}\\][^/*?:\[\]{}\\]*|\.\.[^/*?:\[\]{}\\]+))+$",
);

const LOG_DISK: &[(&str, Bound)] = &[
    ("source.containers.logDisk.folders", Bound::Items(1, limits::LOG_DISK_FOLDERS_MAX)),
    ("source.containers.logDisk.folders[]", FOLDER),
    ("source.containers.logDisk.size", Bound::Size(limits::LOG_DISK_SIZE)),
    ("source.containers.logDisk.keep", Bound::Size(limits::LOG_DISK_KEEP)),
    ("source.containers.logDisk.fullTimeout", Bound::Time(limits::LOG_DISK_FULL_TIMEOUT)),
    ("source.containers.logDisk.fsyncTimeout", Bound::Time(limits::LOG_DISK_FSYNC_TIMEOUT)),
];

const LABEL_SELECTORS: &[(&str, Bound)] = &[
    ("source.containers.podSelector.matchLabels", LABELS),
    ("source.containers.podSelector.matchLabels{}", LABEL_VALUE),
    ("source.containers.podSelector.matchExpressions", LABELS),
    ("source.containers.podSelector.matchExpressions[]", Bound::Has(&["key", "operator"])),
    ("source.containers.podSelector.matchExpressions[].key", LABEL_KEY),
    ("source.containers.podSelector.matchExpressions[].values", LABELS),
    ("source.containers.podSelector.matchExpressions[].values[]", LABEL_VALUE),
    ("source.containers.namespaceSelector.matchLabels", LABELS),
    ("source.containers.namespaceSelector.matchLabels{}", LABEL_VALUE),
    ("source.containers.namespaceSelector.matchExpressions", LABELS),
    ("source.containers.namespaceSelector.matchExpressions[]", Bound::Has(&["key", "operator"])),
    ("source.containers.namespaceSelector.matchExpressions[].key", LABEL_KEY),
    ("source.containers.namespaceSelector.matchExpressions[].values", LABELS),
    ("source.containers.namespaceSelector.matchExpressions[].values[]", LABEL_VALUE),
];
const LABEL_KEY: Bound =
    Bound::Text(limits::NAME_CHARS_MAX + 1 + limits::LABEL_CHARS_MAX, rules::LABEL_KEY);
const LABEL_VALUE: Bound = Bound::Text(limits::LABEL_CHARS_MAX, rules::LABEL_VALUE);

const LOG_TENANT: &[(&str, Bound)] = &[
    ("namespaces", NO_GLOBS),
    ("namespaces[]", NAME_GLOB),
    ("namespaceSelector.matchLabels", LABELS),
    ("namespaceSelector.matchLabels{}", LABEL_VALUE),
    ("namespaceSelector.matchExpressions", LABELS),
    ("namespaceSelector.matchExpressions[]", Bound::Has(&["key", "operator"])),
    ("namespaceSelector.matchExpressions[].key", LABEL_KEY),
    ("namespaceSelector.matchExpressions[].values", LABELS),
    ("namespaceSelector.matchExpressions[].values[]", LABEL_VALUE),
    ("memory.reserved", Bound::Size(limits::TENANT_RESERVED)),
    ("memory.max", Bound::Size(limits::TENANT_MAX)),
    ("weight", Bound::count(limits::WEIGHT)),
    ("weight", Bound::DefaultNumber(defaults::WEIGHT as i64)),
    ("priority", Bound::Number(limits::PRIORITY.min as i64, limits::PRIORITY.max as i64)),
    ("priority", Bound::DefaultNumber(defaults::PRIORITY as i64)),
    ("sinks", Bound::Items(1, limits::GLOBS_MAX)),
    ("sinks[]", DNS_NAME),
    ("topics", NO_GLOBS),
    ("topics[]", NAME_GLOB),
    ("limits.bytesPerSecond", Bound::Size(limits::BYTES_PER_SECOND)),
    ("limits.recordsPerSecond", Bound::count(limits::RECORDS_PER_SECOND)),
    ("limits.burst", Bound::Time(limits::BURST)),
    ("limits.maxLag", Bound::Time(limits::MAX_LAG)),
    ("limits.sampleOneIn", Bound::count(limits::SAMPLE_ONE_IN)),
    ("pinnedBytes", Bound::Size(limits::PINNED_BYTES_MAX)),
    ("spoolBytes", Bound::Size(limits::TENANT_SPOOL_BYTES)),
    ("inFlightBytes", Bound::Size(limits::TENANT_IN_FLIGHT)),
    ("openFiles", Bound::count(limits::TENANT_OPEN_FILES)),
];

const LOG_SINK: &[(&str, Bound)] = &[
    ("queue", Bound::Has(&["path"])),
    ("queue.path", PATH),
    ("queue.segmentBytes", Bound::Size(limits::QUEUE_SEGMENT_BYTES)),
    ("queue.retention.bytes", Bound::Size(limits::QUEUE_RETENTION_BYTES)),
    ("queue.retention.age", Bound::TimeOrZero(limits::QUEUE_RETENTION_AGE)),
    ("queue.syncInterval", Bound::Time(limits::QUEUE_SYNC_INTERVAL)),
    ("file", Bound::Has(&["path"])),
    ("file.path", PATH),
    ("file.rotateBytes", Bound::Size(limits::FILE_ROTATE_BYTES)),
    ("file.keep", Bound::count(limits::FILE_KEEP)),
    ("kafka", Bound::Has(&["brokers", "topic"])),
    ("kafka.brokers", Bound::Items(1, limits::GLOBS_MAX)),
    ("kafka.brokers[]", Bound::Text(limits::GLOB_BYTES_MAX, r"^[^,\s]*:\+?[0-9]+$")),
    (
        "kafka.topic",
        Bound::Text(limits::GLOB_BYTES_MAX, r"^([-._a-zA-Z0-9]|\$\{(tenant|namespace)\})+$"),
    ),
    ("kafka.delivery", Bound::Default("idempotent")),
    ("kafka.inFlight", Bound::Size(limits::KAFKA_IN_FLIGHT)),
    ("kafka.readBack", Bound::Size(limits::KAFKA_READ_BACK)),
    ("batch.bytes", Bound::Size(limits::BATCH_BYTES)),
    ("batch.records", Bound::count(limits::BATCH_RECORDS)),
    ("batch.linger", Bound::Time(limits::BATCH_LINGER)),
    ("retry.initial", Bound::Time(limits::RETRY_INITIAL)),
    ("retry.max", Bound::Time(limits::RETRY_MAX)),
];

const SECRET: Bound = Bound::Has(&["name", "key"]);
const KAFKA_ACCESS: &[(&str, Bound)] = &[
    ("kafka.tls.caFile", PATH),
    ("kafka.tls.caSecret", SECRET),
    ("kafka.tls.caSecret.name", DNS_NAME),
    ("kafka.tls.caSecret.key", SECRET_KEY),
    ("kafka.tls.certificateFile", PATH),
    ("kafka.tls.certificateSecret", SECRET),
    ("kafka.tls.certificateSecret.name", DNS_NAME),
    ("kafka.tls.certificateSecret.key", SECRET_KEY),
    ("kafka.tls.keyFile", PATH),
    ("kafka.tls.keySecret", SECRET),
    ("kafka.tls.keySecret.name", DNS_NAME),
    ("kafka.tls.keySecret.key", SECRET_KEY),
    ("kafka.tls.keyPasswordFile", PATH),
    ("kafka.tls.keyPasswordEnv", VARIABLE),
    ("kafka.tls.keyPasswordSecret", SECRET),
    ("kafka.tls.keyPasswordSecret.name", DNS_NAME),
    ("kafka.tls.keyPasswordSecret.key", SECRET_KEY),
    ("kafka.sasl", Bound::Has(&["mechanism"])),
    ("kafka.sasl.usernameFile", PATH),
    ("kafka.sasl.usernameEnv", VARIABLE),
    ("kafka.sasl.usernameSecret", SECRET),
    ("kafka.sasl.usernameSecret.name", DNS_NAME),
    ("kafka.sasl.usernameSecret.key", SECRET_KEY),
    ("kafka.sasl.passwordFile", PATH),
    ("kafka.sasl.passwordEnv", VARIABLE),
    ("kafka.sasl.passwordSecret", SECRET),
    ("kafka.sasl.passwordSecret.name", DNS_NAME),
    ("kafka.sasl.passwordSecret.key", SECRET_KEY),
    ("kafka.sasl.tokenFile", PATH),
    ("kafka.sasl.tokenSecret", SECRET),
    ("kafka.sasl.tokenSecret.name", DNS_NAME),
    ("kafka.sasl.tokenSecret.key", SECRET_KEY),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::shape;
    use crate::spec::{LogConfigSpec, LogSinkSpec, LogTenantSpec};

    #[test]
    fn every_bound_is_of_a_field_that_there_is() {
        let kinds = [
            (Kind::ClusterLogConfig, shape::<LogConfigSpec>()),
            (Kind::LogSink, shape::<LogSinkSpec>()),
            (Kind::LogTenant, shape::<LogTenantSpec>()),
        ];
        for (kind, mut schema) in kinds {
            for (path, _) in of(kind) {
                assert!(structural::find(&mut schema, path).is_some(), "{kind:?} {path}");
            }
            for rule in rules::of(kind) {
                assert!(
                    structural::find(&mut schema, rule.path).is_some(),
                    "{kind:?} {}",
                    rule.path
                );
            }
        }
    }
}
