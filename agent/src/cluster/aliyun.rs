//! Aliyun: objects of Alibaba's agent as the LogConfigs that they come to.
//!
//! One object is one candidate, whatever number of LogConfigs it comes to: these count together or not at all. Names
//! that a LogConfig of the cluster has are that one's: LogConfigs come before.

use std::collections::BTreeMap;

use aliyun::{Documents, Note, Reach, documents};
use kube_watch::{Kind, Resource, ResourceKey};

use super::variables;

/// What objects come to.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    /// Those that cannot be converted, and why.
    pub(super) refused: BTreeMap<ResourceKey, String>,
    /// LogConfigs of each of the others.
    pub(super) log_configs: BTreeMap<ResourceKey, Vec<ResourceKey>>,
    /// What of it is not done, and why.
    pub(super) left_out: BTreeMap<ResourceKey, Vec<Note>>,
}

impl Conversions {
    /// Replaces objects by what they come to, and takes out those that come to nothing.
    pub(super) fn convert(&mut self, resources: &mut Vec<Resource>, reach: Option<Reach>) {
        resources.retain_mut(|resource| {
            if !resource.key.kind.is_aliyun() {
                return true;
            }
            let Some(reach) = reach else { return false };
            let documents = match variables::is_one(&resource.key) {
                true => variables::documents(resource),
                false => documents(&resource.text, reach),
            };
            match documents {
                Ok(Documents { text, names, notes }) => {
                    resource.text = text.into();
                    let keys = names.into_iter().map(key).collect();
                    self.log_configs.insert(resource.key.clone(), keys);
                    self.left_out.insert(resource.key.clone(), notes);
                    true
                }
                Err(why) => {
                    self.refused.insert(resource.key.clone(), why);
                    false
                }
            }
        });
    }
}

fn key((namespace, name): (Option<String>, String)) -> ResourceKey {
    let kind = if namespace.is_some() { Kind::LogConfigs } else { Kind::ClusterLogConfigs };
    ResourceKey { kind, namespace, name }
}
