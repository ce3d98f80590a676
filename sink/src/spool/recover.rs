//! Recover: what a spool owes after a restart: all that it holds, but for what was noted as acknowledged and
//! what the sink says that it has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flow::{ContextId, PayloadHeader, PersistedSpan, is_mutant};

use super::SpoolError;
use super::entries::{Entries, Entry, Part, State};
use super::positions::Positions;
use super::read_back::SpoolReadBack;
use crate::queue::{BatchFrame, FrameId, Queue, QueueReader};

/// How far a context is known to be owed or acknowledged.
struct Reach {
    epoch: u32,
    end: u64,
    /// What the sink has of it.
    of_sink: Vec<PersistedSpan>,
}

/// Goes over the whole spool, before anything is appended.
///
/// # Errors
/// If it cannot be listed. What is damaged is said and left out.
pub(super) fn recover(
    queue: &Queue,
    positions: &Positions,
    shards: usize,
    read_back: &mut SpoolReadBack,
) -> Result<BTreeMap<Arc<str>, Entries>, SpoolError> {
    let reader = QueueReader::open(queue.dir())?;
    let mut tenants = BTreeMap::new();
    for stats in queue.stats() {
        let tenant = stats.tenant;
        // Its segments may have been removed by hand: then sequences begin anew.
        let is_anew = stats.segments == 0;
        let owed_from = if is_anew { FrameId::default() } else { positions.of(&tenant) };
        let (mut entries, mut reached) = (Entries::default(), HashMap::new());
        entries.begin_at(owed_from);
        for frame in reader.scan(&tenant)? {
            match frame {
                Ok(frame) => {
                    take(&frame, owed_from, shards, &mut entries, &mut reached, read_back);
                }
                Err(problem) => tracing::error!(%problem, "the spool cannot read what it kept"),
            }
        }
        tenants.insert(tenant, entries);
    }
    Ok(tenants)
}

fn take(
    frame: &BatchFrame,
    owed_from: FrameId,
    shards: usize,
    entries: &mut Entries,
    reached: &mut HashMap<ContextId, Reach>,
    read_back: &mut SpoolReadBack,
) {
    let id = frame.id();
    frame.entries.iter().for_each(|it| read_back.add(&it.header));
    if id < owed_from {
        return;
    }
    let mut by_shard: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
    let (mut marks, mut has_owed) = (Vec::new(), false);
    for (number, entry) in (0..).zip(&frame.entries) {
        let header = &entry.header;
        let context = header.context.id;
        let shard = usize::try_from(context.0 % shards as u128).expect("below their number");
        let part = |from| Part { section: number, from };
        if header.span.is_empty() {
            marks.push((shard, part(header.span.end)));
            continue;
        }
        let reach = reached.entry(context).or_insert_with(|| {
            let of_sink = read_back.of_sink(context);
            Reach { epoch: header.epoch, end: 0, of_sink }
        });
        if let Some(from) = owed(header, reach) {
            has_owed = true;
            by_shard.entry(shard).or_default().push(part(from));
        }
    }
    // What only says that a context begins or ends came with the rest of its frame.
    if has_owed || marks.len() == frame.entries.len() {
        marks.into_iter().for_each(|(shard, part)| by_shard.entry(shard).or_default().push(part));
    }
    for (shard, mut parts) in by_shard {
        parts.sort_by_key(|it| it.section);
        for part in &parts {
            let context = &frame.entries[part.section as usize].header.context;
            entries.contexts.insert(context.id, Arc::clone(context));
        }
        let parts = Some(parts.into_boxed_slice());
        let bytes = frame.block.bytes();
        entries.push(Entry { frame: id, bytes, shard, parts, state: State::Waiting });
    }
}

/// From where on the section is owed; none if the sink has it, or it is kept twice.
fn owed(header: &PayloadHeader, reach: &mut Reach) -> Option<u64> {
    if reach.epoch != header.epoch {
        (reach.epoch, reach.end) = (header.epoch, 0);
    }
    let mut from = header.span.begin.max(reach.end);
    for persisted in reach.of_sink.iter().filter(|it| it.epoch == header.epoch) {
        let is_known = persisted.span.begin <= from && persisted.span.end > from;
        if is_known && !is_mutant("spool_drained_over_what_the_sink_has") {
            from = persisted.span.end;
        }
    }
    reach.end = reach.end.max(header.span.end);
    (from < header.span.end).then_some(from)
}
