//! Containers: which ones the filters of Alibaba's agent select.
//!
//! Entries of one filter are alternatives, and all filters must hold. A filter that cannot be kept is never left out:
//! the object is refused, since it would collect what was not asked for.

use std::collections::BTreeMap;

use crd::LabelOperator;
use crd::spec::{
    ContainersSpec, EnvSelectorSpec, EnvSpec, LabelExpressionSpec, LabelSelectorSpec, SelectorSpec,
};
use regex::Regex;

use crate::Reach;
use crate::object::Object;
use crate::wanted::Wanted;

/// Where the filters are.
#[derive(Debug)]
pub(crate) struct Filters {
    pub(crate) namespaces: String,
    pub(crate) pods: String,
    pub(crate) containers: String,
    pub(crate) include_labels: String,
    pub(crate) exclude_labels: String,
    pub(crate) include_env: String,
    pub(crate) exclude_env: String,
    /// Labels of the container itself, which the runtime gave it.
    pub(crate) include_container_labels: String,
    pub(crate) exclude_container_labels: String,
}

impl Filters {
    /// Filters that all lie below `path`; those by labels of the container itself go by names of their own.
    pub(crate) fn below(path: &str, [include_label, exclude_label]: [&str; 2]) -> Filters {
        let at = |field: &str| format!("{path}.{field}");
        Filters {
            namespaces: at("K8sNamespaceRegex"),
            pods: at("K8sPodRegex"),
            containers: at("K8sContainerRegex"),
            include_labels: at("IncludeK8sLabel"),
            exclude_labels: at("ExcludeK8sLabel"),
            include_env: at("IncludeEnv"),
            exclude_env: at("ExcludeEnv"),
            include_container_labels: at(include_label),
            exclude_container_labels: at(exclude_label),
        }
    }
}

const NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
const POD_LABEL: &str = "io.kubernetes.pod.name";
const CONTAINER_LABEL: &str = "io.kubernetes.container.name";

/// The containers that all of `filters` select: such that no container is in two of these.
pub(crate) fn selected(
    object: &mut Object<'_>,
    filters: &Filters,
    reach: Reach,
) -> Vec<ContainersSpec> {
    let mut names = BTreeMap::from([
        (NAMESPACE_LABEL, named(object, &filters.namespaces)),
        (POD_LABEL, named(object, &filters.pods)),
        (CONTAINER_LABEL, named(object, &filters.containers)),
    ]);
    container_labels(object, filters, &mut names);
    let mut take = |label| names.remove(label).flatten();
    let (namespaces, pods, containers) =
        (take(NAMESPACE_LABEL), take(POD_LABEL), take(CONTAINER_LABEL));
    let namespaces = match reach {
        Reach::Cluster => namespaces,
        Reach::Namespace => {
            check_own_namespace(object, &filters.namespaces, namespaces.as_ref());
            None
        }
    };
    let env = env(object, filters);
    pod_selectors(object, filters)
        .into_iter()
        .map(|pod_selector| ContainersSpec {
            namespaces: namespaces.clone(),
            pods: pods.clone(),
            containers: containers.clone(),
            pod_selector,
            env: env.clone(),
            ..ContainersSpec::default()
        })
        .collect()
}

/// Names that a regular expression at `path` selects.
fn named(object: &mut Object<'_>, path: &str) -> Option<SelectorSpec> {
    let text = object.pattern(path)?;
    Some(match Wanted::pattern(text) {
        Wanted::OneOf(names) => SelectorSpec { include: Some(names), ..SelectorSpec::default() },
        _ => SelectorSpec { pattern: Some(text.to_owned()), ..SelectorSpec::default() },
    })
}

/// Labels by which the kubelet says whose a container is select as names do; others are not known.
fn container_labels(
    object: &mut Object<'_>,
    filters: &Filters,
    names: &mut BTreeMap<&str, Option<SelectorSpec>>,
) {
    let path = &filters.include_container_labels;
    let included = object.pairs(path);
    if included.len() > 1 {
        object.refuse(path, "labels of containers as alternatives; write an object for each");
        return;
    }
    for (label, value) in included {
        match names.get_mut(label) {
            Some(selector @ None) => *selector = value_selector(value),
            Some(Some(_)) => object
                .refuse(path, &format!("{label} beside a regular expression of the same names")),
            None => object.refuse(
                path,
                &format!("{label}: labels of containers are not known; write labels of pods"),
            ),
        }
    }
    let path = &filters.exclude_container_labels;
    for (label, value) in object.pairs(path) {
        let Some(selector) = names.get_mut(label) else {
            object.refuse(
                path,
                &format!("{label}: labels of containers are not known; write labels of pods"),
            );
            continue;
        };
        match Wanted::value(value) {
            Wanted::OneOf(names) => {
                selector.get_or_insert_default().exclude.get_or_insert_default().extend(names);
            }
            _ => object.refuse(path, &format!("{value:?}: a regular expression; write names")),
        }
    }
}

fn value_selector(value: &str) -> Option<SelectorSpec> {
    match Wanted::value(value) {
        Wanted::Any => None,
        Wanted::OneOf(names) => {
            Some(SelectorSpec { include: Some(names), ..SelectorSpec::default() })
        }
        Wanted::Like(pattern) => {
            Some(SelectorSpec { pattern: Some(pattern), ..SelectorSpec::default() })
        }
    }
}

/// A LogConfig sees its own namespace alone: a filter by which it would select no pod of it is not meant so.
fn check_own_namespace(object: &mut Object<'_>, path: &str, namespaces: Option<&SelectorSpec>) {
    let own = object.text("metadata.namespace").unwrap_or("default");
    let Some(wanted) = namespaces else { return };
    let is_included = wanted.include.as_ref().is_none_or(|it| it.iter().any(|it| it == own));
    let is_excluded = wanted.exclude.as_ref().is_some_and(|it| it.iter().any(|it| it == own));
    // One that is not understood was refused.
    let pattern = wanted.pattern.as_deref().and_then(|it| Regex::new(it).ok());
    let is_like = pattern.is_none_or(|it| it.is_match(own));
    if is_excluded || !is_included || !is_like {
        let text = format!(
            "selects no pod of its own namespace {own}, and a LogConfig sees no other; convert it as an administrator, for the whole cluster"
        );
        object.refuse(path, &text);
    }
}

/// Variables that Alibaba's agent reads of the container, and we of its pod.
fn env(object: &mut Object<'_>, filters: &Filters) -> Option<EnvSelectorSpec> {
    let include = variables(object, &filters.include_env);
    let exclude = variables(object, &filters.exclude_env);
    let some = |it: Vec<EnvSpec>| (!it.is_empty()).then_some(it);
    let (include, exclude) = (some(include), some(exclude));
    (include.is_some() || exclude.is_some()).then_some(EnvSelectorSpec { include, exclude })
}

fn variables(object: &mut Object<'_>, path: &str) -> Vec<EnvSpec> {
    let mut variables = Vec::new();
    for (name, value) in object.pairs(path) {
        let variable = |value| EnvSpec { name: Some(name.to_owned()), value };
        match Wanted::value(value) {
            Wanted::Any => variables.push(variable(None)),
            Wanted::OneOf(values) => {
                variables.extend(values.into_iter().map(|it| variable(Some(it))))
            }
            Wanted::Like(_) => object
                .refuse(path, &format!("{name}: a regular expression; write values, as ^(a|b)$")),
        }
    }
    variables
}

/// Alternatives become one selector each, such that none selects what an earlier one does.
fn pod_selectors(object: &mut Object<'_>, filters: &Filters) -> Vec<Option<LabelSelectorSpec>> {
    let include = expressions(object, &filters.include_labels);
    let exclude = expressions(object, &filters.exclude_labels);
    let mut always: Vec<LabelExpressionSpec> = exclude.into_iter().map(opposite).collect();
    if include.is_empty() {
        let selector =
            LabelSelectorSpec { match_expressions: Some(always), ..LabelSelectorSpec::default() };
        return vec![
            selector
                .match_expressions
                .as_ref()
                .is_some_and(|it| !it.is_empty())
                .then_some(selector),
        ];
    }
    let mut selectors = Vec::new();
    for expression in include {
        let all = std::iter::once(expression.clone()).chain(always.iter().cloned());
        let match_expressions = Some(all.collect());
        selectors.push(Some(LabelSelectorSpec { match_labels: None, match_expressions }));
        always.push(opposite(expression));
    }
    selectors
}

fn expressions(object: &mut Object<'_>, path: &str) -> Vec<LabelExpressionSpec> {
    let mut expressions = Vec::new();
    for (key, value) in object.pairs(path) {
        let (operator, values) = match Wanted::value(value) {
            Wanted::Any => (LabelOperator::Exists, None),
            Wanted::OneOf(values) => (LabelOperator::In, Some(values)),
            Wanted::Like(_) => {
                object.refuse(
                    path,
                    &format!("{key}: a regular expression; write values, as ^(a|b)$"),
                );
                continue;
            }
        };
        let key = Some(key.to_owned());
        expressions.push(LabelExpressionSpec { key, operator: Some(operator), values });
    }
    expressions
}

/// What holds of just those pods of which `expression` does not.
fn opposite(expression: LabelExpressionSpec) -> LabelExpressionSpec {
    let operator = expression.operator.map(|it| match it {
        LabelOperator::In => LabelOperator::NotIn,
        LabelOperator::NotIn => LabelOperator::In,
        LabelOperator::Exists => LabelOperator::DoesNotExist,
        LabelOperator::DoesNotExist => LabelOperator::Exists,
    });
    LabelExpressionSpec { operator, ..expression }
}
