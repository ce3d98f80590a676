//! Way: whether what is in a directory may be read now: selected, by nobody before, by a tenant that may.

use std::path::Path;

use super::walk::Around;
use super::{Denial, Role};

/// Whether what is in a directory may be read.
#[derive(Debug)]
pub(super) enum Way {
    Free,
    /// It is not selected.
    None,
    /// It is selected, and its tenant may not.
    Denied(Denial),
    /// It is not known yet whether it is selected, or whether by an earlier rule.
    Waits {
        /// By this rule.
        is_own: bool,
    },
}

impl Around<'_> {
    /// Whether what is in a directory, which may be selected by names, may be read.
    pub(super) fn way(&mut self, directory: &Path) -> Way {
        let (is_selected, denial) =
            (self.rule.selection.is_selected(directory), self.rule.denial(directory));
        match (is_selected, denial) {
            (Some(false), _) => Way::None,
            (Some(true), Some(denial)) if denial != Denial::Unknown => Way::Denied(denial),
            (None, Some(denial)) if denial != Denial::Unknown => Way::None,
            (_, denial) => match self.outlet.awaiting.first(self.rules, directory) {
                Some(first) if first <= self.number => Way::Waits { is_own: first == self.number },
                _ if is_selected.is_none() || denial.is_some() => Way::Waits { is_own: true },
                _ => Way::Free,
            },
        }
    }

    /// What a directory can hold that is selected and may be read.
    pub(super) fn role(&mut self, directory: &Path) -> Role {
        let role = self.rule.selection.role(directory);
        let is_free = role.is_some() && matches!(self.way(directory), Way::Free);
        if is_free { role } else { Role::default() }
    }
}
