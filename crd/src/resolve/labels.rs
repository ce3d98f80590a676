//! Label selectors, by the rules that a kube-apiserver has for them.

use crate::document::is_dns_name;
use crate::limits;
use crate::report::Check;
use crate::settings::{LabelRequirement, LabelRule, LabelSelector};
use crate::spec::{LabelExpressionSpec, LabelSelectorSpec};

const KEY_CURE: &str = "write one such as app or app.kubernetes.io/name";
const VALUE_CURE: &str =
    "write at most 63 letters, digits, -, _ and ., a letter or digit first and last";

pub(super) fn resolve(path: &str, spec: LabelSelectorSpec, check: &mut Check<'_>) -> LabelSelector {
    let labels = spec.match_labels.unwrap_or_default();
    let expressions = spec.match_expressions.unwrap_or_default();
    let count = labels.len() + expressions.len();
    if count > limits::LABELS_MAX {
        let cure = format!("write at most {}", limits::LABELS_MAX);
        check.error(path, &format!("{count} labels"), &cure);
        return LabelSelector::default();
    }
    let mut requirements = Vec::with_capacity(count);
    for (key, value) in labels {
        // The key may have dots, so that no path leads to it.
        let labels_path = format!("{path}.matchLabels");
        if !is_key(&key) {
            check.error(&labels_path, &format!("{key:?} is not a label"), KEY_CURE);
        }
        if !is_value(&value) {
            let why = format!("{value:?} is not a label's value");
            check.error(&labels_path, &why, VALUE_CURE);
        }
        requirements.push(LabelRequirement { key, rule: LabelRule::In(vec![value]) });
    }
    for (index, expression) in expressions.into_iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        requirements.extend(requirement(&path, expression, check));
    }
    LabelSelector { requirements }
}

fn requirement(
    path: &str,
    spec: LabelExpressionSpec,
    check: &mut Check<'_>,
) -> Option<LabelRequirement> {
    let (key_path, values_path) = (format!("{path}.key"), format!("{path}.values"));
    if spec.key.is_none() {
        check.missing(&key_path, KEY_CURE);
    }
    if spec.operator.is_none() {
        let cure = "write `In`, `NotIn`, `Exists` or `DoesNotExist`";
        check.missing(&format!("{path}.operator"), cure);
    }
    let (key, operator) = (spec.key?, spec.operator?);
    if !is_key(&key) {
        check.error(&key_path, "not a label", KEY_CURE);
    }
    let mut values = spec.values.unwrap_or_default();
    if values.len() > limits::LABELS_MAX {
        let cure = format!("write at most {}", limits::LABELS_MAX);
        check.error(&values_path, &format!("{} values", values.len()), &cure);
        return None;
    }
    if values.is_empty() == operator.has_values() && !check.document.is_broken(&values_path) {
        let (why, cure) = if values.is_empty() {
            (format!("{} of no values", operator.name()), "write `values` beside it")
        } else {
            (format!("values for {}", operator.name()), "remove `values`, or write `In`")
        };
        check.error(path, &why, cure);
    }
    for (index, value) in values.iter().enumerate() {
        if !is_value(value) {
            check.error(&format!("{values_path}[{index}]"), "not a label's value", VALUE_CURE);
        }
    }
    values.sort();
    values.dedup();
    Some(LabelRequirement { key, rule: LabelRule::of(operator, values) })
}

/// Whether Kubernetes takes `key` for that of a label: a name, perhaps after a DNS name and a slash.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            is_dns_name(prefix, limits::NAME_CHARS_MAX) && !name.is_empty() && is_value(name)
        }
        None => !key.is_empty() && is_value(key),
    }
}

/// Whether Kubernetes takes `value` for that of a label.
fn is_value(value: &str) -> bool {
    let is_inner = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let is_outer = |it: char| it.is_ascii_alphanumeric();
    value.len() <= limits::LABEL_CHARS_MAX
        && value.chars().all(is_inner)
        && (value.is_empty() || value.starts_with(is_outer) && value.ends_with(is_outer))
}
