//! crd: the one configuration language of logferry, as YAML documents of Kubernetes' shape.
//!
//! [`load`] reads files, [`resolve`] bytes already in memory; both give the [`Settings`] that run,
//! or every one of the [`Problems`] at once. [`admit`] adds resources that are refused one by one. In a
//! cluster the same resources are custom ones: [`custom_resource_definitions`] says what a kube-apiserver
//! lets in. What was written is in [`spec`], what runs in
//! [`Settings`]; each default is a constant of [`defaults`], each range one of [`limits`].
//! Knows none of logferry's other crates, no clock, no network, and keeps no state: to reload is to
//! load again and to compare. Who has thousands of resources keeps a [`Memo`], which saves time and changes nothing.

#![forbid(unsafe_code)]

mod admit;
pub mod defaults;
mod describe;
mod document;
mod globs;
pub mod limits;
mod load;
mod memo;
mod pattern;
mod problem;
mod report;
mod resolve;
mod review;
mod schema;
mod settings;
pub mod sidecar;
pub mod spec;
mod units;
mod values;
mod yaml;

pub use admit::{Admission, Candidate, Outcome, admit, admit_with};
pub use globs::Globs;
pub use load::{ConfigFile, load, read};
pub use memo::Memo;
pub use pattern::Pattern;
pub use problem::{Place, Problem, Problems, Severity};
pub use resolve::resolve;
pub use review::review;
pub use schema::custom_resource_definitions;
pub use settings::{
    AgentSettings, AtLimit, BatchSettings, CompressionSettings, ContainerFilesSettings,
    ContainerRuntimeSettings, ContainersSettings, EnvSelector, EnvVariable, FileSinkSettings,
    FilesSettings, KafkaSettings, LabelRequirement, LabelRule, LabelSelector, LineSettings,
    LogConfigLimitsSettings, LogConfigSettings, LogDiskSettings, LogSettings, MemorySettings,
    MultilineRule, MultilineSettings, OwnerSettings, QueueSettings, RateSettings, ResourceName,
    RetrySettings, SaslSettings, SecretSource, Selector, Settings, SinkSettings, SinkTarget,
    SourceSettings, SpoolSettings, TenantLimitsSettings, TenantSettings, TlsIdentity, TlsSettings,
    UserName,
};
pub use spec::{
    Delivery, Encoding, Format, Kind, LabelOperator, LogFormat, LogLevel, MultilinePreset, StartAt,
    StreamName, TextEncoding,
};
pub use units::{ByteSize, ParseUnitError, Period};
pub use values::{read_values, write_value};
