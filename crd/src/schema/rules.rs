//! Rules: what must hold between fields of one resource, in CEL, as a kube-apiserver evaluates it.
//!
//! In CEL `continue` is a word of its own: a field of this name is `__continue__`.

use crate::defaults;
use crate::limits::{self, Range};
use crate::spec::Kind;
use crate::units::{ByteSize, Period};

/// The key of a label: a name, perhaps after a DNS name and a slash.
pub(super) const LABEL_KEY: &str =
    "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// The value of a label; it may be empty.
pub(super) const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";

/// What must hold of the field at a path, and what is said if it does not.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) path: &'static str,
    pub(super) holds: String,
    pub(super) message: String,
}

fn rule(path: &'static str, holds: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule { path, holds: holds.into(), message: message.into() }
}

/// The size that the text or number `value` stands for.
fn bytes(value: &str) -> String {
    // Kubernetes' own quantities say Ki and nothing where we say KiB and B.
    format!("quantity(string({value}).replace('iB', 'i').replace('B', ''))")
}

/// A size as CEL writes one.
fn quantity(size: ByteSize) -> String {
    format!("quantity('{}')", size.to_string().replace("iB", "i").replace('B', ""))
}

/// The size that the text or number `value` stands for is within the range.
pub(super) fn is_size_within(value: &str, range: &Range<ByteSize>) -> String {
    let (value, min, max) = (bytes(value), quantity(range.min), quantity(range.max));
    format!("{value}.compareTo({min}) >= 0 && {value}.compareTo({max}) <= 0")
}

/// The time that the text or number `value` stands for is within the range.
pub(super) fn is_time_within(value: &str, range: &Range<Period>) -> String {
    let within = |value: &str, parts: u32| {
        let show = |period: Period| {
            format!("duration('{}us')", period.duration().as_micros() / u128::from(parts))
        };
        format!("{value} >= {} && {value} <= {}", show(range.min), show(range.max))
    };
    // CEL knows no days: they are taken for hours, and compared with a 24th.
    let days = within(&format!("duration(string({value}).replace('d', 'h'))"), 24);
    let others = within(&time(value), 1);
    format!("string({value}).endsWith('d') ? {days} : {others}")
}

/// The time that the text or number `value` stands for, which has no days.
fn time(value: &str) -> String {
    format!("duration(string({value}))")
}

/// The size at `value` is at most `most`, which is CEL's; `or` says where that need not be.
fn at_most(or: &str, value: &str, most: &str) -> String {
    format!("{or} || {}.compareTo({most}) <= 0", bytes(value))
}

/// The size at `value`, or another where `is_written` does not hold.
fn bytes_or(is_written: &str, value: &str, or: &str) -> String {
    format!("({is_written} ? {} : {or})", bytes(value))
}

/// Exactly one of the fields is written.
fn one_of(fields: &[&str]) -> String {
    format!("{} == 1", count(fields))
}

/// At most one of the fields is written.
fn at_most_one_of(fields: &[&str]) -> String {
    format!("{} <= 1", count(fields))
}

fn count(fields: &[&str]) -> String {
    let each: Vec<String> = fields.iter().map(|it| format!("(has(self.{it}) ? 1 : 0)")).collect();
    each.join(" + ")
}

/// The name of a tenant is a directory and a label, so shorter than others may be.
pub(super) fn tenant_name() -> (String, String) {
    let max = limits::TENANT_CHARS_MAX;
    (format!("size(self.metadata.name) <= {max}"), format!("the name has at most {max} characters"))
}

/// The rules of a kind.
pub(super) fn of(kind: Kind) -> Vec<Rule> {
    match kind {
        Kind::Agent => Vec::new(),
        Kind::ClusterLogConfig => {
            let files = one_of(&["containers", "files"]);
            let mut rules = log_config("has(self.source.files) || ");
            rules.push(rule("source", files, "write exactly one of containers and files"));
            rules
        }
        Kind::LogConfig => {
            let mut rules = log_config("");
            rules.push(rule("source", "has(self.containers)", "write containers"));
            rules
        }
        Kind::LogSink => log_sink().into_iter().chain(kafka()).chain(access()).collect(),
        Kind::LogTenant => log_tenant(),
    }
}

/// Rules of both kinds; `or_files` says in CEL, before what `or`s it, that files of the host are collected.
fn log_config(or_files: &str) -> Vec<Rule> {
    let is_plain = "self.format in ['auto', 'plain']";
    let is_inside = "has(self.source.containers) && has(self.source.containers.files)";
    let no_streams = "!has(self.source.containers.streams)";
    let encoding =
        format!("self.encoding == 'utf8' || {is_plain} && ({or_files}{is_inside} && {no_streams})");
    let or = "!has(self.multiline) || !has(self.multiline.maxBytes)";
    let is_written = "has(self.line) && has(self.line.maxBytes)";
    let default = quantity(defaults::LINE_BYTES);
    let most = bytes_or(is_written, "self.line.maxBytes", &default);
    let lines = at_most(or, "self.multiline.maxBytes", &most);
    let one_rule = one_of(&["begin", "__continue__", "end", "preset"]);
    let mut rules = vec![
        rule("", encoding, "only plain files are written in this encoding"),
        rule(
            "",
            format!("!({is_inside}) || {is_plain}"),
            "files inside containers are not written in this format",
        ),
        rule("", lines, "multiline.maxBytes is at most line.maxBytes"),
        rule("multiline", one_rule, "write exactly one of begin, continue, end and preset"),
        rule(
            "source.containers.env",
            "has(self.include) || has(self.exclude)",
            "write one of them",
        ),
        expressions("source.containers.podSelector.matchExpressions[]"),
        expressions("source.containers.namespaceSelector.matchExpressions[]"),
        match_labels("source.containers.podSelector.matchLabels"),
        match_labels("source.containers.namespaceSelector.matchLabels"),
    ];
    rules.extend(["limits", "limits.perContainer"].map(burst));
    let each = "self.perContainer";
    let or = |field: &str| format!("!has(self.{field}) || !has({each}) || !has({each}.{field})");
    let records = "recordsPerSecond";
    let records = format!("{} || {each}.{records} <= self.{records}", or(records));
    rules.push(rule("limits", records, "perContainer is at most that of all together"));
    let field = "bytesPerSecond";
    let all = bytes(&format!("self.{field}"));
    let bytes = at_most(&or(field), &format!("{each}.{field}"), &all);
    rules.push(rule("limits", bytes, "perContainer is at most that of all together"));
    rules
}

/// Values are of operators that have some.
fn expressions(path: &'static str) -> Rule {
    let label = "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)";
    rule(path, label, "values are for In and NotIn, which have some")
}

/// Keys of labels are such.
fn match_labels(path: &'static str) -> Rule {
    let labels = format!("self.all(key, key.matches('{LABEL_KEY}'))");
    rule(path, labels, "not labels: write such as app or app.kubernetes.io/name")
}

/// A burst is of a limit.
fn burst(path: &'static str) -> Rule {
    let holds = "!has(self.burst) || has(self.bytesPerSecond) || has(self.recordsPerSecond)";
    rule(path, holds, "burst is of no limit: write bytesPerSecond or recordsPerSecond beside it")
}

fn log_tenant() -> Vec<Rule> {
    let or = "!has(self.max) || !has(self.reserved)";
    let memory = at_most(or, "self.reserved", &bytes("self.max"));
    // By default the maximum is that of the reserve, if it is larger.
    let (reserved, default) = (bytes("self.memory.reserved"), quantity(defaults::TENANT_MAX));
    let is_larger = format!(
        "has(self.memory) && has(self.memory.reserved) && {reserved}.compareTo({default}) > 0"
    );
    let by_default = bytes_or(&is_larger, "self.memory.reserved", &default);
    let most = bytes_or("has(self.memory) && has(self.memory.max)", "self.memory.max", &by_default);
    let in_flight = at_most("!has(self.inFlightBytes)", "self.inFlightBytes", &most);
    let sample = "(has(self.atLimit) && self.atLimit == 'sample') == has(self.sampleOneIn)";
    vec![
        rule("memory", memory, "max is at least reserved"),
        rule("", in_flight, "inFlightBytes is at most memory.max"),
        rule("limits", sample, "sampleOneIn is for `atLimit: sample`, which has one"),
        expressions("namespaceSelector.matchExpressions[]"),
        match_labels("namespaceSelector.matchLabels"),
        burst("limits"),
    ]
}

fn log_sink() -> Vec<Rule> {
    let targets = one_of(&["queue", "kafka", "file", "stdout", "blackhole"]);
    let has_codec = "has(self.compression) && has(self.compression.codec)";
    let codec = "self.compression.codec";
    let text =
        format!("!(has(self.file) || has(self.stdout)) || !({has_codec}) || {codec} == 'none'");
    let ours = format!("has(self.kafka) || !({has_codec}) || {codec} in ['zstd', 'lz4', 'none']");
    // What is compressed already is not compressed again, if nobody says so.
    let by_default =
        format!("has(self.queue) || has(self.kafka) && !({PAYLOAD}) ? 'zstd' : 'none'");
    let level_max = format!(
        "codec == 'gzip' ? {} : has(self.kafka) && codec in ['zstd', 'lz4'] ? {} : codec == 'zstd' ? {} : 0",
        limits::GZIP_LEVEL.max,
        limits::KAFKA_ZSTD_LEVEL.max,
        limits::ZSTD_LEVEL.max,
    );
    let level = format!(
        "!has(self.compression) || !has(self.compression.level) || \
         [has(self.compression.codec) ? {codec} : ({by_default})].all(codec, \
         self.compression.level >= 1 && self.compression.level <= ({level_max}))"
    );
    let single = "has(self.encoding) && self.encoding in ['json', 'raw']";
    let default = quantity(defaults::QUEUE_SEGMENT_BYTES);
    let segment = bytes_or("has(self.segmentBytes)", "self.segmentBytes", &default);
    let retention = format!(
        "!has(self.retention) || !has(self.retention.bytes) || {}.compareTo({segment}.add({segment})) >= 0",
        bytes("self.retention.bytes"),
    );
    // Days would be out of range.
    let initial = format!(
        "(has(self.initial) ? {} : duration('{}'))",
        time("self.initial"),
        defaults::RETRY_INITIAL
    );
    let retry = format!("!has(self.max) || {} >= {initial}", time("self.max"));
    vec![
        rule("", targets, "write exactly one of queue, kafka, file, stdout and blackhole"),
        rule("", text, "what a file or stdout gets is text: no compression.codec but none"),
        rule("", ours, "of this compression.codec only for kafka: write zstd, lz4 or none"),
        rule("", level, "no compression.level that the codec has"),
        rule(
            "",
            format!("!({single}) || has(self.kafka)"),
            "encodings json and raw are only for kafka",
        ),
        rule(
            "",
            format!("!({single}) || !has(self.kafka) || !({PAYLOAD})"),
            "a message of the encodings json and raw is one record: no kafka.payloadCompression",
        ),
        rule("queue", retention, "retention.bytes is at least two segments"),
        rule("retry", retry, "max is at least initial"),
    ]
}

/// A Kafka sink compresses each message's value, of the spec as a whole.
const PAYLOAD: &str = "has(self.kafka.payloadCompression) && has(self.kafka.payloadCompression.codec) \
                       && self.kafka.payloadCompression.codec != 'none'";

fn kafka() -> Vec<Rule> {
    let meet = |one: &str, other: &str| {
        format!("!self.matches('[$][{{]{one}[}}][-a-zA-Z0-9]*[$][{{]{other}[}}]')")
    };
    let apart = format!("{} && {}", meet("tenant", "namespace"), meet("namespace", "tenant"));
    let fixed = "self.replace('${tenant}', 'x').replace('${namespace}', 'x')";
    let name = format!("size({fixed}) <= 249 && !(self in ['.', '..'])");
    let max = limits::ZSTD_LEVEL.max;
    let level = format!(
        "!has(self.level) || has(self.codec) && self.codec == 'zstd' && self.level >= 1 && self.level <= {max}"
    );
    vec![
        rule(
            "kafka.topic",
            apart,
            "two tenants could meet in one topic: write a . or _ between the parts",
        ),
        rule("kafka.topic", name, "no topic that Kafka takes: at most 249 characters, not . or .."),
        rule(
            "kafka.payloadCompression",
            "!has(self.codec) || self.codec in ['zstd', 'none']",
            "write zstd or none, or let Kafka compress: spec.compression",
        ),
        rule("kafka.payloadCompression", level, format!("a level is of zstd, from 1 to {max}")),
    ]
}

fn access() -> Vec<Rule> {
    let written = |fields: &[&str]| format!("({}) > 0", count(fields));
    let (certificate, key) = (["certificateFile", "certificateSecret"], ["keyFile", "keySecret"]);
    let key_password = ["keyPasswordFile", "keyPasswordEnv", "keyPasswordSecret"];
    let pair = format!("({}) == ({})", written(&certificate), written(&key));
    let password = format!("!({}) || {}", written(&key_password), written(&key));
    let (username, password_of) = (
        ["username", "usernameFile", "usernameEnv", "usernameSecret"],
        ["passwordFile", "passwordEnv", "passwordSecret"],
    );
    let token = ["tokenFile", "tokenSecret"];
    let is_token = "self.mechanism == 'OAUTHBEARER'";
    let by_token = format!(
        "!({is_token}) || ({} && !({}) && !({}))",
        one_of(&token),
        written(&username),
        written(&password_of),
    );
    let by_password = format!(
        "{is_token} || ({} && {} && !({}))",
        one_of(&username),
        one_of(&password_of),
        written(&token),
    );
    let tls = "kafka.tls";
    vec![
        rule(tls, at_most_one_of(&["caFile", "caSecret"]), "write one of caFile and caSecret"),
        rule(tls, at_most_one_of(&certificate), "write one certificate"),
        rule(tls, at_most_one_of(&key), "write one key"),
        rule(tls, at_most_one_of(&key_password), "write one password of the key"),
        rule(tls, pair, "write both a certificate and a key, or neither"),
        rule(tls, password, "a password without a key"),
        rule("kafka.sasl", by_token, "OAUTHBEARER has tokenFile or tokenSecret, and nothing else"),
        rule(
            "kafka.sasl",
            by_password,
            "a mechanism with a password has one username and one password",
        ),
    ]
}
