//! Command: what discovery tells a reader, and what it is asked for by [`super::DiscoveryDoor`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::Sender;
use flow::ContextId;

use super::{Initial, Opened};
use crate::source::{Resting, SeenFile, SourceReport, SourceSpec};

/// What discovery tells a reader.
#[derive(Debug)]
pub enum Command {
    /// The files of a chain, oldest first, the live one last; none if the chain is gone.
    Look {
        /// The chain.
        spec: SourceSpec,
        /// Its files.
        files: Vec<SeenFile>,
        /// Monotonic time from before they were looked at.
        seen_ns: u64,
        /// Those that are new, open already: a moment later they may be gone.
        opened: Opened,
        /// Seen in the first scan after the start, if it was.
        initial: Option<Initial>,
    },
    /// Something was written to the chain.
    Poke {
        /// The chain.
        context: ContextId,
        /// Which file of it.
        path: PathBuf,
    },
    /// A generation of the chain came and went that no look ever showed.
    Missed(ContextId),
    /// Where do the sources stand?
    Report(Sender<ReaderReport>),
}

/// Where a reader's sources stand.
#[derive(Debug, Default)]
pub struct ReaderReport {
    /// Those that are awake.
    pub awake: Vec<SourceReport>,
    /// Those that rest: of their files, only discovery knows.
    pub resting: Vec<(ContextId, Resting)>,
}

/// What discovery is asked for.
#[derive(Debug)]
pub enum Ask {
    /// A look at the chain that this file is of, although nothing may have changed since the last: its
    /// source rests, and was written to.
    Look(PathBuf),
    /// Some chains, and their files now.
    Chains(Box<ChainsAsked>),
    /// Directories with files for which there is no memory.
    Short(Sender<Vec<ShortFolder>>),
}

/// Which chains are asked for: as many at a time as the asker has memory for.
#[derive(Debug)]
pub struct ChainsAsked {
    /// Those of these contexts, in order.
    pub contexts: Arc<[ContextId]>,
    /// Those behind this one; from the first on by default.
    pub after: Option<ChainPlace>,
    /// Most that are shown.
    pub max: usize,
    /// Takes the answer.
    pub answer: Sender<Shown>,
}

impl ChainsAsked {
    /// Whether the context's chain is asked for.
    pub(crate) fn has(&self, context: ContextId) -> bool {
        self.contexts.binary_search(&context).is_ok()
    }
}

/// Some of the chains that were asked for.
#[derive(Debug, Default)]
pub struct Shown {
    /// These.
    pub chains: Vec<ChainFiles>,
    /// Behind which the others are, if there may be others.
    pub next: Option<ChainPlace>,
    /// Chains that were gone over for it.
    pub passed: usize,
    /// One was not there any more.
    pub(crate) is_changed: bool,
}

/// A chain's place in an order that stays as it is while chains come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlace {
    /// Number of its LogConfig.
    pub(crate) rule: usize,
    /// Its directory, of those of the LogConfig.
    pub(crate) folder: u64,
    /// The live file's name.
    pub(crate) base: OsString,
}

/// A directory with files that wait, since there is no memory to know them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortFolder {
    /// Which.
    pub path: PathBuf,
    /// The LogConfig that selects them.
    pub rule: Arc<str>,
    /// By tenant, how many files and directories.
    pub waiting: Vec<(Arc<str>, usize)>,
}

/// A chain and its files, oldest first.
pub type ChainFiles = (SourceSpec, Vec<SeenFile>);
