//! Variables: containers of this node that say by `aliyun_logs_{key}` what to collect of them, as resources.
//!
//! What containers of a namespace say with the same words is one resource, however many there are: whether pods come
//! or go changes nothing as long as one of them is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use aliyun::Documents;
use aliyun::variables::{Variables, by_key, documents_of};
use flow::checksum;
use kube_watch::{Kind, Pod, Resource, ResourceKey};

/// What variables of the pods' containers ask for. Their names are none that an object can have.
pub(super) fn resources<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<Resource> {
    let mut all = BTreeMap::new();
    for pod in pods {
        for container in pod.containers.iter().filter(|it| !it.log_variables.is_empty()) {
            for (key, variables) in by_key(&container.log_variables) {
                let text = serde_json::to_string(&variables).expect("texts are JSON");
                let namespace = Some(pod.namespace.clone());
                let name = format!("variables {key} {:016x}", checksum(text.as_bytes()));
                all.insert(ResourceKey { kind: Kind::AliyunLogConfigs, namespace, name }, text);
            }
        }
    }
    all.into_iter().map(|(key, text)| Resource { key, text: text.into() }).collect()
}

/// Whether a resource is one of those.
pub(super) fn is_one(key: &ResourceKey) -> bool {
    key.kind == Kind::AliyunLogConfigs && key.name.starts_with("variables ")
}

/// What such a resource comes to.
///
/// # Errors
/// Every reason why it is refused.
pub(super) fn documents(resource: &Resource) -> Result<Documents, String> {
    let variables: Variables =
        serde_json::from_str(&resource.text).map_err(|error| error.to_string())?;
    let namespace = resource.key.namespace.as_deref().unwrap_or_default();
    documents_of(namespace, &log_config_name(&resource.key.name), &variables)
}

/// Of `variables KEY HASH` a name that a LogConfig may have: the hash tells apart what letters do not.
fn log_config_name(name: &str) -> String {
    let key = name.split(' ').nth(1).unwrap_or_default();
    let hash = name.rsplit(' ').next().unwrap_or_default();
    let plain = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
    let key: String = key.chars().map(plain).take(63).collect();
    format!("aliyun-logs-{key}-{hash}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A pod of a container with these variables, as the API server's state on disk has it.
    fn pod(namespace: &str, name: &str, variables: &[(&str, &str)]) -> Arc<Pod> {
        let all: BTreeMap<_, _> = variables.iter().copied().collect();
        let text = serde_json::json!({
            "uid": name, "namespace": namespace, "name": name,
            "containers": [{"name": "app", "log_variables": all}],
        });
        Arc::new(serde_json::from_value(text).unwrap())
    }

    #[test]
    fn what_pods_of_a_namespace_say_with_the_same_words_is_one_resource() {
        let stdout = [("aliyun_logs_a", "stdout")];
        let mut pods = vec![pod("shop", "web-0", &stdout)];
        let one = resources(pods.iter());
        pods.push(pod("shop", "web-1", &stdout));
        assert_eq!(resources(pods.iter()), one);
        pods.push(pod("bank", "web-0", &stdout));
        pods.push(pod("shop", "web-2", &[("aliyun_logs_a", "stdout"), ("aliyun_logs_a_ttl", "3")]));
        pods.push(pod("shop", "web-3", &[("aliyun_logs_A", "stdout")]));
        let all = resources(pods.iter());
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|it| is_one(&it.key)));
        // Each has a name of its own, which a LogConfig may have.
        let names: HashSet<String> = all.iter().map(|it| log_config_name(&it.key.name)).collect();
        let is_plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        assert!(names.len() == 3 && names.iter().all(|it| it.chars().all(is_plain)), "{names:?}");
        assert_eq!(documents(&all[0]).unwrap().names[0].0.as_deref(), Some("bank"));
    }
}
