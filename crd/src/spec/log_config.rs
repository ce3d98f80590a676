//! What to collect: containers or files, how to read them, and where to send them.
//!
//! LogConfig and ClusterLogConfig are of one type. [`OF_HOST`] says what only the second may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LabelSelectorSpec, LogDiskSpec, RateSpec};
use crate::units::{ByteSize, Period};

/// What a LogConfig of a namespace may not say, with the reason: it speaks of the host, or of other namespaces.
pub const OF_HOST: [(&str, &str); 6] = [
    ("tenant", "whose tenant is not its own to choose"),
    ("source.files", "and files belong to the host"),
    ("source.containers.root", "and folders belong to the host"),
    ("source.containers.namespaces", "and sees no other"),
    ("source.containers.namespaceSelector", "and sees no other"),
    ("source.containers.followLinksInto", "and folders belong to the host"),
];

/// What a ClusterLogConfig may not say, with the reason: it changes pods, which is for their namespace to choose.
pub const OF_NAMESPACE: [(&str, &str); 1] =
    [("source.containers.logDisk", "log disks are chosen by the namespace of the pods")];

/// What to collect, how to read it, and where to send it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogConfigSpec {
    /// Who owns the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Name of a LogSink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// A topic of its own: that of the LogSink, `_`, and this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Where the logs are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSpec>,
    /// Where to begin in a file that is new to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<StartAt>,
    /// How lines are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How characters are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<TextEncoding>,
    /// Limits of a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineSpec>,
    /// Which lines become one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiline: Option<MultilineSpec>,
    /// How rotated files are treated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,
    /// Which part of the records is delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingSpec>,
    /// How much may be read in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LogConfigLimitsSpec>,
}

/// How much may be read in a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogConfigLimitsSpec {
    /// Most bytes of files a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// Most records a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u32>,
    /// What was not used of so much time may be used at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Period>,
    /// The same of each container or file by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_container: Option<RateSpec>,
}

/// Which part of the records is delivered; the others are declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SamplingSpec {
    /// One of so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_in: Option<u32>,
}

/// Where the logs are: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSpec {
    /// Containers' stdout and stderr, as the kubelet lays them out, and files inside of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainersSpec>,
    /// Files of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesSpec>,
}

/// Which containers: those that all of this selects; and what of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainersSpec {
    /// The kubelet's `podLogsDir`; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// By namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<SelectorSpec>,
    /// By the labels of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelectorSpec>,
    /// By pod name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<SelectorSpec>,
    /// By the labels of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelectorSpec>,
    /// By what made the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerSpec>,
    /// By container name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<SelectorSpec>,
    /// By environment variables of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvSelectorSpec>,
    /// Which streams; none where `files` is written and this is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<StreamName>>,
    /// Which files inside the containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<ContainerFilesSpec>,
    /// Which log disks selected pods get that ask for them; changes nothing of what is collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_disk: Option<LogDiskSpec>,
    /// Absolute folders that links below `root` may lead into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_links_into: Option<Vec<String>>,
}

/// Names by globs, and by a regular expression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorSpec {
    /// One of these must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// None of these may match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// A regular expression that must match besides, somewhere in the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// What made a pod. A Deployment counts as the maker of its ReplicaSets' pods, a CronJob of its Jobs'.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerSpec {
    /// Its kind, such as Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Containers by the environment variables that their pod writes for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvSelectorSpec {
    /// One of these must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<EnvSpec>>,
    /// None of these may be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<EnvSpec>>,
}

/// An environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvSpec {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its value; any, if it is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Which files inside of containers, by their paths as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerFilesSpec {
    /// Globs from the container's root, one of which must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Globs from the container's root, none of which may match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
}

/// Which files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesSpec {
    /// Absolute globs, one of which must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// Absolute globs, none of which may match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Absolute folders that links may lead into, beside those that `include` begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_links_into: Option<Vec<String>>,
}

/// Limits of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineSpec {
    /// Longest line that is kept whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// How long an unfinished line waits for its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_timeout: Option<Period>,
}

/// Which lines become one record: exactly one of the first four, and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MultilineSpec {
    /// A line that matches begins a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin: Option<String>,
    /// A line that matches belongs to the line before.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// A line that matches ends a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Stack traces of a language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<MultilinePreset>,
    /// How long a record waits for its next line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Period>,
    /// Most lines of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lines: Option<u32>,
    /// Longest record of several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
}

/// How rotated files are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotationSpec {
    /// How long a rotated generation is watched before its descriptor may close.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_writes: Option<Period>,
}

/// A stream of a container.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A language whose stack traces become one record each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MultilinePreset {
    /// Java, and what else runs on its machine.
    Java,
    /// Python.
    Python,
    /// Go.
    Go,
}

/// Where to begin in a file that is new to the agent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At its first byte.
    Beginning,
    /// At its end, with whatever is written from now on.
    End,
}

/// How lines are written in a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As the file looks.
    Auto,
    /// One record a line.
    Plain,
    /// Time, stream, tag and text, as containerd and CRI-O write.
    Cri,
    /// Docker's `json-file`.
    Docker,
}

/// How characters are written in a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// As bytes that are delivered as they are, UTF-8 or not.
    Utf8,
    /// As UTF-16, the lower byte first.
    Utf16le,
    /// As UTF-16, the upper byte first.
    Utf16be,
}
