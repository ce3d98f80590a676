//! Awaiting: what an earlier LogConfig may want, once it is known of a pod what is asked for.
//!
//! Where two LogConfigs select a container, the first has it, also if its labels are told later. Until then nobody
//! reads it: whose it is, and where it goes, is not to depend on how quick the API server was.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Asked, Denial, Rule};

/// Directories that are remembered; more are found out anew.
const KNOWN_MAX: usize = 1 << 16;

/// For which LogConfig directories wait.
#[derive(Debug)]
pub(super) struct Awaiting {
    /// Numbers of the rules that ask for more than names.
    asking: Vec<usize>,
    /// Of all that they ask for.
    version: u64,
    /// By directory, the first rule that waits for what is to be told of it.
    first: HashMap<PathBuf, Option<usize>>,
}

impl Awaiting {
    pub(super) fn new(rules: &[Rule]) -> Awaiting {
        let asks = |it: &(usize, &Rule)| it.1.asks_facts();
        let asking = rules.iter().enumerate().filter(asks).map(|(number, _)| number).collect();
        Awaiting { asking, version: 0, first: HashMap::new() }
    }

    /// Takes note of what is known now.
    pub(super) fn renew(&mut self, rules: &[Rule]) {
        let versions = self.asking.iter().map(|number| rules[*number].facts_version());
        let version = versions.fold(0, u64::wrapping_add);
        if std::mem::replace(&mut self.version, version) != version {
            self.first.clear();
        }
    }

    /// Another number whenever something more is known, or something else.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Number of the first rule that may select what is in the directory, and waits to know.
    pub(super) fn first(&mut self, rules: &[Rule], directory: &Path) -> Option<usize> {
        if self.asking.is_empty() {
            return None;
        }
        if let Some(first) = self.first.get(directory) {
            return *first;
        }
        let first = self.asking.iter().copied().find(|number| rules[*number].awaits(directory));
        if self.first.len() >= KNOWN_MAX {
            self.first.clear();
        }
        self.first.insert(directory.to_path_buf(), first);
        first
    }
}

impl Rule {
    /// Whether anything has to be told of pods before it is known which it selects, or whose they are.
    fn asks_facts(&self) -> bool {
        let is_by_labels = self.tenants.fixed.is_none() && self.tenants.by_labels.is_some();
        is_by_labels && self.selection.is_pods() || self.selection.asked() != Asked::Nothing
    }

    /// Whether it may select what is in the directory, and waits to know.
    fn awaits(&self, directory: &Path) -> bool {
        self.selection.role(directory).is_some()
            && match (self.selection.is_selected(directory), self.denial(directory)) {
                (is_selected, None) => is_selected.is_none(),
                (is_selected, Some(Denial::Unknown)) => is_selected != Some(false),
                (_, Some(Denial::Sink(_) | Denial::Name(_) | Denial::Contested(..))) => false,
            }
    }
}
