//! What to collect, ready to run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RateSettings;
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
    /// Containers' stdout and stderr.
    Containers(Box<ContainersSettings>),
    /// Files of the host.
    Files(FilesSettings),
}

/// Which containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainersSettings {
    /// The kubelet's `podLogsDir`; absolute.
    pub root: PathBuf,
    /// By namespace; of a LogConfig in a namespace just that one.
    pub namespaces: Selector,
    /// By pod name.
    pub pods: Selector,
    /// By container name.
    pub containers: Selector,
    /// Whether stdout is collected. One of the two is.
    pub stdout: bool,
    /// Whether stderr is collected.
    pub stderr: bool,
    /// Folders that links below `root` may lead into; absolute.
    pub follow_links_into: Vec<PathBuf>,
}

impl ContainersSettings {
    /// Whether the container's logs are collected.
    #[must_use]
    pub fn selects(&self, namespace: &str, pod: &str, container: &str) -> bool {
        self.namespaces.selects(namespace)
            && self.pods.selects(pod)
            && self.containers.selects(container)
    }
}

/// Names by globs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// One of these must match.
    pub include: Globs,
    /// None of these may match.
    pub exclude: Globs,
}

impl Selector {
    /// Whether `name` is selected.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        self.include.matches(name) && !self.exclude.matches(name)
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
