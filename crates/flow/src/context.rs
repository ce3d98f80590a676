//! Context: where records come from, and its stable id.
//!
//! Made once per source by the control plane and shared by reference; per batch only the pointer
//! travels. Its id depends on what identifies the source and on nothing that may change later
//! (labels, tenant, node), so it is the same after restarts and upgrades and on every version.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

/// Attribute keys, by OpenTelemetry's semantic conventions where they have one.
pub mod attribute {
    /// Kubernetes namespace of the pod.
    pub const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";
    /// Name of the pod.
    pub const K8S_POD_NAME: &str = "k8s.pod.name";
    /// UID of the pod.
    pub const K8S_POD_UID: &str = "k8s.pod.uid";
    /// Name of the container within the pod.
    pub const K8S_CONTAINER_NAME: &str = "k8s.container.name";
    /// How often the container was restarted before this run; an integer.
    pub const K8S_CONTAINER_RESTART_COUNT: &str = "k8s.container.restart_count";
    /// Name of the node.
    pub const K8S_NODE_NAME: &str = "k8s.node.name";
    /// Name of the cluster.
    pub const K8S_CLUSTER_NAME: &str = "k8s.cluster.name";
    /// Name of the host, for files outside of containers.
    pub const HOST_NAME: &str = "host.name";
    /// Path of the live file; bytes that are not UTF-8 are escaped as `\xNN`.
    pub const LOG_FILE_PATH: &str = "log.file.path";
    /// The topic that the LogConfig names; it stands behind that of the sink.
    pub const LOG_TOPIC: &str = "log.topic";
    /// `stdout` or `stderr`; on a scope, for all its records.
    pub const LOG_IOSTREAM: &str = "log.iostream";
    /// Cursor of the record's first byte; an integer, on each record.
    pub const LOG_CURSOR: &str = "log.cursor";
    /// Flags of an unusual record, comma-separated names; only where one is set.
    pub const LOG_FLAGS: &str = "log.flags";
    /// Reason of a gap; only on gap records.
    pub const LOG_GAP_REASON: &str = "log.gap.reason";
    /// Length of a gap in bytes of the source; only on gap records.
    pub const LOG_GAP_BYTES: &str = "log.gap.bytes";
    /// Context id, 32 hexadecimal digits; on the resource.
    pub const LOG_CONTEXT_ID: &str = "log.context.id";
    /// Epoch of the context; an integer, on the resource.
    pub const LOG_EPOCH: &str = "log.epoch";
}

/// Stable 128 bit id of a context, shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(pub u128);

impl ContextId {
    /// The id of the source that `parts` identify, such as `["pod", cluster, namespace, uid, …]`.
    ///
    /// Each part is length-prefixed before hashing, so that parts cannot run into each other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> ContextId {
        let mut canonical = Vec::with_capacity(128);
        for part in parts {
            canonical.extend_from_slice(&(part.len() as u64).to_le_bytes());
            canonical.extend_from_slice(part);
        }
        ContextId(xxh3_128(&canonical))
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is not 32 hexadecimal digits.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not a context id: want 32 hexadecimal digits, as `logferry audit` prints them")]
pub struct ParseContextIdError(String);

impl FromStr for ContextId {
    type Err = ParseContextIdError;

    fn from_str(text: &str) -> Result<ContextId, ParseContextIdError> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex {
            return Err(ParseContextIdError(text.to_owned()));
        }
        u128::from_str_radix(text, 16)
            .map(ContextId)
            .map_err(|_| ParseContextIdError(text.to_owned()))
    }
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Text(text) => f.write_str(text),
            AttributeValue::Int(number) => write!(f, "{number}"),
        }
    }
}

/// One named fact about a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Name, mostly one of [`attribute`].
    pub key: Cow<'static, str>,
    /// Value.
    pub value: AttributeValue,
}

impl Attribute {
    /// A text attribute.
    pub fn text(key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Attribute {
        Attribute { key: key.into(), value: AttributeValue::Text(value.into()) }
    }

    /// An integer attribute.
    pub fn int(key: impl Into<Cow<'static, str>>, value: i64) -> Attribute {
        Attribute { key: key.into(), value: AttributeValue::Int(value) }
    }
}

/// Where records come from: the same for every record of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Stable id.
    pub id: ContextId,
    /// Who owns the records: budget, retention and lane go by this. Set by an administrator.
    pub tenant: Arc<str>,
    /// Facts for readers, in the order in which they are shown.
    pub attributes: Vec<Attribute>,
}

impl Context {
    /// The value of the attribute called `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|it| it.key == key).map(|it| &it.value)
    }

    /// The text of the attribute called `key`; `None` too if it is a number.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(AttributeValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Context {
    /// `namespace/pod/container/restart` for a container, the path for a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = (
            self.text(attribute::K8S_NAMESPACE_NAME),
            self.text(attribute::K8S_POD_NAME),
            self.text(attribute::K8S_CONTAINER_NAME),
        );
        if let (Some(namespace), Some(pod), Some(container)) = pod {
            write!(f, "{namespace}/{pod}/{container}")?;
            return match self.get(attribute::K8S_CONTAINER_RESTART_COUNT) {
                Some(count) => write!(f, "/{count}"),
                None => Ok(()),
            };
        }
        f.write_str(self.text(attribute::LOG_FILE_PATH).unwrap_or("unnamed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        // Written into queues and checkpoints: a change here breaks every installation.
        let id = ContextId::of(&[b"pod", b"", b"uid", b"web", b"0"]);
        assert_eq!(id.to_string(), "54d3c3565599644455b076d6ad3c59c4");
        assert_eq!(id.to_string().parse::<ContextId>().unwrap(), id);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(ContextId::of(&[b"ab", b"c"]), ContextId::of(&[b"a", b"bc"]));
    }

    #[test]
    fn a_bad_id_says_what_a_good_one_is() {
        let error = "+1".parse::<ContextId>().unwrap_err();
        assert!(error.to_string().contains("32 hexadecimal digits"));
    }
}
