//! Fields of Alibaba's objects, and what becomes of each: docs/ALIYUN.md is written from here.

mod aliyun_log_config;
mod pipeline_config;

use std::fmt;

use serde_json::Value;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is done.
    Honoured,
    /// There is nothing to do: it speaks of Alibaba's server or agent, or asks for what is always so.
    NotApplicable,
    /// It is left out until it is built.
    NotYet,
    /// The object is not used because of it: to leave it out would do harm.
    Refused,
    /// It is not known.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Honoured => "honoured",
            Fate::NotApplicable => "not applicable",
            Fate::NotYet => "not yet",
            Fate::Refused => "refused",
            Fate::Unknown => "unknown",
        })
    }
}

/// A field, and what becomes of it and all below it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Where it is, such as `spec.logstores[].name`.
    pub path: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// In words.
    pub says: &'static str,
    /// Values, as texts, of which nothing is to be said: those that ask for nothing.
    pub quiet: &'static [&'static str],
}

/// A kind of objects.
#[derive(Debug, Clone, Copy)]
pub struct AliyunKind {
    /// Its `kind`.
    pub name: &'static str,
    /// Its `apiVersion`.
    pub api_version: &'static str,
    /// Whether it belongs to no namespace.
    pub is_cluster_wide: bool,
    /// Its fields.
    pub fields: &'static [Field],
}

/// The kinds that are understood.
pub const KINDS: [AliyunKind; 2] = [
    AliyunKind {
        name: "AliyunLogConfig",
        api_version: "log.alibabacloud.com/v1alpha1",
        is_cluster_wide: false,
        fields: aliyun_log_config::FIELDS,
    },
    AliyunKind {
        name: "ClusterAliyunPipelineConfig",
        api_version: "telemetry.alibabacloud.com/v1alpha1",
        is_cluster_wide: true,
        fields: pipeline_config::FIELDS,
    },
];

impl Field {
    /// Whether it is the one at `path`.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.path == without_indices(path)
    }

    /// Whether it is below `path`.
    pub(crate) fn is_below(&self, path: &str) -> bool {
        let rest = self.path.strip_prefix(without_indices(path).as_str());
        rest.is_some_and(|it| it.starts_with(['.', '[']))
    }

    /// Whether nothing is to be said of `value`.
    pub(crate) fn is_quiet(&self, value: &Value) -> bool {
        let text = match value {
            Value::Null => return true,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => return true,
            Value::Object(entries) if entries.is_empty() => return true,
            _ => value.to_string(),
        };
        text.is_empty() || self.quiet.contains(&text.as_str())
    }
}

/// `path` with `[]` for each `[3]`.
fn without_indices(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
    }
    out + rest
}

/// Done.
const fn honoured(path: &'static str, says: &'static str) -> Field {
    Field { path, fate: Fate::Honoured, says, quiet: &[] }
}

/// Nothing to do.
const fn not_applicable(path: &'static str, says: &'static str) -> Field {
    Field { path, fate: Fate::NotApplicable, says, quiet: &[] }
}

/// Left out, unless the value is one of `quiet`.
const fn not_yet(path: &'static str, says: &'static str, quiet: &'static [&'static str]) -> Field {
    Field { path, fate: Fate::NotYet, says, quiet }
}

/// Not used because of it, unless the value is one of `quiet`.
const fn refused(path: &'static str, says: &'static str, quiet: &'static [&'static str]) -> Field {
    Field { path, fate: Fate::Refused, says, quiet }
}

const OF_SERVER: &str = "of the log service's server; there is none";
const OF_TOPIC: &str = "`topic`: behind that of the LogSink, after a `_`";
const PARSING: &str = "parsing; the record is the line as it was written";
const EXTRA_TAGS: &str =
    "labels and variables as tags of one LogConfig; the Agent's `podLabels` adds labels to all";
const MASKING: &str = "nothing is masked yet, and what was to be hidden would be seen";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_written_twice_or_below_another() {
        for kind in KINDS {
            for (index, field) in kind.fields.iter().enumerate() {
                assert!(!field.says.is_empty() && !field.says.contains('|'), "{}", field.path);
                for other in &kind.fields[..index] {
                    assert_ne!(field.path, other.path);
                    let is_nested = field.is_below(other.path) || other.is_below(field.path);
                    assert!(!is_nested, "{} and {}", field.path, other.path);
                }
            }
        }
    }
}
