//! crd: the one configuration language of logferry, as YAML documents of Kubernetes' shape.
//!
//! [`load`] reads files, [`resolve`] bytes already in memory; both give the [`Settings`] that run,
//! or every one of the [`Problems`] at once. [`admit`] adds resources that are refused one by one. What was written is in [`spec`], what runs in
//! [`Settings`]; each default is a constant of [`defaults`], each range one of [`limits`].
//! Knows none of logferry's other crates, no clock, no network, and keeps no state: to reload is to
//! load again and to compare.

#![forbid(unsafe_code)]

mod admit;
pub mod defaults;
mod describe;
mod document;
mod globs;
pub mod limits;
mod load;
mod pattern;
mod problem;
mod report;
mod resolve;
mod settings;
pub mod spec;
mod units;
mod yaml;

pub use admit::{Admission, Candidate, Outcome, admit};
pub use globs::Globs;
pub use load::{ConfigFile, load, read};
pub use pattern::Pattern;
pub use problem::{Place, Problem, Problems, Severity};
pub use resolve::resolve;
pub use settings::{
    AgentSettings, AtLimit, BatchSettings, CompressionSettings, ContainersSettings,
    FileSinkSettings, FilesSettings, KafkaSettings, LineSettings, LogConfigLimitsSettings,
    LogConfigSettings, LogSettings, MemorySettings, MultilineRule, MultilineSettings,
    QueueSettings, RateSettings, ResourceName, RetrySettings, SaslSettings, SecretSource, Selector,
    Settings, SinkSettings, SinkTarget, SourceSettings, SpoolSettings, TenantLimitsSettings,
    TenantSettings, TlsIdentity, TlsSettings, UserName,
};
pub use spec::{
    Delivery, Encoding, Format, LogFormat, LogLevel, MultilinePreset, StartAt, StreamName,
    TextEncoding,
};
pub use units::{ByteSize, ParseUnitError, Period};
