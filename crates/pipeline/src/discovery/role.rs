//! Role: what a directory can be to a walk.

/// What a directory can hold, by its path alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// Directories that can hold files.
    pub(super) is_inner: bool,
    /// Files that are selected.
    pub(super) is_leaf: bool,
}

impl Role {
    pub(super) fn is_some(self) -> bool {
        self.is_inner || self.is_leaf
    }

    pub(super) fn is_none(self) -> bool {
        !self.is_some()
    }

    pub(super) fn or(self, other: Role) -> Role {
        Role { is_inner: self.is_inner || other.is_inner, is_leaf: self.is_leaf || other.is_leaf }
    }
}
