//! Rates: in any stretch of time a limit lets no more be read than its rate and its burst, and of bytes what one record
//! has more that crosses them. This is exact: to the token, and whatever else is read; but for the moment between taking
//! tokens and reading for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::limits::{AtLimit, Level, Rates};
use sim::EPOCH_UNIX_NS;

use crate::node::{Node, Plan, Turn};

/// Parts of a token: one nanosecond adds as many as there are tokens in a second.
const PARTS: u128 = 1_000_000_000;

/// Longest moment between taking tokens and the time that a read has, in nanoseconds: each change to a world takes one, and
/// some may come in between.
const READ_NS: u128 = 16;

/// Whose limit, and whether of bytes or else of records.
type Name = (Level, Arc<str>, bool);

/// How much was read beyond a rate, in parts of tokens.
#[derive(Debug, Default, Clone, Copy)]
struct Over {
    parts: u128,
    burst: u128,
    at_ns: u64,
}

#[derive(Debug, Default)]
pub(super) struct RateGauge {
    over: BTreeMap<Name, Over>,
    seen: usize,
    life: u32,
}

impl RateGauge {
    /// All turns since the last call.
    pub(super) fn look(&mut self, node: &Node) -> Result<(), String> {
        let turns = node.watch.turns.look(|turns| turns[self.seen..].to_vec());
        let is_new = !turns.is_empty() && self.life != node.lives;
        if is_new {
            // Buckets are empty again, and debts are forgotten.
            self.life = node.lives;
            self.over.values_mut().for_each(|it| it.parts = it.parts.min(it.burst));
        }
        self.seen += turns.len();
        turns.iter().try_for_each(|turn| self.take(&node.plan, turn))
    }

    fn take(&mut self, plan: &Plan, turn: &Turn) -> Result<(), String> {
        if !turn.is_read() || turn.gap.is_some() {
            return Ok(());
        }
        let stream = &plan.streams[turn.stream];
        // It pays when it is drained.
        if plan.spool.is_some() && plan.limits.tenants[&stream.tenant].at_limit == AtLimit::Spool {
            return Ok(());
        }
        let levels = [
            (Level::Node, Arc::from("")),
            (Level::Tenant, Arc::clone(&stream.tenant)),
            (Level::LogConfig, Arc::clone(&stream.log_config)),
            (Level::Container, Arc::from(turn.stream.to_string())),
        ];
        for ((level, name), rates) in levels.into_iter().zip(plan.limits_of(turn.stream)) {
            self.count(&rates, (level, Arc::clone(&name), true), turn)?;
            self.count(&rates, (level, name, false), turn)?;
        }
        Ok(())
    }

    fn count(&mut self, rates: &Rates, name: Name, turn: &Turn) -> Result<(), String> {
        let (per_second, tokens, crossing) = match name.2 {
            true => (rates.bytes_per_second, turn.kept_bytes, turn.last_bytes),
            false => (rates.records_per_second, turn.records, 0),
        };
        let Some(per_second) = per_second.map(u128::from) else {
            self.over.remove(&name);
            return Ok(());
        };
        let now_ns = turn.at_unix_ns.abs_diff(EPOCH_UNIX_NS);
        let over = self.over.entry(name.clone()).or_default();
        let passed = per_second * u128::from(now_ns - over.at_ns);
        let burst = (per_second * u128::from(rates.burst_ns)).max(PARTS);
        if std::mem::replace(&mut over.burst, burst) != burst {
            // Another plan, with an empty bucket.
            over.parts = over.parts.min(burst);
        }
        over.parts = over.parts.saturating_sub(passed) + u128::from(tokens) * PARTS;
        over.at_ns = now_ns;
        let allowed = over.burst + u128::from(crossing) * PARTS + per_second * READ_NS;
        if over.parts > allowed {
            let (over, allowed) = (over.parts / PARTS, allowed / PARTS);
            return Err(format!("I6: {name:?}: {over} beyond the rate of {rates:?}, of {allowed}"));
        }
        Ok(())
    }
}
