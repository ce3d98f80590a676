//! Facts: what is known of pods beside their paths, such as labels: told from outside, late or never.

use std::fmt::Debug;

use flow::Attribute;

use super::PodPath;

/// What somebody else knows of pods, for one LogConfig. By uid: a name may be another pod's tomorrow.
pub trait PodFacts: Debug + Send + Sync {
    /// Another number whenever something more is known, or something else.
    fn version(&self) -> u64;

    /// Whether the pod is selected; `None` as long as nothing is known of it. What waits for facts is read from its
    /// first byte once it is selected.
    fn selects(&self, pod: &PodPath) -> Option<bool>;

    /// What its records say besides. Never a reason to wait: it may be less than it will be later.
    fn attributes(&self, pod: &PodPath) -> Vec<Attribute>;
}
