//! Containers: the environment variables that a pod writes for them.
//!
//! Kept as hashes: whether a variable is there can be asked, and what it says is nobody's business, neither in
//! memory nor on disk. But for those that are there to be read by agents of logs, by their names.

use std::collections::BTreeMap;

use flow::checksum;
use serde::{Deserialize, Serialize};

/// What variables begin with that say what to collect, as Alibaba's agent has them.
const READ_PREFIXES: [&str; 2] = ["aliyun_logs_", "loong_logs_"];
/// Most of them that are kept of a container, and longest value, in bytes: whoever writes pods fills no agent.
const READ_MAX: usize = 64;
const READ_BYTES_MAX: usize = 8 << 10;

/// What is used of a container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name; no other of the pod has it.
    pub name: String,
    /// Hashes of its variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<Variable>,
    /// Those that say what to collect, by their names; of a value from elsewhere, or one that is too long, nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub log_variables: BTreeMap<String, Option<String>>,
}

/// Hashes of a variable's name, and of name and value; of a value from elsewhere 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Variable(u64, u64);

impl Variable {
    fn new(name: &str, value: Option<&str>) -> Variable {
        let pair = value.map_or(0, |value| checksum(format!("{name}={value}").as_bytes()).max(1));
        Variable(checksum(name.as_bytes()), pair)
    }
}

impl Container {
    /// Whether the pod writes that variable for it, with that value or, if there is none, with any.
    #[must_use]
    pub fn has_variable(&self, name: &str, value: Option<&str>) -> bool {
        let wanted = Variable::new(name, value);
        self.env.iter().any(|it| it.0 == wanted.0 && (value.is_none() || it.1 == wanted.1))
    }
}

/// The part of a pod's spec that tells of containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerObjects {
    containers: Vec<ContainerObject>,
    init_containers: Vec<ContainerObject>,
    ephemeral_containers: Vec<ContainerObject>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerObject {
    name: String,
    env: Vec<VariableObject>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VariableObject {
    name: String,
    value: Option<String>,
    /// Something, if the value comes from elsewhere.
    value_from: Option<serde::de::IgnoredAny>,
}

impl ContainerObjects {
    pub(crate) fn trimmed(self) -> Vec<Container> {
        let all = [self.containers, self.init_containers, self.ephemeral_containers];
        let container = |it: ContainerObject| {
            let mut container =
                Container { name: it.name, env: Vec::new(), log_variables: BTreeMap::new() };
            for VariableObject { name, value, value_from } in it.env {
                // A value that is not written is empty.
                let value = value_from.is_none().then(|| value.unwrap_or_default());
                container.env.push(Variable::new(&name, value.as_deref()));
                let is_read = READ_PREFIXES.iter().any(|it| name.starts_with(it));
                if is_read && container.log_variables.len() < READ_MAX {
                    let value = value.filter(|it| it.len() <= READ_BYTES_MAX);
                    container.log_variables.insert(name, value);
                }
            }
            container
        };
        all.into_iter().flatten().map(container).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_asked_for_and_not_kept_as_they_are() {
        let spec = serde_json::json!({
            "initContainers": [{"name": "init", "env": [{"name": "LOG", "value": "on"}]}],
            "containers": [{"name": "app", "image": "x", "env": [
                {"name": "LOG", "value": "off"}, {"name": "EMPTY"},
                {"name": "aliyun_logs_a", "value": "stdout"},
                {"name": "aliyun_logs_b", "valueFrom": {"fieldRef": {"fieldPath": "x"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
            ]}],
            "ephemeralContainers": [{"name": "debug"}],
        });
        let objects: ContainerObjects = serde_json::from_value(spec).unwrap();
        let all = objects.trimmed();
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["app", "init", "debug"]);
        let app = &all[0];
        let asked = [
            ("LOG", Some("off"), true),
            ("LOG", Some("on"), false),
            ("LOG", None, true),
            ("LO", None, false),
            ("EMPTY", Some(""), true),
            ("PASSWORD", None, true),
            ("PASSWORD", Some(""), false),
            ("LOG=off", None, false),
        ];
        for (name, value, has) in asked {
            assert_eq!(app.has_variable(name, value), has, "{name} {value:?}");
        }
        assert!(all[1].has_variable("LOG", Some("on")) && !all[2].has_variable("LOG", None));
        let read = [
            ("aliyun_logs_a".to_owned(), Some("stdout".to_owned())),
            ("aliyun_logs_b".to_owned(), None),
        ];
        assert_eq!(app.log_variables, read.into());
        assert!(app.has_variable("aliyun_logs_a", Some("stdout")));
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("off") && !text.contains("PASSWORD"), "{text}");
        assert_eq!(serde_json::from_str::<Vec<Container>>(&text).unwrap(), all);
    }
}
