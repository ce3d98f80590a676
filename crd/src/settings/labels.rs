//! Objects of Kubernetes by their labels, ready to run.

use std::collections::BTreeMap;

use crate::spec::LabelOperator;

/// Objects by their labels; by default every object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// All of these must hold.
    pub requirements: Vec<LabelRequirement>,
}

/// What must hold of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// What must hold.
    pub rule: LabelRule,
}

/// What must hold of a label. Values are sorted, each there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// It is there, with one of these values.
    In(Vec<String>),
    /// It is not there, or has none of these values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl LabelRule {
    pub(crate) fn of(operator: LabelOperator, values: Vec<String>) -> LabelRule {
        match operator {
            LabelOperator::In => LabelRule::In(values),
            LabelOperator::NotIn => LabelRule::NotIn(values),
            LabelOperator::Exists => LabelRule::Exists,
            LabelOperator::DoesNotExist => LabelRule::DoesNotExist,
        }
    }

    /// Its operator and values.
    pub(crate) fn parts(&self) -> (LabelOperator, Option<&Vec<String>>) {
        match self {
            LabelRule::In(values) => (LabelOperator::In, Some(values)),
            LabelRule::NotIn(values) => (LabelOperator::NotIn, Some(values)),
            LabelRule::Exists => (LabelOperator::Exists, None),
            LabelRule::DoesNotExist => (LabelOperator::DoesNotExist, None),
        }
    }
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|it| {
            let value = labels.get(&it.key);
            match &it.rule {
                LabelRule::In(values) => value.is_some_and(|it| values.contains(it)),
                LabelRule::NotIn(values) => value.is_none_or(|it| !values.contains(it)),
                LabelRule::Exists => value.is_some(),
                LabelRule::DoesNotExist => value.is_none(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected_as_kubernetes_does() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let one = |value: &str| vec![value.to_owned()];
        let cases = [
            ("app", LabelRule::In(one("web")), true),
            ("app", LabelRule::In(one("db")), false),
            ("tier", LabelRule::In(one("web")), false),
            ("app", LabelRule::NotIn(one("web")), false),
            ("app", LabelRule::NotIn(one("db")), true),
            ("tier", LabelRule::NotIn(one("web")), true),
            ("app", LabelRule::Exists, true),
            ("tier", LabelRule::Exists, false),
            ("app", LabelRule::DoesNotExist, false),
            ("tier", LabelRule::DoesNotExist, true),
        ];
        for (key, rule, is_selected) in cases {
            let requirement = LabelRequirement { key: key.to_owned(), rule };
            let exists = LabelRequirement { key: "app".to_owned(), rule: LabelRule::Exists };
            let selector = LabelSelector { requirements: vec![exists, requirement] };
            assert_eq!(selector.selects(&labels), is_selected, "{selector:?}");
        }
        assert!(LabelSelector::default().selects(&BTreeMap::new()));
    }
}
