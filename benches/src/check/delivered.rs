//! Delivered: one record as `logferry tail --output json` prints it, as far as the checker reads it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::truth::StreamTruth;

/// A delivered record. Fields not named here are passed over.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Delivered<'a> {
    /// The message, parts joined.
    #[serde(borrow, default)]
    pub body: Cow<'a, str>,
    /// Cursor of its first byte.
    #[serde(rename = "log.cursor")]
    pub cursor: Option<u64>,
    /// Context id.
    #[serde(borrow, rename = "log.context.id")]
    pub context: Option<Cow<'a, str>>,
    /// Epoch of the context.
    #[serde(rename = "log.epoch")]
    pub epoch: Option<u64>,
    /// `stdout` or `stderr`.
    #[serde(borrow, rename = "log.iostream")]
    pub iostream: Option<Cow<'a, str>>,
    /// Path of the live file.
    #[serde(borrow, rename = "log.file.path")]
    pub path: Option<Cow<'a, str>>,
    /// Namespace of the pod.
    #[serde(borrow, rename = "k8s.namespace.name")]
    pub namespace: Option<Cow<'a, str>>,
    /// Name of the pod.
    #[serde(borrow, rename = "k8s.pod.name")]
    pub pod: Option<Cow<'a, str>>,
    /// UID of the pod.
    #[serde(borrow, rename = "k8s.pod.uid")]
    pub pod_uid: Option<Cow<'a, str>>,
    /// Name of the container.
    #[serde(borrow, rename = "k8s.container.name")]
    pub container: Option<Cow<'a, str>>,
    /// Why bytes are missing; only on gap records.
    #[serde(borrow, rename = "log.gap.reason")]
    pub gap_reason: Option<Cow<'a, str>>,
    /// How many bytes are missing; only on gap records.
    #[serde(rename = "log.gap.bytes")]
    pub gap_bytes: Option<u64>,
}

impl Delivered<'_> {
    /// Whether this record declares missing bytes and carries no message.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.gap_reason.is_some()
    }

    /// Whether what the agent says about the record's origin is true of `truth`.
    ///
    /// For a pod namespace, name and container have to be said; what else is said has to be right.
    /// A path may carry the suffix of a rotated file.
    #[must_use]
    pub fn is_of(&self, truth: &StreamTruth, ignore_path: bool) -> bool {
        let must = |said: &Option<Cow<'_, str>>, is: &Option<String>| match is {
            Some(is) => said.as_deref() == Some(is),
            None => true,
        };
        let may =
            |said: &Option<Cow<'_, str>>, is: &Option<String>| said.is_none() || must(said, is);
        must(&self.namespace, &truth.namespace)
            && must(&self.pod, &truth.pod)
            && must(&self.container, &truth.container)
            && may(&self.pod_uid, &truth.pod_uid)
            && may(&self.iostream, &truth.iostream)
            && (ignore_path || self.path.as_deref().is_none_or(|said| is_path(said, &truth.path)))
    }
}

fn is_path(said: &str, live: &str) -> bool {
    said.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
