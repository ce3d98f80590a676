//! Release: a full spool lets go of the oldest payloads of who is to give, and owes gaps in their place.
//!
//! A segment at a time, and none of which the sink has anything on its way. The gaps are safe first, then the note
//! that they count, and only then the segment is removed: whenever the process dies, either the payloads are
//! there or the gaps are.

use std::sync::Arc;

use flow::{Encoding, GapReason, Payload, Released, SinkError, ack_channel, is_mutant};

use super::entries::{Entries, Entry};
use super::gaps::Gaps;
use super::positions::{self, Owed};
use super::room::Giver;
use super::{ENTRIES_MAX, Inner, SpoolStore, table};
use crate::queue::FrameId;

/// Entries of one shipper, and the frames of gaps in their place.
struct Replaced {
    numbers: Vec<u64>,
    frames: Vec<FrameId>,
    place: FrameId,
    gaps: Vec<(FrameId, u32)>,
}

impl SpoolStore {
    /// As [`flow::Spool::make_room`]; the gaps are safe before `deadline_ns` of the monotonic clock.
    pub(super) fn make_room(
        &self,
        tenant: &str,
        bytes: u64,
        deadline_ns: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError> {
        let known = self.lock().tenants.get_key_value(tenant).map(|(it, _)| Arc::clone(it));
        let tenant = known.unwrap_or_else(|| Arc::from(tenant));
        loop {
            // Never with the lock of more than one spool: another may ask for what is here meanwhile.
            if self.has_room(&self.lock(), &tenant, bytes)
                || !self.give_once(&tenant, bytes, deadline_ns, released)?
            {
                return Ok(());
            }
        }
    }

    /// The first that is to give and can does so; whether one did.
    fn give_once(
        &self,
        tenant: &Arc<str>,
        bytes: u64,
        deadline_ns: u64,
        released: &mut Vec<Released>,
    ) -> Result<bool, SinkError> {
        let has_room = self.room.has(tenant, bytes);
        for giver in self.room.givers(tenant, bytes, has_room) {
            let Giver::Lower(sink, giver) = giver else {
                return self.release_oldest(&mut self.lock(), tenant, deadline_ns, released);
            };
            let Some(store) = self.room.store(&sink) else { continue };
            let gave = store.release_oldest(&mut store.lock(), &giver, deadline_ns, released);
            match gave {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                // Its own shipper hears of it, too; the next one may give.
                Err(why) => {
                    tracing::warn!(sink = &*sink, tenant = &*giver, %why, "nothing is let go")
                }
            }
        }
        Ok(false)
    }

    /// Whether so many bytes more of the tenant may be kept.
    pub(super) fn has_room(&self, inner: &Inner, tenant: &Arc<str>, bytes: u64) -> bool {
        let is_crowded = inner.tenants.get(tenant).is_some_and(|it| it.len() >= ENTRIES_MAX);
        !is_crowded && self.room.has(tenant, bytes)
    }

    /// Removes the tenant's oldest segment of which nothing is on its way, and adds to `released` how many bytes of
    /// the source are missing from now on. False if there is no such segment.
    fn release_oldest(
        &self,
        inner: &mut Inner,
        tenant: &Arc<str>,
        deadline_ns: u64,
        released: &mut Vec<Released>,
    ) -> Result<bool, SinkError> {
        let Some(entries) = inner.tenants.get(tenant) else { return Ok(false) };
        let free = |it: u64| Some((it, entries.releasable(it)?));
        let Some((sequence, groups)) = self.queue.closed(tenant).into_iter().find_map(free) else {
            return Ok(false);
        };
        let mut replaced = Vec::with_capacity(groups.len());
        let mut bytes = 0;
        for group in groups {
            replaced.push(self.put_gaps(tenant, entries, &group, &mut bytes)?);
        }
        if is_mutant("spool_released_before_the_gap_is_safe") {
            self.queue.remove(tenant, sequence)?;
        }
        if !replaced.is_empty() {
            self.queue.flush(deadline_ns)?;
            self.note_released(inner, tenant, &replaced)?;
        }
        let entries = inner.tenants.entry(Arc::clone(tenant)).or_default();
        for it in &replaced {
            entries.replace(&it.numbers, &it.gaps);
        }
        self.recount(inner);
        // From now on the gaps count, whether or not the segment can be removed.
        released.push((Arc::clone(tenant), bytes));
        tracing::warn!(
            tenant = &**tenant,
            bytes,
            "the spool is full: its oldest is let go and declared"
        );
        self.queue.remove(tenant, sequence)?;
        self.count(tenant);
        Ok(true)
    }

    /// Writes gaps in the place of a group: not more frames than it has, as each of its own would fit into one.
    fn put_gaps(
        &self,
        tenant: &Arc<str>,
        entries: &Entries,
        group: &[&Entry],
        bytes: &mut u64,
    ) -> Result<Replaced, SinkError> {
        let mut replaced = Replaced {
            numbers: group.iter().map(|it| it.number).collect(),
            frames: group.iter().map(|it| it.frame).collect(),
            place: group[0].place.unwrap_or(group[0].frame),
            gaps: Vec::new(),
        };
        let (mut gaps, mut encoding) = (Gaps::new(GapReason::SpoolFull), Encoding::OtlpProto);
        let mut put = |gaps: Gaps, encoding| -> Result<(), SinkError> {
            *bytes += gaps.bytes;
            replaced.gaps.push(self.put_aside(gaps.payload(tenant, encoding))?);
            Ok(())
        };
        for entry in group {
            let (headers, of_entry) = self
                .headers(tenant, entries, entry)
                .map_err(|error| SinkError::Retry(error.to_string()))?;
            if !gaps.is_empty() && !gaps.has_room_for(&headers) {
                put(std::mem::replace(&mut gaps, Gaps::new(GapReason::SpoolFull)), encoding)?;
            }
            encoding = of_entry;
            headers.into_iter().for_each(|it| gaps.add(it));
        }
        put(gaps, encoding)?;
        Ok(replaced)
    }

    /// Puts a payload into the queue that nobody waits for.
    fn put_aside(&self, mut payload: Payload) -> Result<(FrameId, u32), SinkError> {
        let (nobody, _) = ack_channel();
        let frame = self.queue.put(&mut payload, &nobody)?;
        Ok((frame, u32::try_from(payload.block.len()).expect("checked by the queue")))
    }

    /// Notes durably that gaps count from now on, and what they stand for does not.
    fn note_released(
        &self,
        inner: &mut Inner,
        tenant: &Arc<str>,
        replaced: &[Replaced],
    ) -> Result<(), SinkError> {
        let mut table = table(&inner.tenants);
        let Owed { released, .. } = table.entry(Arc::clone(tenant)).or_default();
        for it in replaced {
            released.retain(|known| !it.frames.contains(&known.gaps));
            let of_group =
                |gaps: &(FrameId, u32)| positions::Released { gaps: gaps.0, place: it.place };
            released.extend(it.gaps.iter().map(of_group));
        }
        inner.positions.store(table).map_err(|error| {
            let sink = &self.sink;
            SinkError::Retry(format!(
                "spool of sink {sink}: what is released is not noted: {error}"
            ))
        })
    }
}
