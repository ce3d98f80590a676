//! Waits: what meters say that limits held back, and what tenants owe them, against what the reader's ticks show.
//!
//! A read waited while the limits that its source had asked told it to. Where the source stood is known after each tick: as
//! long as it was told to wait, from then on, or until the next tick. That is counted once it reads, and is nobody's wait
//! if it has nothing to read any more. It is exact but for what hides it: a sink that refuses, a lane that is
//! full, or others of the tenant or node that may have been told to wait, and this one with them, whether or not it had asked.
//! What is owed, or there to be spent, is exact: a bucket that begins empty.

use std::collections::HashMap;

use pipeline::limits::{AtLimit, Level, Rates};
use pipeline::reader::WaitsFor;

use super::{OWNERS, TENANTS};
use crate::node::{Node, Plan, ReaderTick, Turn, stream_of};

/// Parts of a token: one nanosecond adds as many as there are tokens in a second.
const PARTS: i128 = 1_000_000_000;

/// Least and most that something can be.
#[derive(Debug, Default, Clone, Copy)]
struct Bounds {
    min: u64,
    max: u64,
}

impl Bounds {
    fn has(self, it: u64) -> bool {
        (self.min..=self.max).contains(&it)
    }
}

/// What the limits of a stream told it, as it was seen after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// To wait, until the next tick or not as long, and for so long at least.
    Wait {
        least_ns: u64,
        is_sure: bool,
    },
    /// Nobody can see; it has something to read.
    Hidden,
    Nothing,
    /// There was no report.
    Unknown,
}

/// What a stream has waited since it was read last.
#[derive(Debug, Default, Clone, Copy)]
struct Wait {
    ns: Bounds,
    /// It was told to wait; for sure.
    may_have: bool,
    has: bool,
    /// What it was told after the last tick, and when that was.
    told: Option<(Told, u64)>,
}

impl Wait {
    fn note(&mut self, told: Told, at_ns: u64) {
        if told == Told::Unknown {
            // It may have had nothing to read.
            (self.ns.min, self.has) = (0, false);
        }
        self.told = Some((told, at_ns));
    }

    /// Time goes on to this tick.
    fn pass(&mut self, now_ns: u64) {
        let Some((told, at_ns)) = self.told.take() else { return };
        let passed_ns = now_ns - at_ns;
        match told {
            Told::Wait { least_ns, is_sure } => {
                self.ns.max += passed_ns;
                self.may_have = true;
                if is_sure {
                    self.ns.min += passed_ns.min(least_ns);
                    self.has = true;
                }
            }
            Told::Hidden | Told::Unknown => {
                self.ns.max += passed_ns;
                self.may_have = true;
            }
            Told::Nothing => {}
        }
    }
}

/// A tenant's bucket of bytes.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: i128,
    at_ns: u64,
    /// Bytes that may be read at the begin of the next tick, as will be said then.
    said: Option<u64>,
}

impl Bucket {
    fn fill(&mut self, rates: &Rates, per_second: u64, now_ns: u64) {
        let rate = i128::from(per_second);
        let burst = (rate * i128::from(rates.burst_ns)).max(PARTS);
        self.level = (self.level + rate * i128::from(now_ns - self.at_ns)).min(burst);
        self.at_ns = now_ns;
    }
}

#[derive(Debug)]
pub(super) struct Waits {
    /// By stream.
    waits: [Wait; OWNERS.len()],
    /// By tenant: what was said last.
    said: [(u64, u64); TENANTS.len()],
    buckets: HashMap<usize, Bucket>,
    life: u32,
}

impl Waits {
    pub(super) fn new() -> Waits {
        Waits {
            waits: Default::default(),
            said: Default::default(),
            buckets: HashMap::new(),
            life: 0,
        }
    }

    /// I8 of one tick.
    pub(super) fn look(&mut self, node: &Node, tick: &ReaderTick) -> Result<(), String> {
        if std::mem::replace(&mut self.life, tick.life) != tick.life {
            self.waits = Default::default();
            self.buckets.clear();
        }
        let turns = node.watch.turns.look(|turns| turns[tick.turns.clone()].to_vec());
        self.owe(&node.plan, tick, &turns)?;
        self.waits.iter_mut().for_each(|it| it.pass(tick.at_ns));
        let mut bytes = [Bounds::default(); TENANTS.len()];
        let mut ns = [Bounds::default(); TENANTS.len()];
        for turn in turns.iter().filter(|it| is_counted(it)) {
            let wait = std::mem::take(&mut self.waits[turn.stream]);
            let tenant = OWNERS[turn.stream];
            if wait.may_have {
                bytes[tenant].max += turn.bytes;
                ns[tenant].max += wait.ns.max;
            }
            if wait.has {
                bytes[tenant].min += turn.kept_bytes;
                ns[tenant].min += wait.ns.min;
            }
        }
        for (number, tenant) in TENANTS.into_iter().enumerate() {
            let counted = tick.delayed.iter().find(|it| *it.0 == *tenant).map(|it| (it.1, it.2));
            let counted = counted.unwrap_or_default();
            let before = std::mem::replace(&mut self.said[number], counted);
            let (said_bytes, said_ns) = (counted.0 - before.0, counted.1 - before.1);
            let (bytes, ns) = (bytes[number], ns[number]);
            if !bytes.has(said_bytes) || !ns.has(said_ns) {
                return Err(format!(
                    "I8: {tenant}: {said_bytes} bytes waited for {said_ns} ns, as is said, and \
                    {bytes:?} for {ns:?}, as was seen"
                ));
            }
        }
        for (stream, wait) in self.waits.iter_mut().enumerate() {
            match told(tick, stream) {
                // It has nothing to read any more.
                None => *wait = Wait::default(),
                Some(told) => wait.note(told, tick.at_ns),
            }
        }
        Ok(())
    }

    /// Whoever has a limit of bytes has left what it was not read of it, or owes what it was read beyond it.
    fn owe(&mut self, plan: &Plan, tick: &ReaderTick, turns: &[Turn]) -> Result<(), String> {
        for (number, tenant) in TENANTS.into_iter().enumerate() {
            let limits = &plan.limits.tenants[tenant];
            // Others pay for parts of what is read, or as it is drained.
            let is_simple = matches!(limits.at_limit, AtLimit::Delay | AtLimit::ShedOldest);
            let Some(per_second) = limits.rates.bytes_per_second.filter(|_| is_simple) else {
                continue;
            };
            let begun = Bucket { level: 0, at_ns: tick.begun_ns, said: None };
            let bucket = self.buckets.entry(number).or_insert(begun);
            bucket.fill(&limits.rates, per_second, tick.at_ns);
            let (said, left) = (bucket.said.take(), whole(bucket.level));
            // Time goes on by some nanoseconds within a tick, in which a full bucket gains nothing.
            if let Some(said) = said.filter(|it| !(*it..=it + 1).contains(&left)) {
                return Err(format!("I8: {tenant} has {left} bytes left, and {said} are said"));
            }
            let own = turns.iter().filter(|it| OWNERS[it.stream] == number && it.gap.is_none());
            let bytes: u64 = own.map(|it| it.bytes).sum();
            bucket.level -= i128::from(bytes) * PARTS;
            bucket.said = left_bytes(tick, tenant);
            let owed = whole(PARTS - 1 - bucket.level);
            let said = tick.debts.iter().find(|it| *it.0 == *tenant).map_or(0, |it| it.1);
            if said != owed {
                return Err(format!("I8: {tenant} owes {owed} bytes, and {said} are said"));
            }
        }
        Ok(())
    }
}

/// Whole bytes; none if there are less than that.
fn whole(parts: i128) -> u64 {
    u64::try_from(parts.max(0) / PARTS).expect("little")
}

/// What the tenant may read by its own limit, as its sources say.
fn left_bytes(tick: &ReaderTick, tenant: &str) -> Option<u64> {
    let own =
        tick.report.iter().flat_map(|it| &it.awake).find(|it| *it.context.tenant == *tenant)?;
    let limit = own.limits.iter().find(|it| it.level == Level::Tenant && it.is_bytes)?;
    Some(limit.tokens)
}

/// Whether a turn brought anything that is delivered.
fn is_counted(turn: &Turn) -> bool {
    let is_all = turn.kept_bytes == turn.bytes;
    turn.has_records() && turn.bytes > 0 && (is_all || turn.records > 0)
}

/// What the limits of a stream have told it; none if it has nothing to read.
fn told(tick: &ReaderTick, stream: usize) -> Option<Told> {
    let Some(report) = &tick.report else { return Some(Told::Unknown) };
    let source = report.awake.iter().find(|it| stream_of(&it.context) == stream)?;
    let told = match source.waits_for? {
        WaitsFor::Limit { level, for_ns } => {
            let others = report.awake.iter().filter(|it| stream_of(&it.context) != stream);
            let own = OWNERS[stream];
            let is_sure = match level {
                // It waits for itself.
                Level::Container | Level::LogConfig => true,
                // Who asked waits, and all others with it: that is this one, if no other can have asked.
                Level::Tenant => others
                    .filter(|it| OWNERS[stream_of(&it.context)] == own)
                    .all(|it| cannot_have_asked(it.waits_for)),
                Level::Node => others.into_iter().all(|it| cannot_have_asked(it.waits_for)),
            };
            // It is asked at the begin of the next tick, for how long from then on.
            let least_ns = if for_ns > 0 { u64::MAX } else { tick.due_ns - tick.at_ns };
            Told::Wait { least_ns, is_sure }
        }
        WaitsFor::Lane | WaitsFor::Sink { .. } => Told::Hidden,
        WaitsFor::Turn | WaitsFor::Memory { .. } | WaitsFor::Window { .. } => Told::Nothing,
    };
    Some(told)
}

/// Whether it is not the one for whose sake its tenant, or the node, waits: it has nothing to read, or waits for itself.
fn cannot_have_asked(waits_for: Option<WaitsFor>) -> bool {
    let is_own = |level| matches!(level, Level::Container | Level::LogConfig);
    match waits_for {
        None => true,
        Some(WaitsFor::Limit { level, .. }) => is_own(level),
        Some(_) => false,
    }
}
