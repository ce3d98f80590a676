//! Pod: whose a volume is, as the kubelet says with the call: nobody else is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attributes::KUBELET_PREFIX;

/// Names of the kubelet's, and of what records bear.
const FACTS: [(&str, &str); 4] = [
    ("pod.namespace", "k8s.namespace.name"),
    ("pod.name", "k8s.pod.name"),
    ("pod.uid", "k8s.pod.uid"),
    ("serviceAccount.name", "k8s.serviceaccount.name"),
];

/// Whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pod {
    /// What all records bear.
    context: BTreeMap<String, String>,
}

impl Pod {
    /// That of a call.
    ///
    /// # Errors
    /// If the kubelet did not say it, or if it is not of a pod alone.
    pub(super) fn parse(said: &BTreeMap<String, String>) -> Result<Pod, String> {
        let fact = |name: &str| {
            let key = format!("{KUBELET_PREFIX}{name}");
            let value = said.get(&key).filter(|it| !it.is_empty());
            value.ok_or_else(|| {
                format!("volume_context has no {key}: the CSIDriver must have podInfoOnMount: true")
            })
        };
        if fact("ephemeral")? != "true" {
            return Err(
                "a log disk lives as long as its pod: it is to be written as volumes[].csi, \
                        and is no claim"
                    .to_owned(),
            );
        }
        let facts = FACTS.iter().map(|(name, key)| Ok(((*key).to_owned(), fact(name)?.clone())));
        Ok(Pod { context: facts.collect::<Result<_, String>>()? })
    }

    /// For `--context`.
    pub(super) fn pairs(&self) -> impl Iterator<Item = String> {
        self.context.iter().map(|(key, value)| format!("{key}={value}"))
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let [namespace, name, _] = self.names();
        format!("{namespace}/{name}")
    }

    /// Its namespace, its name and its uid.
    pub(super) fn names(&self) -> [&str; 3] {
        let fact = |at: usize| self.context.get(FACTS[at].1).map_or("", String::as_str);
        [fact(0), fact(1), fact(2)]
    }
}
