//! Containers: the environment variables that a pod writes for them.
//!
//! Kept as hashes: whether a variable is there can be asked, and what it says is nobody's business, neither in
//! memory nor on disk.

use flow::checksum;
use serde::{Deserialize, Serialize};

/// What is used of a container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name; no other of the pod has it.
    pub name: String,
    /// Hashes of its variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<Variable>,
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
        let variable = |it: VariableObject| {
            // A value that is not written is empty.
            let value = it.value_from.is_none().then(|| it.value.unwrap_or_default());
            Variable::new(&it.name, value.as_deref())
        };
        let container = |it: ContainerObject| Container {
            name: it.name,
            env: it.env.into_iter().map(variable).collect(),
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
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("off") && !text.contains("PASSWORD"), "{text}");
        assert_eq!(serde_json::from_str::<Vec<Container>>(&text).unwrap(), all);
    }
}
