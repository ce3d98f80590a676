//! Agenda: what scans have yet to look at, in pieces, tenant by tenant in turn.
//!
//! A scan of very many directories takes long. It is done piece by piece, so that what the watch hears meanwhile is passed
//! on between two of them; and no tenant's directories wait for those of another, whatever they are called.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::walk::Effort;

/// Tenants that are asked for a piece: each may have to wait for an earlier LogConfig.
const TRIES: usize = 8;

/// Why there is no next piece now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// An earlier LogConfig may have yet to look at the directories.
    Earlier,
    /// Readers have not begun with what they were told of, or there is nothing to be looked at.
    Room,
}

/// A piece of a look: one directory, or some of the chains in it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) directory: PathBuf,
    pub(super) effort: Effort,
    pub(super) part: Part,
    /// It is of the first scan.
    pub(super) is_initial: bool,
}

/// Which part of a directory.
#[derive(Debug)]
pub(super) enum Part {
    /// What is in it; the directories in it are pieces of their own.
    Names {
        /// It is new: there may be no memory left for it.
        is_fresh: bool,
    },
    /// The chains whose names come after this one.
    ChainsAfter(Box<OsStr>),
}

impl Piece {
    /// A directory, and what is below it as far as the effort goes.
    pub(super) fn of(directory: PathBuf, effort: Effort, is_initial: bool) -> Piece {
        Piece { directory, effort, part: Part::Names { is_fresh: false }, is_initial }
    }
}

/// What one LogConfig has yet to look at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// The tenant whose turn it is comes first; none is without pieces. The last piece is next.
    tenants: VecDeque<(Arc<str>, Vec<Piece>)>,
}

impl Agenda {
    pub(super) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// The piece is the tenant's next one.
    pub(super) fn put(&mut self, tenant: &Arc<str>, piece: Piece) {
        match self.tenants.iter_mut().find(|it| it.0 == *tenant) {
            Some((_, pieces)) => pieces.push(piece),
            None => self.tenants.push_back((Arc::clone(tenant), vec![piece])),
        }
    }

    /// The next piece of the first tenant that may go on; whoever was asked comes last then.
    ///
    /// `has_room` says of a tenant whether readers may be told of more of its files at a start, `may` of a directory
    /// whether it may be looked at.
    pub(super) fn next(
        &mut self,
        has_room: impl Fn(&str) -> bool,
        may: impl Fn(&Path) -> bool,
    ) -> Result<Piece, Wait> {
        let mut tries = 0;
        for _ in 0..self.tenants.len() {
            let Some((tenant, mut pieces)) = self.tenants.pop_front() else { break };
            let is_held = pieces.last().is_some_and(|it| it.is_initial) && !has_room(&tenant);
            let piece = if is_held { None } else { pieces.pop_if(|it| may(&it.directory)) };
            if !pieces.is_empty() {
                self.tenants.push_back((tenant, pieces));
            }
            if let Some(piece) = piece {
                return Ok(piece);
            }
            tries += usize::from(!is_held);
            if tries == TRIES {
                break;
            }
        }
        Err(if tries > 0 { Wait::Earlier } else { Wait::Room })
    }
}
