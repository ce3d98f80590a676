//! Failure: what a source does about a file that cannot be opened or read.

use std::io;

use flow::{GapReason, is_mutant};

use super::generation::Generation;
use super::look::Look;
use super::{Missing, Source};
use crate::fs::{Printable, Refusal};

/// How often an open file without a name is tried that gives nothing but errors: for 12 s or so.
pub(super) const UNREADABLE_TRIES: u32 = 8;

/// How long a source waits for its turn to be inflated before it asks again.
const TURN_NS: u64 = 20_000_000;

/// How long a file that has no name any more may turn up under another: a look or two.
pub(super) const MOVED_NS: u64 = 1_000_000_000;

impl Source {
    /// Waits and tries again, or gives up what nobody can read any more.
    pub(super) fn failed(&mut self, index: usize, error: &io::Error, now_ns: u64) -> Look {
        match error.kind() {
            io::ErrorKind::Interrupted => return Look::Wait(Some(now_ns)),
            io::ErrorKind::WouldBlock => return Look::Wait(Some(now_ns + TURN_NS)),
            _ => {}
        }
        let generation = &mut self.generations[index];
        let is_removed = error.kind() == io::ErrorKind::NotFound && generation.is_gone;
        if is_removed || is_mutant("any_error_is_not_found") {
            // It may have another name, or be compressed: the next look at the directory tells.
            let until_ns = *generation.defect_since_ns.get_or_insert(now_ns) + MOVED_NS;
            if now_ns < until_ns {
                return Look::Wait(Some(until_ns));
            }
            if self.has_unproven() {
                // One that cannot be looked into yet may hold its bytes.
                return Look::Wait(Some(self.retry.fail(now_ns)));
            }
            let generation = &mut self.generations[index];
            // Its name is gone and no descriptor was open: what was unread is lost, and said so.
            // A chain that goes on without it was rotated; one that is gone was removed.
            let reason = match self.gone_since_ns {
                _ if generation.is_unreadable => GapReason::Unreadable,
                Some(_) => GapReason::RemovedUnread,
                None => GapReason::RotatedBeforeRead,
            };
            return given_up(generation, reason, now_ns);
        }
        Look::Wait(Some(self.note_failure(index, error, now_ns)))
    }

    /// Says so now and then; returns when to try again.
    pub(super) fn note_failure(&mut self, index: usize, error: &io::Error, now_ns: u64) -> u64 {
        let retry_ns = self.retry.fail(now_ns);
        let generation = &mut self.generations[index];
        // A name that leads elsewhere is a rotation under way: the next look at the directory tells.
        let leads_elsewhere =
            error.kind() == io::ErrorKind::NotFound || Refusal::of(error).is_some();
        generation.is_unreadable |= !leads_elsewhere;
        self.errors += u64::from(!leads_elsewhere);
        let is_moving = leads_elsewhere && self.retry.failures < 4;
        if self.retry.failures.is_power_of_two() && !is_moving {
            let (path, failures) = (Printable(&generation.path), self.retry.failures);
            tracing::warn!(%path, %error, failures, "cannot be read; trying again");
        }
        retry_ns
    }
}

/// Nobody can read what is left of a generation without a name: it is declared.
pub(super) fn given_up(generation: &mut Generation, reason: GapReason, now_ns: u64) -> Look {
    let bytes = generation.unread_bytes();
    let has_news = std::mem::take(&mut generation.has_news);
    generation.give_up(generation.size);
    if is_mutant("removed_unread_not_declared") {
        return Look::Wait(Some(now_ns));
    }
    // It was written to, and how much nobody knows: a gap of no length says that much.
    if bytes == 0 && !has_news {
        return Look::Wait(Some(now_ns));
    }
    let path = Printable(&generation.path);
    tracing::warn!(%path, bytes, %reason, "gone before it was read");
    Look::Gap(Missing::new(reason, bytes))
}
