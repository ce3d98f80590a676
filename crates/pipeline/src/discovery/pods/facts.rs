//! Facts: what is known of pods beside their paths, such as labels: told from outside, late or never.

use std::fmt::Debug;

use flow::Attribute;

use super::PodPath;

/// What a LogConfig asks for beside names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: every pod is selected at once.
    Nothing,
    /// Of pods.
    OfPods,
    /// Of pods, and of each of their containers.
    OfContainers,
}

/// What somebody else knows of pods, for one LogConfig. By uid: a name may be another pod's tomorrow.
pub trait PodFacts: Debug + Send + Sync {
    /// Another number whenever something more is known, or something else.
    fn version(&self) -> u64;

    /// Whether the pod, or that container of it, is selected; `None` as long as nothing is known of it. What waits
    /// for facts is read from its first byte once it is selected.
    fn selects(&self, pod: &PodPath, container: Option<&str>) -> Option<bool>;

    /// What is asked for; never another answer.
    fn asked(&self) -> Asked;

    /// What its records say besides. Never a reason to wait: it may be less than it will be later.
    fn attributes(&self, pod: &PodPath) -> Vec<Attribute>;
}
