//! Late: a spool that cannot be opened when the data plane starts, and is opened later.
//!
//! What it holds comes before all that is read now. So tenants that it holds anything for wait, or all if that cannot be
//! told: their payloads are refused, and wait in memory and files as before any sink that takes nothing. The
//! others go on without a spool. It is opened again and again. What it holds is only known then, while files were
//! read on from the checkpoint: so of each payload is left out, and acknowledged, what spool and sink have of
//! it ([`LeaveOut`]), whether it goes to the sink or is kept. What the sink notes of what was acknowledged
//! stays as it is until a plane starts with the spool.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{
    AckSender, Clock, ContextId, KeepCopy, Payload, ReadBack as _, Refused, Released, Sink,
    SinkError, Spool, StoredMark, ack_channel, is_mutant,
};

use super::{SpoolEnd, SpoolReadBack, SpoolStore, survey};
use crate::late::{Arrival, Had, LeaveOut, Open, Opening};

/// A spool that is open, and what it and its sink hold.
pub type OpenedSpool = (Arc<SpoolStore>, SpoolReadBack);

/// Whom a spool that is not open holds anything for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldFor {
    /// That cannot be told.
    Anybody,
    /// These tenants, by name.
    Tenants(BTreeSet<String>),
}

impl HeldFor {
    /// As far as the spool in `dir` can be read.
    #[must_use]
    pub fn by_survey(dir: &Path) -> HeldFor {
        let Ok(held) = survey(dir) else { return HeldFor::Anybody };
        let held = held.into_iter().filter(|it| it.payloads + it.problems > 0);
        HeldFor::Tenants(held.map(|it| it.tenant).collect())
    }

    /// Whether the tenant has to wait for it.
    #[must_use]
    pub fn has(&self, tenant: &str) -> bool {
        match self {
            HeldFor::Anybody => true,
            HeldFor::Tenants(tenants) => tenants.contains(tenant),
        }
    }
}

impl fmt::Display for HeldFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeldFor::Anybody => f.write_str("all tenants wait, as whom it holds cannot be told"),
            HeldFor::Tenants(all) if all.is_empty() => {
                f.write_str("it holds nothing, and nobody waits")
            }
            HeldFor::Tenants(all) => {
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                write!(f, "these tenants wait, which it holds payloads of: {}", all.join(", "))
            }
        }
    }
}

/// A spool that is waited for. Shared by all shippers of its sink.
#[derive(Debug)]
pub struct LateSpool {
    arrival: Arc<Arrival<OpenedSpool>>,
    held_for: HeldFor,
}

impl LateSpool {
    /// A spool that cannot be opened as `why` says, and that `open` opens.
    #[must_use]
    pub fn new(
        why: String,
        held_for: HeldFor,
        open: Open<OpenedSpool>,
        opening: Opening,
    ) -> Arc<LateSpool> {
        Arc::new(LateSpool { arrival: Arrival::new(why, open, opening), held_for })
    }

    /// The spool, once it is open.
    #[must_use]
    pub fn store(&self) -> Option<Arc<SpoolStore>> {
        self.arrival.look(|it| Arc::clone(&it.0))
    }

    /// Why it could not be opened last.
    #[must_use]
    pub fn why(&self) -> String {
        self.arrival.why()
    }

    /// Who waits until it is.
    #[must_use]
    pub fn held_for(&self) -> &HeldFor {
        &self.held_for
    }

    /// What spool and sink had of the context when it was opened.
    fn had(&self, context: ContextId) -> Option<Had> {
        let had = |(_, read_back): &mut OpenedSpool| {
            let spans = read_back.persisted(context);
            if read_back.has_sink() { Had::of(&spans) } else { Had::of_spool_alone(&spans) }
        };
        self.arrival.look(had).flatten()
    }
}

/// Makes a shipper's end of a sink.
pub type MakeEnd<'a> = &'a dyn Fn(AckSender) -> Box<dyn Sink>;

/// One shipper's ends of a spool that comes late.
#[derive(Debug)]
pub struct LateEnds {
    /// The spool.
    pub spool: Box<dyn Spool>,
    /// What is drained.
    pub drain: Box<dyn Sink>,
    /// The way past it.
    pub direct: Box<dyn Sink>,
}

impl LateEnds {
    /// The ends of that shipper, for a sink whose payloads may be compressed section by section. What is kept or
    /// delivered is acknowledged through `acks`; `make` makes ends of the sink itself, for what is drained and for what
    /// goes past the spool.
    #[must_use]
    pub fn new(
        late: &Arc<LateSpool>,
        (shard, is_by_section): (usize, bool),
        clock: Arc<dyn Clock>,
        acks: AckSender,
        (make_drain, make_direct): (MakeEnd<'_>, MakeEnd<'_>),
    ) -> LateEnds {
        let (drained, receiver) = ack_channel();
        // Nothing of this life is stored for the sink: what it holds is asked of it again at the next start.
        let direct = make_direct(acks.clone().beside(StoredMark::default()));
        let leave_out = LeaveOut::new(is_by_section);
        let gate = Gate { late: Arc::clone(late), acks: acks.clone(), leave_out, is_open: false };
        let gate = Arc::new(Mutex::new(gate));
        let make_end = move |store| {
            let hear = Box::new(move || receiver.try_recv().ok());
            let end = SpoolEnd::hearing(store, shard, clock, acks, hear);
            Box::new(if is_by_section { end.by_section() } else { end }) as Box<dyn Spool>
        };
        let spool = LateEnd {
            late: Arc::clone(late),
            gate: Arc::clone(&gate),
            make_end: Some(Box::new(make_end)),
            again_ns: 0,
            end: None,
        };
        let direct = BehindSpool { gate, sink: direct };
        LateEnds { spool: Box::new(spool), drain: make_drain(drained), direct: Box::new(direct) }
    }
}

/// What one shipper's payloads go through, to whichever end.
#[derive(Debug)]
struct Gate {
    late: Arc<LateSpool>,
    acks: AckSender,
    leave_out: LeaveOut,
    /// Its shipper has an end of the spool.
    is_open: bool,
}

impl Gate {
    /// Hands to `take` what neither spool nor sink has of the payload.
    fn pass(
        &mut self,
        payload: Payload,
        take: impl FnOnce(Payload) -> Result<Option<Vec<u8>>, Box<Refused>>,
    ) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let late = &self.late;
        let payload = self.leave_out.apply(payload, &self.acks, |it| late.had(it));
        if payload.headers.is_empty() {
            return Ok(Some(payload.block));
        }
        let begun = self.leave_out.begun(&payload);
        let spent = take(payload)?;
        self.leave_out.sent(&begun);
        Ok(spent)
    }

    fn refusal(&self) -> SinkError {
        let why = self.late.why();
        SinkError::Retry(format!("its spool cannot be opened, and what it holds goes first: {why}"))
    }
}

/// What is known stays right even if a thread died while it held the lock.
fn lock(gate: &Mutex<Gate>) -> MutexGuard<'_, Gate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the end of a spool that is open.
type MakeSpool = Box<dyn FnOnce(Arc<SpoolStore>) -> Box<dyn Spool> + Send>;

/// One shipper's end of the spool.
struct LateEnd {
    late: Arc<LateSpool>,
    gate: Arc<Mutex<Gate>>,
    make_end: Option<MakeSpool>,
    /// When to see again whether it is open.
    again_ns: u64,
    /// Once it is.
    end: Option<Box<dyn Spool>>,
}

impl fmt::Debug for LateEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateEnd").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Spool for LateEnd {
    fn holds(&self, tenant: &str) -> bool {
        // Before it is open, who has to wait is refused on the way past it.
        self.end.as_ref().is_some_and(|it| it.holds(tenant))
    }

    fn keep(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut gate = lock(&self.gate);
        match &mut self.end {
            Some(end) => gate.pass(payload, |it| end.keep(it)),
            None => Err(Box::new(Refused { payload, why: gate.refusal() })),
        }
    }

    fn keep_copy(&mut self, payload: Payload) -> Result<(), Box<Refused>> {
        match &mut self.end {
            Some(end) => end.keep_copy(payload),
            None => Err(Box::new(Refused { payload, why: lock(&self.gate).refusal() })),
        }
    }

    fn make_room(
        &mut self,
        tenant: &str,
        bytes: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError> {
        self.end.as_mut().map_or(Ok(()), |it| it.make_room(tenant, bytes, released))
    }

    fn forget_copies(&mut self, tenant: &str) {
        if let Some(end) = &mut self.end {
            end.forget_copies(tenant);
        }
    }

    fn tenants(&self) -> Vec<Arc<str>> {
        self.end.as_ref().map_or(Vec::new(), |it| it.tenants())
    }

    fn next(&mut self, tenant: &str) -> Option<Payload> {
        self.end.as_mut()?.next(tenant)
    }

    fn give_back(&mut self, payload: Payload) {
        let Some(end) = &mut self.end else { unreachable!("what is not open gives nothing") };
        end.give_back(payload);
    }

    fn tend(&mut self, now_ns: u64) -> Result<(), SinkError> {
        if self.end.is_none() {
            match self.late.store() {
                None => self.again_ns = self.late.arrival.tend(now_ns),
                Some(store) => {
                    self.end = self.make_end.take().map(|make| make(store));
                    lock(&self.gate).is_open = true;
                }
            }
        }
        self.end.as_mut().map_or(Ok(()), |it| it.tend(now_ns))
    }

    fn due_ns(&self, now_ns: u64) -> Option<u64> {
        self.end.as_ref().map_or(Some(self.again_ns), |it| it.due_ns(now_ns))
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.end.as_mut().map_or(Ok(()), |it| it.flush(deadline_ns))
    }
}

impl Drop for LateEnd {
    fn drop(&mut self) {
        self.late.arrival.leave();
    }
}

/// One shipper's way past the spool.
#[derive(Debug)]
struct BehindSpool {
    gate: Arc<Mutex<Gate>>,
    sink: Box<dyn Sink>,
}

impl Sink for BehindSpool {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut gate = lock(&self.gate);
        if gate.is_open {
            return gate.pass(payload, |it| self.sink.submit(it));
        }
        if gate.late.held_for.has(&payload.tenant) && !is_mutant("late_spool_is_overtaken") {
            return Err(Box::new(Refused { payload, why: gate.refusal() }));
        }
        self.sink.submit(payload)
    }

    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        self.sink.tend(now_ns)
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.sink.flush(deadline_ns)
    }

    fn health(&self) -> Result<(), SinkError> {
        self.sink.health()
    }

    fn is_clear(&self, tenant: &str) -> bool {
        self.sink.is_clear(tenant)
    }

    fn copy_unacknowledged(&self, tenant: &str, keep: &mut KeepCopy<'_>) -> bool {
        self.sink.copy_unacknowledged(tenant, keep)
    }
}
