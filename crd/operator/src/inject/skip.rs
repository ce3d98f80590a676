//! Skip: why a pod gets no sidecar, or no log disk. It starts all the same, as it was written.

use super::log_disk::{self, FOLDERS};

/// Why a pod gets no sidecar, or no log disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Skip {
    /// Nobody asked for one.
    #[error("neither the pod nor its namespace asks for one")]
    NotAsked,
    /// Somebody said no.
    #[error("{0} says that there is to be none")]
    Disabled(&'static str),
    /// A value that means nothing is not guessed at.
    #[error("{key} = {value:?} of the {whose}: {why}")]
    Invalid { whose: &'static str, key: String, value: String, why: String },
    /// Label and annotation of one object say different things.
    #[error(
        "the label {key} of the {whose} says {label}, and the annotation says {annotation}; write one of them"
    )]
    Conflict { whose: &'static str, key: &'static str, label: bool, annotation: bool },
    #[error(
        "there is nothing to collect: write globs of files into the annotation {FILES}, or a LogConfig with \
         source.containers.files that selects the pod",
        FILES = super::FILES
    )]
    NoFiles,
    #[error("what there is to collect is on log disks, which the agent of the node collects")]
    OnLogDisk,
    #[error("LogConfigs select {0} globs of files for the pod; {1} are the most")]
    TooManyFiles(usize, usize),
    #[error("a mirror pod is never changed: its kubelet has it from a file")]
    MirrorPod,
    #[error("the pod is on the network of its host, where the ports of sidecars would meet")]
    HostNetwork,
    #[error("the pod is one of Windows")]
    Windows,
    #[error(
        "this version of Kubernetes has no native sidecars, and with a plain one the pod would never end"
    )]
    WouldNeverEnd,
    #[error("{0} has a container or volume of a name of the sidecar's; rename it")]
    NameTaken(String),
    #[error("the annotation {CONFIG} is the operator's to write; remove it", CONFIG = super::CONFIG)]
    ConfigWritten,
    #[error("{0}")]
    Folder(String),
    #[error("no container of the pod is called {0:?}; write the names of containers that it has")]
    NoSuchContainer(String),
    #[error(
        "there are no folders: write them into the annotation {FOLDERS}, or a LogConfig with \
         source.containers.logDisk.folders that selects the pod"
    )]
    NoFolders,
    #[error(
        "the nodes have no driver {DRIVER}; the chart's logDisk.enabled installs it",
        DRIVER = log_disk::DRIVER
    )]
    NoDriver,
    #[error(
        "container {container} has volume {volume} at {at}, and {folder} cannot be on a log disk beside it; take one of \
         them away"
    )]
    FolderTaken { folder: String, container: String, volume: String, at: String },
    #[error("namespace {0} is of no LogTenant, or of more than one")]
    NoTenant(String),
    #[error("LogTenant {tenant} may not use LogSink {sink}")]
    SinkBarred { tenant: String, sink: String },
    #[error("there is no LogSink {sink:?} for sidecars; there are: {known}")]
    NoSink { sink: String, known: String },
    #[error("the sidecar would refuse its configuration: {0}")]
    Refused(String),
    #[error("the operator's configuration of sidecars cannot be used: {0}")]
    OperatorConfig(String),
}

impl Skip {
    /// In one word, as the label of a metric and the reason of an event.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Skip::NotAsked => "NotAsked",
            Skip::Disabled(_) => "Disabled",
            Skip::Invalid { .. } => "InvalidValue",
            Skip::Conflict { .. } => "ConflictingValues",
            Skip::NoFiles => "NoFiles",
            Skip::OnLogDisk => "OnLogDisk",
            Skip::TooManyFiles(..) => "TooManyFiles",
            Skip::MirrorPod => "MirrorPod",
            Skip::HostNetwork => "HostNetwork",
            Skip::Windows => "Windows",
            Skip::WouldNeverEnd => "WouldNeverEnd",
            Skip::NameTaken(_) => "NameTaken",
            Skip::ConfigWritten => "ConfigWritten",
            Skip::Folder(_) => "FolderUnusable",
            Skip::NoSuchContainer(_) => "NoSuchContainer",
            Skip::NoFolders => "NoFolders",
            Skip::NoDriver => "NoDriver",
            Skip::FolderTaken { .. } => "FolderTaken",
            Skip::NoTenant(_) => "NoTenant",
            Skip::SinkBarred { .. } => "SinkBarred",
            Skip::NoSink { .. } => "NoSink",
            Skip::Refused(_) => "ConfigRefused",
            Skip::OperatorConfig(_) => "OperatorConfig",
        }
    }

    /// Whether somebody wants to know: one was asked for, and there is none.
    pub(crate) fn is_notable(&self) -> bool {
        !matches!(self, Skip::NotAsked | Skip::Disabled(_) | Skip::MirrorPod | Skip::OnLogDisk)
    }
}
