//! File: one inode from its creation until its number is free again, with all that it ever held.

use std::path::{Path, PathBuf};

use pipeline::fs::FileId;

/// Why a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at_ns: u64,
    /// How many bytes the next life began with.
    pub kept: u64,
}

/// What a file held from its creation, or from one truncation, to the next: a generation in truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it began.
    pub begun_ns: u64,
    /// When it was cut; `None` if it was not.
    pub end: Option<End>,
    /// Everything written, in place.
    pub bytes: Vec<u8>,
    /// Length after each write, and when.
    pub writes: Vec<(u64, u64)>,
    /// Largest length that the agent, as long as it lives, was told of.
    pub told: u64,
    /// Largest length that any agent was told of.
    pub told_ever: u64,
    /// The agent, as long as it lives, read its beginning: only then can it tell it from others, and
    /// know whose length it was told of.
    pub is_met: bool,
    /// It is what a power cut left of the one before.
    pub is_left: bool,
    /// By block, whether anything was written there.
    pub(super) blocks: Vec<bool>,
}

impl Life {
    pub(super) fn new(begun_ns: u64, bytes: Vec<u8>) -> Life {
        let writes =
            if bytes.is_empty() { Vec::new() } else { vec![(bytes.len() as u64, begun_ns)] };
        let mut life = Life {
            begun_ns,
            end: None,
            bytes,
            writes,
            told: 0,
            told_ever: 0,
            is_met: false,
            is_left: false,
            blocks: Vec::new(),
        };
        life.store(0, life.bytes.len());
        life
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The agent is told of a length.
    pub(super) fn tell(&mut self, len: u64) {
        self.told = self.told.max(len);
        self.told_ever = self.told_ever.max(len);
    }

    /// Length at a time.
    #[must_use]
    pub fn len_at(&self, at_ns: u64) -> u64 {
        self.writes.iter().rev().find(|(_, when)| *when <= at_ns).map_or(0, |(len, _)| *len)
    }

    /// When its first byte was written.
    #[must_use]
    pub fn first_write_ns(&self) -> Option<u64> {
        self.writes.first().map(|(_, when)| *when)
    }
}

/// When and how the agent lost the last way to a file: no name, and no descriptor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The last name went while the agent had it not open, or could not read.
    Unheld {
        /// When.
        at_ns: u64,
    },
    /// The agent closed it, and could have read what it held by then.
    LetGo {
        /// When.
        at_ns: u64,
        /// Length by then.
        len: u64,
    },
    /// The agent died.
    Died {
        /// When.
        at_ns: u64,
    },
}

impl Lost {
    /// When.
    #[must_use]
    pub fn at_ns(self) -> u64 {
        match self {
            Lost::Unheld { at_ns } | Lost::LetGo { at_ns, .. } | Lost::Died { at_ns } => at_ns,
        }
    }
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What tells it apart.
    pub id: FileId,
    /// The path it was created under.
    pub born_as: PathBuf,
    /// Oldest first; the last one is what it holds now. Never empty.
    pub lives: Vec<Life>,
    /// Names.
    pub links: u64,
    /// Since when no name and no descriptor of the agent's leads to it.
    pub lost: Option<Lost>,
    pub(super) modified_ns: u64,
    /// Bytes that a power cut leaves.
    pub(super) synced: usize,
    pub(super) handles: usize,
    pub(super) writers: usize,
}

impl File {
    pub(super) fn new(id: FileId, path: &Path, now_ns: u64) -> File {
        File {
            id,
            born_as: path.to_path_buf(),
            lives: vec![Life::new(now_ns, Vec::new())],
            links: 1,
            lost: None,
            modified_ns: now_ns,
            synced: 0,
            handles: 0,
            writers: 0,
        }
    }

    /// What it holds now.
    #[must_use]
    pub fn now(&self) -> &Life {
        self.lives.last().expect("a file has a life")
    }

    pub(super) fn now_mut(&mut self) -> &mut Life {
        self.lives.last_mut().expect("a file has a life")
    }

    /// Which of its lives was the current one at a time.
    #[must_use]
    pub fn life_at(&self, at_ns: u64) -> usize {
        self.lives.iter().rposition(|life| life.begun_ns <= at_ns).unwrap_or(0)
    }
}
