//! End: one shipper's way to the spool of its sink, and the tickets of what it drains.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flow::{
    AckSender, Acked, Clock, Codec, Ledger, Payload, PayloadHeader, Refused, Released, SinkError,
    SourceId, Spool, Ticket, ack_channel, is_mutant,
};

use super::entries::State;
use super::{SpoolStore, sections};
use crate::queue::FetchError;

/// First and longest pause after a read that the system refused, in nanoseconds.
const PAUSE_NS: u64 = 500_000_000;
const PAUSE_NS_MAX: u64 = 30_000_000_000;
/// Time between two looks at what the sink has acknowledged, while anything is on its way, in nanoseconds.
const HEAR_NS: u64 = 20_000_000;
/// How long a release may wait for the disk, in nanoseconds.
const SYNC_NS_MAX: u64 = 5_000_000_000;

/// Hears of what was drained.
pub(super) type Hear = Box<dyn Fn() -> Option<Vec<Acked>> + Send>;

/// What a sink was given and has not acknowledged all of.
#[derive(Debug)]
struct OnItsWay {
    tenant: Arc<str>,
    /// Of its entry.
    number: u64,
    bytes_left: u64,
    /// Sections that cover no bytes.
    marks_left: usize,
}

/// A shipper's end of a spool.
pub struct SpoolEnd {
    store: Arc<SpoolStore>,
    shard: usize,
    /// The sink takes sections that are compressed one by one.
    is_by_section: bool,
    clock: Arc<dyn Clock>,
    /// Hears of what is kept.
    acks: AckSender,
    hear: Hear,
    ledger: Arc<Ledger>,
    on_its_way: HashMap<SourceId, OnItsWay>,
    last_id: u32,
    /// By tenant of which something could not be read.
    patience: HashMap<Arc<str>, Patience>,
    /// What is lost is only known after another start.
    broken: Option<String>,
}

/// How long to wait for a disk that refuses.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
    until_ns: u64,
}

impl Patience {
    /// It refused once more; returns whether to say so.
    fn note(&mut self, now_ns: u64) -> bool {
        self.until_ns = now_ns.saturating_add((PAUSE_NS << self.failures.min(6)).min(PAUSE_NS_MAX));
        self.failures = self.failures.saturating_add(1);
        self.failures.is_power_of_two()
    }
}

impl std::fmt::Debug for SpoolEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolEnd").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl SpoolEnd {
    /// The end of that shipper, and where a sink for it completes the tickets of what is drained. What is kept
    /// is acknowledged through `acks`.
    #[must_use]
    pub fn new(
        store: Arc<SpoolStore>,
        shard: usize,
        clock: Arc<dyn Clock>,
        acks: AckSender,
    ) -> (SpoolEnd, AckSender) {
        let (drained, receiver) = ack_channel();
        let hear = Box::new(move || receiver.try_recv().ok());
        (SpoolEnd::hearing(store, shard, clock, acks, hear), drained)
    }

    /// The same, where a sink for it was made before.
    pub(super) fn hearing(
        store: Arc<SpoolStore>,
        shard: usize,
        clock: Arc<dyn Clock>,
        acks: AckSender,
        hear: Hear,
    ) -> SpoolEnd {
        SpoolEnd {
            store,
            shard,
            is_by_section: false,
            clock,
            acks,
            hear,
            ledger: Arc::default(),
            on_its_way: HashMap::new(),
            last_id: 0,
            patience: HashMap::new(),
            broken: None,
        }
    }

    /// The same, for a sink whose compressed payloads are compressed section by section.
    #[must_use]
    pub fn by_section(self) -> SpoolEnd {
        SpoolEnd { is_by_section: true, ..self }
    }

    fn keep_as(&mut self, mut payload: Payload, state: State) -> Result<Payload, Box<Refused>> {
        match self.store_payload(&mut payload, state) {
            Ok(()) => Ok(payload),
            Err(why) => Err(Box::new(Refused { payload, why })),
        }
    }

    fn store_payload(&self, payload: &mut Payload, state: State) -> Result<(), SinkError> {
        if !self.is_by_section || payload.codec == Codec::None {
            return self.store.keep(self.shard, payload, &self.acks, state);
        }
        let (headers, raw_bytes) = (payload.headers.clone(), payload.raw_bytes);
        payload.raw_bytes =
            sections::to_raw(&mut payload.headers, &payload.block).map_err(SinkError::Broken)?;
        let kept = self.store.keep(self.shard, payload, &self.acks, state);
        if kept.is_err() {
            (payload.headers, payload.raw_bytes) = (headers, raw_bytes);
        }
        kept
    }

    fn acknowledged(&mut self, acked: &Acked) {
        let Some(it) = self.on_its_way.get_mut(&acked.source) else { return };
        if acked.span.is_empty() {
            it.marks_left -= 1;
        } else {
            it.bytes_left -= acked.span.bytes();
        }
        if it.bytes_left > 0 || it.marks_left > 0 {
            return;
        }
        let Some(it) = self.on_its_way.remove(&acked.source) else { return };
        self.with_entries(&it.tenant, |entries| entries.done(it.number));
    }

    /// Changes a tenant's entries, and the count of all.
    fn with_entries<T>(
        &self,
        tenant: &str,
        change: impl FnOnce(&mut super::Entries) -> T,
    ) -> Option<T> {
        let mut inner = self.store.lock();
        let changed = change(inner.tenants.get_mut(tenant)?);
        inner.is_unnoted = true;
        self.store.recount(&inner);
        Some(changed)
    }
}

impl Spool for SpoolEnd {
    fn holds(&self, tenant: &str) -> bool {
        if self.store.owed.load(Ordering::Acquire) == 0 {
            return false;
        }
        let inner = self.store.lock();
        inner.tenants.get(tenant).is_some_and(|it| !it.is_empty_for(self.shard))
    }

    fn keep(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.keep_as(payload, State::Waiting).map(|it| Some(it.block))
    }

    fn keep_copy(&mut self, payload: Payload) -> Result<(), Box<Refused>> {
        self.keep_as(payload, State::Copy).map(drop)
    }

    fn make_room(
        &mut self,
        tenant: &str,
        bytes: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError> {
        let deadline_ns = self.clock.monotonic_ns().saturating_add(SYNC_NS_MAX);
        self.store.make_room(tenant, bytes, deadline_ns, released)
    }

    fn forget_copies(&mut self, tenant: &str) {
        self.with_entries(tenant, |entries| entries.forget_copies(self.shard));
    }

    fn tenants(&self) -> Vec<Arc<str>> {
        if self.store.owed.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let inner = self.store.lock();
        let owing = inner.tenants.iter().filter(|(_, it)| !it.is_empty_for(self.shard));
        owing.map(|(tenant, _)| Arc::clone(tenant)).collect()
    }

    fn next(&mut self, tenant: &str) -> Option<Payload> {
        let now_ns = self.clock.monotonic_ns();
        if self.patience.get(tenant).is_some_and(|it| now_ns < it.until_ns) {
            return None;
        }
        let inner = &mut *self.store.lock();
        let (name, entries) = inner
            .tenants
            .get_key_value(tenant)
            .map(|(it, _)| Arc::clone(it))
            .and_then(|it| Some((it, inner.tenants.get_mut(tenant)?)))?;
        let next = entries.take_next(self.shard)?;
        let number = next.number;
        let payload = match self.store.read(&name, entries, next, self.is_by_section) {
            Ok(payload) => payload,
            Err(FetchError::Damaged(_)) if is_mutant("spool_skips_what_is_damaged") => {
                entries.done(number);
                return None;
            }
            Err(FetchError::Damaged(why)) => {
                self.broken = Some(format!("spool of sink {}: {why}", self.store.sink));
                return None;
            }
            Err(FetchError::Refused(why)) => {
                // Tried again: a disk may come back. What follows has to wait, or it would be a hole.
                entries.wait_again(number);
                if self.patience.entry(name).or_default().note(now_ns) {
                    tracing::error!(
                        tenant,
                        why,
                        "the spool cannot read what it kept; trying again"
                    );
                }
                return None;
            }
        };
        self.patience.remove(tenant);
        self.last_id = self.last_id.wrapping_add(1);
        let source = SourceId(self.last_id);
        let ticket = |header: &PayloadHeader| {
            let acked = Acked {
                source,
                span: header.span,
                positions: header.positions.clone(),
                is_inner: header.is_inner,
                records: header.records,
                filtered_bytes: 0,
                gap: header.gap,
                seen_ns: now_ns,
            };
            Ticket::new(acked, Arc::clone(&self.ledger))
        };
        let tickets = payload.headers.iter().map(ticket).collect();
        let payload = Payload { tickets, ..payload };
        let it = OnItsWay {
            tenant: name,
            number,
            bytes_left: payload.headers.iter().map(|it| it.span.bytes()).sum(),
            marks_left: payload.headers.iter().filter(|it| it.span.is_empty()).count(),
        };
        self.on_its_way.insert(source, it);
        Some(payload)
    }

    fn give_back(&mut self, payload: Payload) {
        let id = SourceId(self.last_id);
        // Completed into nowhere: it was never given away.
        let (nowhere, unheard) = ack_channel();
        nowhere.complete(payload.tickets);
        drop(unheard);
        let Some(it) = self.on_its_way.remove(&id) else { return };
        self.with_entries(&it.tenant, |entries| entries.wait_again(it.number));
    }

    fn tend(&mut self, now_ns: u64) -> Result<(), SinkError> {
        while let Some(group) = (self.hear)() {
            group.iter().for_each(|acked| self.acknowledged(acked));
        }
        if let Some(why) = self.broken.take() {
            return Err(SinkError::Broken(why));
        }
        let dropped = self.ledger.dropped();
        if dropped > 0 {
            let why = format!("spool: {dropped} tickets of what was drained were dropped");
            return Err(SinkError::Broken(why));
        }
        self.store.note(self.shard, now_ns, now_ns)
    }

    fn due_ns(&self, now_ns: u64) -> Option<u64> {
        // Nobody wakes a shipper for what was drained.
        let heard_ns = (!self.on_its_way.is_empty()).then_some(now_ns + HEAR_NS);
        let again_ns = self.patience.values().map(|it| it.until_ns).filter(|it| *it > now_ns);
        let note_ns = self.store.note_due_ns().map(|it| it.max(now_ns + HEAR_NS));
        heard_ns.into_iter().chain(again_ns).chain(note_ns).min()
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.store.queue.flush(deadline_ns)
    }
}
