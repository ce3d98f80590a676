//! Standing: the memory of what is known, which the common pool pays for, and who has to wait for it.
//!
//! How many files there are nobody knows beforehand: there is no part for them in the plan, and data in flight has less
//! room the more files there are. Where the agent's memory has a cap, a name for which there is no room *waits*: it
//! is not known, costs nothing, and is found again by the next listing of its directory.
//!
//! Who waits is decided by a dynamic threshold (Choudhury and Hahne, 1998): a tenant has at most as much as it leaves free for
//! all others together. So one tenant's hundred thousand files leave half of the room to others, and of several that
//! want all of it, each has as much as the next one that comes. Nothing that is known is let go for it.

use std::collections::HashMap;
use std::sync::Arc;

use flow::{ContextId, NodeBudget};

use crate::fs::Printable;
use crate::memory::Memory;
use crate::meter::Meter;
use crate::reader::ShortFolder;

/// A chain that is known, and not open, in bytes, beside its path: its names here, and where it stands with its reader.
const CHAIN_BYTES: usize = 9 << 7;
/// What the part of the plan for files that may be open has for each to be known by; the rest is for what it has open.
const OWN_CHAIN_BYTES: usize = 1 << 10;
/// Measured: 1.27 KiB for each of 13,000 more with paths of 60 bytes, and 350 B more for paths of 220.
const PATH_COPIES: usize = 2;
/// A directory that is known, in bytes: a container's log has two of its own.
///
/// Measured: 4 KiB for each container's log with them.
pub(super) const DIRECTORY_BYTES: usize = 3 << 9;
/// What a chain costs whose live file has so long a path.
pub(super) const fn chain_bytes(path_len: usize) -> usize {
    CHAIN_BYTES + PATH_COPIES * path_len
}

/// Of the pool, data in flight leaves such a part to what is yet to be known: a pod that comes while a sink takes
/// nothing, and data has all the rest, is known at once.
const AHEAD_PART: usize = 8;

/// The room for what is known, where the agent's memory has a cap.
#[derive(Debug, Clone)]
pub struct KnownRoom {
    /// Bytes of it beside the pool.
    pub beside_bytes: usize,
    /// Contexts of which a file was begun and is not done with never wait.
    pub memory: Arc<Memory>,
}

/// Who pays for the memory of what is known; nobody by default, and then nothing waits.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pool: Option<Arc<NodeBudget>>,
    /// What the pool does not pay for: as many chains as may be open have a part of their own.
    own_bytes: usize,
    /// Names for which there is no room wait.
    capped_for: Option<Arc<Memory>>,
    /// All that is known.
    bytes: usize,
    shares: HashMap<Arc<str>, Share>,
    /// What is held ready for what waits for data in flight only.
    wanted_bytes: usize,
    /// There is too little memory, whoever has it.
    is_short: bool,
    /// How often that came.
    shortages: u32,
}

/// One tenant's part.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    waiting: usize,
    /// What the metric says.
    waiting_said: usize,
}

impl Standing {
    /// The pool pays beyond `open_files_max` chains; with a `room`, for no more than there is.
    pub(super) fn new(
        pool: Arc<NodeBudget>,
        open_files_max: u64,
        room: Option<KnownRoom>,
    ) -> Standing {
        let open_files_max = usize::try_from(open_files_max).unwrap_or(usize::MAX);
        let beside_bytes = room.as_ref().map_or(0, |it| it.beside_bytes);
        let own_bytes = open_files_max.saturating_mul(OWN_CHAIN_BYTES).saturating_add(beside_bytes);
        let capped_for = room.map(|it| it.memory);
        let standing = Standing { pool: Some(pool), own_bytes, capped_for, ..Standing::default() };
        standing.pay();
        standing
    }

    /// Whether there is room for `bytes` more of the tenant's, as there would be if so much data were in flight.
    fn has_room(&self, tenant: &str, bytes: usize, lent: usize) -> bool {
        let share = self.shares.get(tenant).map_or(0, |it| it.bytes) + bytes;
        self.bytes + bytes + share + lent <= self.room_bytes()
    }

    fn room_bytes(&self) -> usize {
        let pool_bytes = self.pool.as_ref().map_or(0, |it| it.pool_bytes());
        self.own_bytes.saturating_add(pool_bytes)
    }

    /// Whether `bytes` more of the tenant's could be known now.
    pub(super) fn may_admit(&self, tenant: &str, bytes: usize) -> bool {
        let lent = || self.pool.as_ref().map_or(0, |it| it.lent());
        !self.is_capped() || self.has_room(tenant, bytes, lent())
    }

    /// Whether anything may have to wait.
    pub(super) fn is_capped(&self) -> bool {
        self.capped_for.is_some()
    }

    /// Takes `bytes` for something of the tenant's, if there is room.
    pub(super) fn admit(&mut self, tenant: &Arc<str>, bytes: usize) -> bool {
        let may = self.may_admit(tenant, bytes);
        if may {
            self.take(tenant, bytes);
        }
        may
    }

    /// Takes `bytes` for something of the tenant's that cannot wait.
    pub(super) fn take(&mut self, tenant: &Arc<str>, bytes: usize) {
        if !self.is_capped() {
            return;
        }
        self.share(tenant).bytes += bytes;
        self.bytes += bytes;
        self.pay();
    }

    /// Gives back what was taken so.
    pub(super) fn give_back(&mut self, tenant: &Arc<str>, bytes: usize) {
        let share = self.share(tenant);
        share.bytes = share.bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether an earlier life began with a file of the context, and was not done with it.
    pub(super) fn is_begun(&self, context: ContextId) -> bool {
        self.capped_for.as_ref().is_some_and(|it| it.is_begun(context))
    }

    /// Everything is counted anew from here on.
    pub(super) fn begin_count(&mut self) {
        self.bytes = 0;
        for share in self.shares.values_mut() {
            (share.bytes, share.waiting) = (0, 0);
        }
    }

    /// So much of the tenant's is known.
    pub(super) fn count(&mut self, tenant: &Arc<str>, bytes: usize) {
        self.bytes += bytes;
        if self.is_capped() {
            self.share(tenant).bytes += bytes;
        }
    }

    /// So many names of the tenant's wait.
    pub(super) fn count_waiting(&mut self, tenant: &Arc<str>, names: usize) {
        self.share(tenant).waiting += names;
    }

    fn share(&mut self, tenant: &Arc<str>) -> &mut Share {
        self.shares.entry(Arc::clone(tenant)).or_default()
    }

    /// Everything is counted: has the pool pay for it, and says who waits. `example` is a directory with names that wait.
    pub(super) fn end_count(
        &mut self,
        meter: &Meter,
        example: impl FnOnce() -> Option<ShortFolder>,
    ) {
        let waiting = || self.shares.iter().filter(|(_, it)| it.waiting > 0);
        let fits = |tenant: &str| self.has_room(tenant, DIRECTORY_BYTES, 0);
        // As much for all of them as they have to leave for others.
        let wanted = waiting().filter(|(tenant, _)| fits(tenant));
        let wanted =
            wanted.map(|(_, it)| it.bytes + it.waiting.saturating_mul(2 * DIRECTORY_BYTES));
        let left_bytes = self.room_bytes().saturating_sub(self.bytes);
        let wanted_bytes = wanted.max().unwrap_or(0).min(left_bytes);
        let is_short = match self.capped_for {
            Some(_) => waiting().any(|(tenant, _)| !fits(tenant)),
            None => self.bytes > self.room_bytes(),
        };
        self.wanted_bytes = wanted_bytes;
        meter.known_bytes.set(self.pay() as u64);
        self.shares.retain(|tenant, it| {
            if it.waiting != it.waiting_said {
                meter.tenant(tenant).waiting_files.set(it.waiting as u64);
                it.waiting_said = it.waiting;
            }
            it.bytes > 0 || it.waiting > 0
        });
        if is_short && !self.is_short {
            self.shortages += 1;
            if self.shortages.is_power_of_two() {
                self.say_short(example());
            }
        }
        self.is_short = is_short;
    }

    /// Has the pool pay, in advance too where there is a cap; returns what it pays for what is known.
    fn pay(&self) -> usize {
        let Some(pool) = &self.pool else { return 0 };
        let known = self.bytes.saturating_sub(self.own_bytes);
        let ahead_bytes = match self.capped_for {
            Some(_) => self.wanted_bytes.max(pool.pool_bytes() / AHEAD_PART),
            None => 0,
        };
        let with_ahead = (self.bytes + ahead_bytes).saturating_sub(self.own_bytes);
        pool.stand(known.max(with_ahead.min(pool.pool_bytes())));
        known
    }

    fn say_short(&self, example: Option<ShortFolder>) {
        let (known_bytes, room_bytes) = (self.bytes, self.room_bytes());
        let Some(ShortFolder { path, rule, waiting }) = example else {
            return tracing::error!(
                known_bytes,
                room_bytes,
                "more files are known than data in flight leaves memory for: tenants have their reserves alone; write \
                 more memory, or select fewer files"
            );
        };
        let files: usize = waiting.iter().map(|it| it.1).sum();
        let waiting = waiting.first().map_or("", |it| &*it.0);
        tracing::error!(
            directory = %Printable(&path),
            log_config = &*rule,
            tenant = waiting,
            files,
            known_bytes,
            room_bytes,
            "files wait: there is no memory to know them by until others are removed, and nothing of them is read; write \
             more memory for the Agent, or select fewer files"
        );
    }
}

#[cfg(test)]
mod tests;
