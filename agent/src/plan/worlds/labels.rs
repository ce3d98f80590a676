//! Labels: what a world's namespaces and pods bear, and what selects by it; judged by other code than the agent's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;

const KEYS: [&str; 2] = ["team", "logferry.dev/tenant"];
/// Some of them are names of tenants.
const VALUES: [&str; 3] = ["shop", "bank", "a"];
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// By key, which value it has, if it is there.
pub(super) type Labels = [Option<usize>; KEYS.len()];

/// What must hold of labels; all of it.
#[derive(Debug, Clone)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Debug, Clone)]
struct Requirement {
    key: usize,
    operator: usize,
    values: BTreeSet<usize>,
    /// As one of `matchLabels`, if that says the same.
    is_short: bool,
}

pub(super) fn labels() -> impl Strategy<Value = Labels> {
    let value = || prop::option::of(0..VALUES.len());
    [value(), value()]
}

pub(super) fn selector() -> impl Strategy<Value = Selector> {
    let values = prop::collection::btree_set(0..VALUES.len(), 1..3);
    let requirement = (0..KEYS.len(), 0..OPERATORS.len(), values, any::<bool>());
    let requirement = requirement.prop_map(|(key, operator, values, is_short)| Requirement {
        key,
        operator,
        values,
        is_short,
    });
    prop::collection::vec(requirement, 0..3).prop_map(Selector)
}

/// As an API server tells them.
pub(super) fn told(labels: &Labels) -> BTreeMap<String, String> {
    let there = KEYS.iter().zip(labels).filter_map(|(key, value)| Some((key, (*value)?)));
    there.map(|(key, value)| ((*key).to_owned(), VALUES[value].to_owned())).collect()
}

impl Selector {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|it| {
            let has_one = labels[it.key].is_some_and(|value| it.values.contains(&value));
            match OPERATORS[it.operator] {
                "In" => has_one,
                "NotIn" => !has_one,
                "Exists" => labels[it.key].is_some(),
                _ => labels[it.key].is_none(),
            }
        })
    }

    /// As YAML on one line.
    pub(super) fn yaml(&self) -> String {
        let mut short = BTreeMap::new();
        let mut long = Vec::new();
        for Requirement { key, operator, values, is_short } in &self.0 {
            let names: Vec<&str> = values.iter().map(|it| VALUES[*it]).collect();
            let (key, operator) = (KEYS[*key], OPERATORS[*operator]);
            let is_short = *is_short && operator == "In" && names.len() == 1;
            if is_short && !short.contains_key(key) {
                short.insert(key, names[0]);
                continue;
            }
            let values = match operator {
                "In" | "NotIn" => format!(", values: [{}]", names.join(", ")),
                _ => String::new(),
            };
            long.push(format!("{{key: {key}, operator: {operator}{values}}}"));
        }
        let short: Vec<String> = short.iter().map(|(key, it)| format!("{key}: {it}")).collect();
        format!(
            "{{matchLabels: {{{}}}, matchExpressions: [{}]}}",
            short.join(", "),
            long.join(", ")
        )
    }
}
