//! What to collect, ready to run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RateSettings;
use super::labels::LabelSelector;
use super::log_disk::LogDiskSettings;
use crate::spec::{Format, MultilinePreset, StartAt, TextEncoding};
use crate::{Globs, Pattern, ResourceName};

/// What to collect, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfigSettings {
    /// Its name; unique.
    pub name: ResourceName,
    /// The tenant it names, if any; ask [`crate::Settings::tenant_of_container`] for the real one.
    pub tenant: Option<String>,
    /// Name of a sink of the same settings.
    pub sink: String,
    /// What stands behind the sink's own topic, after a `_`; `None` for the sink's own.
    pub topic: Option<String>,
    /// Where the logs are.
    pub source: SourceSettings,
    /// Where to begin in a file that is new to the agent.
    pub start_at: StartAt,
    /// How lines are written.
    pub format: Format,
    /// How characters are written; other than UTF-8 only in plain files.
    pub encoding: TextEncoding,
    /// Limits of a line.
    pub line: LineSettings,
    /// Which lines become one record, if not each its own.
    pub multiline: Option<MultilineSettings>,
    /// How long a rotated generation is watched for late writes before its descriptor may close.
    pub late_writes: Duration,
    /// One of so many records is delivered, 2 or more; `None` for each.
    pub sampling_one_in: Option<u32>,
    /// How much may be read in a second.
    pub limits: LogConfigLimitsSettings,
}

/// How much may be read in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfigLimitsSettings {
    /// Of all that it collects together.
    pub rate: RateSettings,
    /// Of each container or file by itself.
    pub per_container: RateSettings,
}

/// Limits of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Longest line that is kept whole, in bytes; at most the agent's `chunk_bytes`.
    pub bytes_max: usize,
    /// How long an unfinished line waits for its end.
    pub flush_timeout: Duration,
}

/// Which lines become one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultilineSettings {
    /// What belongs together.
    pub rule: MultilineRule,
    /// How long a record waits for its next line.
    pub timeout: Duration,
    /// Most lines of a record.
    pub lines_max: u32,
    /// Longest record of several lines, in bytes; at most the longest line.
    pub bytes_max: usize,
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultilineRule {
    /// A line that matches begins a record.
    Begin(Pattern),
    /// A line that matches belongs to the line before.
    Continue(Pattern),
    /// A line that matches ends a record.
    End(Pattern),
    /// Stack traces of a language.
    Preset(MultilinePreset),
}

/// Where the logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// Containers' stdout and stderr, or files inside of them.
    Containers(Box<ContainersSettings>),
    /// Files of the host.
    Files(FilesSettings),
}

/// Which containers: those that all of this selects; and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainersSettings {
    /// The kubelet's `podLogsDir`; absolute.
    pub root: PathBuf,
    /// By namespace; of a LogConfig in a namespace just that one.
    pub namespaces: Selector,
    /// By labels of the namespace.
    pub namespace_selector: Option<LabelSelector>,
    /// By pod name.
    pub pods: Selector,
    /// By labels of the pod.
    pub pod_selector: Option<LabelSelector>,
    /// By what made the pod.
    pub owner: Option<OwnerSettings>,
    /// By container name.
    pub containers: Selector,
    /// By environment variables of the container.
    pub env: Option<EnvSelector>,
    /// Whether stdout is collected. One of the two is, or `files`.
    pub stdout: bool,
    /// Whether stderr is collected.
    pub stderr: bool,
    /// Which files inside of the containers are collected.
    pub files: Option<ContainerFilesSettings>,
    /// Which log disks the operator gives to selected pods; nothing to the agent.
    pub log_disk: Option<LogDiskSettings>,
    /// Folders that links below `root` may lead into; absolute.
    pub follow_links_into: Vec<PathBuf>,
}

/// What made a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerSettings {
    /// Its kind.
    pub kind: String,
    /// Its name; `None` for any.
    pub name: Option<String>,
}

/// Containers by environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSelector {
    /// One of these must be there; `None` if none need be.
    pub include: Option<Vec<EnvVariable>>,
    /// None of these may be there.
    pub exclude: Vec<EnvVariable>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVariable {
    /// Its name.
    pub name: String,
    /// Its value; `None` for any.
    pub value: Option<String>,
}

/// Which files inside of containers, by their paths as the container sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFilesSettings {
    /// One of these must match; from the container's root, without `..`.
    pub include: Globs,
    /// None of these may match.
    pub exclude: Globs,
}

impl ContainersSettings {
    /// Whether the container's logs are collected, as far as names say so.
    #[must_use]
    pub fn selects(&self, namespace: &str, pod: &str, container: &str) -> bool {
        self.namespaces.selects(namespace)
            && self.pods.selects(pod)
            && self.containers.selects(container)
    }
}

/// Names by globs, and by a regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// One of these must match.
    pub include: Globs,
    /// None of these may match.
    pub exclude: Globs,
    /// This must match besides, if it is there.
    pub pattern: Option<Pattern>,
}

impl Selector {
    /// Whether `name` is selected.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        let is_like = |it: &Pattern| it.regex().is_match(name.as_bytes());
        self.include.matches(name)
            && !self.exclude.matches(name)
            && self.pattern.as_ref().is_none_or(is_like)
    }
}

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSettings {
    /// One of these must match; absolute.
    pub include: Globs,
    /// None of these may match.
    pub exclude: Globs,
    /// Folders that links may lead into, beside those that `include` begins with; absolute.
    pub follow_links_into: Vec<PathBuf>,
}

impl FilesSettings {
    /// Whether the file at `path` is selected.
    #[must_use]
    pub fn selects(&self, path: &Path) -> bool {
        self.include.matches(path) && !self.exclude.matches(path)
    }
}
