//! Books: running sums over what queues and spools hold, by tenant: what the oracle asks for after every step.
//!
//! What a section adds to a sum depends on where it stands: in a queue, in the spool before it, or in both, as the same
//! one ([`Section`]). Within a life of the agent none is taken away, and none that is safe or acknowledged becomes
//! otherwise. So only what is new and what is not settled is looked at again; in a new life all is summed anew.
//! The oracle holds these sums against the obvious ones ([`Books::are_due`]).

use std::collections::HashMap;
use std::sync::Arc;

use flow::{ContextId, GapReason, PayloadHeader};
use sim::Stored;

use super::spool::Kept;
use super::{NodeSpool, Plan, Queue, Watch};

/// Looks from one comparison with the obvious sums to the next.
const LOOKS: u64 = 64;

/// What is the same of a section in a queue and in its spool: a gap in its place is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Section {
    context: ContextId,
    epoch: u32,
    begin: u64,
    end: u64,
    gap: Option<GapReason>,
}

impl Section {
    fn of(header: &PayloadHeader) -> Section {
        let PayloadHeader { epoch, span, .. } = *header;
        let context = header.context.id;
        Section { context, epoch, begin: span.begin, end: span.end, gap: header.gap }
    }
}

/// How often a section is there.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    /// In the queue, safe there, and acknowledged.
    safe: u64,
    acked: u64,
    /// Safe in the spool, and of these the copies.
    kept: u64,
    copies: u64,
}

impl Places {
    /// What is in the spool counts until the queue has it.
    fn safe(self) -> u64 {
        if self.safe > 0 { self.safe } else { self.kept }
    }

    fn acked(self) -> u64 {
        if self.acked > 0 { self.acked } else { self.kept }
    }
}

/// Bytes of encoded sections: those with records, and all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) records: u64,
    pub(crate) all: u64,
    /// Bytes that each is more than what was read for it: nobody asked for them before.
    pub(crate) grown: u64,
}

impl Encoded {
    /// With so many more of a span of so many.
    pub(crate) fn and(self, bytes: usize, span_bytes: u64, has_records: bool) -> Encoded {
        let bytes = bytes as u64;
        let (records, read) = if has_records { (bytes, span_bytes) } else { (0, 0) };
        Encoded {
            records: self.records + records,
            all: self.all + bytes,
            grown: self.grown + bytes.saturating_sub(read),
        }
    }

    /// With a section that a queue or a spool was handed.
    pub(crate) fn and_handed(self, header: &PayloadHeader) -> Encoded {
        self.and(header.in_block().len(), header.span.bytes(), has_records(header))
    }
}

/// Sums of one tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// Bytes of sources that no death can take any more, but what a full spool let go of.
    pub(crate) safe_bytes: u64,
    /// Bytes that were declared missing, and acknowledged, by reason code.
    pub(crate) gap_bytes: [u64; GapReason::ALL.len() + 1],
    /// When the oldest was read that nobody has acknowledged, and that a sink or a spool has.
    pub(crate) open_since_unix_ns: Option<i64>,
    /// What this life has encoded, and what of it a queue or a spool was handed.
    pub(crate) encoded: Encoded,
    pub(crate) handed: Encoded,
}

/// A sink and its spool.
#[derive(Debug, Default)]
struct Shelf {
    places: HashMap<Section, Places>,
    /// How many were seen in the queue and in the spool, and which of them are not acknowledged, and not safe.
    stored: usize,
    kept: usize,
    unacked: Vec<(usize, bool)>,
    unsafe_kept: Vec<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Books {
    tenants: HashMap<Arc<str>, Sums>,
    shelves: Vec<Shelf>,
    turns: usize,
    lives: u32,
    looks: u64,
}

impl Books {
    /// Takes note of what changed.
    pub(super) fn update(
        &mut self,
        (queues, spools): (&[Queue], &[NodeSpool]),
        plan: &Plan,
        watch: &Watch,
        lives: u32,
    ) {
        if self.lives != lives {
            let shelves = queues.iter().map(|_| Shelf::default()).collect();
            *self =
                Books { shelves, turns: watch.begun, lives, looks: self.looks, ..Books::default() };
        }
        self.looks += 1;
        self.tenants.values_mut().for_each(|it| it.open_since_unix_ns = None);
        for (number, shelf) in self.shelves.iter_mut().enumerate() {
            let life = lives - 1;
            queues[number].look(|stored| shelf.note_stored(stored, life, &mut self.tenants));
            if let Some(spool) = spools.get(number) {
                spool.look(|kept| shelf.note_kept(kept, life, &mut self.tenants));
                spool.look(|kept| shelf.note_open_kept(kept, &mut self.tenants));
            }
            queues[number].look(|stored| shelf.note_open_stored(stored, &mut self.tenants));
        }
        watch.turns.look(|turns| {
            for turn in &turns[self.turns..] {
                let tenant = &plan.streams[turn.stream].tenant;
                let encoded = &mut sums(&mut self.tenants, tenant).encoded;
                *encoded = encoded.and(turn.encoded_bytes, turn.bytes, turn.has_records());
            }
            self.turns = turns.len();
        });
    }

    /// The sums of a tenant.
    pub(crate) fn of(&self, tenant: &str) -> Sums {
        self.tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// Whether they are to be held against the obvious sums now.
    pub(crate) fn are_due(&self) -> bool {
        self.looks.is_multiple_of(LOOKS)
    }
}

impl Shelf {
    fn note_stored(&mut self, all: &[Stored], life: u32, tenants: &mut HashMap<Arc<str>, Sums>) {
        for it in &all[self.stored..] {
            let sums = sums(tenants, &it.header.context.tenant);
            if it.life == life && !it.is_drained {
                sums.handed = sums.handed.and_handed(&it.header);
            }
        }
        let news = self.stored..all.len();
        self.stored = all.len();
        self.unacked.extend(news.map(|number| (number, false)));
        let mut unacked = std::mem::take(&mut self.unacked);
        unacked.retain_mut(|(number, was_safe)| {
            let it = &all[*number];
            let is_newly_safe = it.is_safe && !std::mem::replace(was_safe, it.is_safe);
            if is_newly_safe || it.is_acked {
                self.note(&it.header, tenants, |places| {
                    places.safe += u64::from(is_newly_safe);
                    places.acked += u64::from(it.is_acked);
                });
            }
            !it.is_acked
        });
        self.unacked = unacked;
    }

    fn note_kept(&mut self, all: &[Kept], life: u32, tenants: &mut HashMap<Arc<str>, Sums>) {
        for it in &all[self.kept..] {
            let sums = sums(tenants, &it.header.context.tenant);
            if it.life == life && !it.is_copy {
                sums.handed = sums.handed.and_handed(&it.header);
            }
        }
        self.unsafe_kept.extend(self.kept..all.len());
        self.kept = all.len();
        let mut unsafe_kept = std::mem::take(&mut self.unsafe_kept);
        unsafe_kept.retain(|number| {
            let it = &all[*number];
            if it.is_safe {
                self.note(&it.header, tenants, |places| {
                    places.kept += 1;
                    places.copies += u64::from(it.is_copy);
                });
            }
            !it.is_safe
        });
        self.unsafe_kept = unsafe_kept;
    }

    /// A section stands somewhere else.
    fn note(
        &mut self,
        header: &PayloadHeader,
        tenants: &mut HashMap<Arc<str>, Sums>,
        change: impl FnOnce(&mut Places),
    ) {
        let places = self.places.entry(Section::of(header)).or_default();
        let before = *places;
        change(places);
        let (bytes, sums) = (header.span.bytes(), sums(tenants, &header.context.tenant));
        // What a full spool let go of had counted before; in the spool, its gap is what it was handed.
        let safe = |it: Places| match header.gap {
            Some(GapReason::SpoolFull) => {
                if it.safe > 0 {
                    0
                } else {
                    it.kept
                }
            }
            _ => it.safe(),
        };
        sums.safe_bytes = sums.safe_bytes + safe(*places) * bytes - safe(before) * bytes;
        if let Some(reason) = header.gap {
            let sum = &mut sums.gap_bytes[usize::from(reason.code())];
            *sum = *sum + places.acked() * bytes - before.acked() * bytes;
        }
    }

    fn places(&self, header: &PayloadHeader) -> Places {
        self.places.get(&Section::of(header)).copied().unwrap_or_default()
    }

    /// What is in the queue has its tickets, but what came from the spool, or has a copy there.
    fn note_open_stored(&self, all: &[Stored], tenants: &mut HashMap<Arc<str>, Sums>) {
        let open = self.unacked.iter().map(|(number, _)| &all[*number]);
        let open = open.filter(|it| !it.header.span.is_empty() && !it.is_drained);
        for it in open.filter(|it| self.places(&it.header).copies == 0) {
            note_open(&it.header, tenants);
        }
    }

    /// What was drained before it was synced may be removed before, too.
    fn note_open_kept(&self, all: &[Kept], tenants: &mut HashMap<Arc<str>, Sums>) {
        let open = self.unsafe_kept.iter().map(|number| &all[*number]);
        let open = open.filter(|it| !it.header.span.is_empty() && !it.is_copy);
        for it in open.filter(|it| self.places(&it.header).acked == 0) {
            note_open(&it.header, tenants);
        }
    }
}

fn note_open(header: &PayloadHeader, tenants: &mut HashMap<Arc<str>, Sums>) {
    let since = &mut sums(tenants, &header.context.tenant).open_since_unix_ns;
    *since = Some(since.unwrap_or(i64::MAX).min(header.observed_unix_ns));
}

fn sums<'a>(tenants: &'a mut HashMap<Arc<str>, Sums>, tenant: &Arc<str>) -> &'a mut Sums {
    tenants.entry(Arc::clone(tenant)).or_default()
}

/// Whether a section has records: a gap is paid for by those in its batch, if there are any.
fn has_records(header: &PayloadHeader) -> bool {
    header.gap.is_none() && !header.marks.last
}
