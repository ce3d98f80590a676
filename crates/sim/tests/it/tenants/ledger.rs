//! Ledger: what is in use against what is held, and what the meters say against what happened.

use std::sync::Arc;

use flow::{GapReason, PayloadHeader};
use pipeline::reader::WaitsFor;
use sim::Stored;

use super::{OWNERS, TENANTS, spooled};
use crate::bed::CHUNK_BYTES;
use crate::node::{Encoded, Kept, Node, NodeSpool, Queue, ReaderTick, Sums, Truth};

/// Batches of a lane: gathered, handed back, two that wait in it, and one that was refused.
const LANE_BATCHES: usize = 5;

/// I5 and I8 at any time.
pub(super) fn look(node: &Node) -> Result<(), String> {
    let Some(used) = node.memory_used() else { return Ok(()) };
    if node.books.are_due() {
        books_are_right(node)?;
    }
    memory_is_what_is_held(node, &used)?;
    for tenant in TENANTS {
        let meter = node.meter.tenant(&Arc::from(tenant));
        let sums = node.books.of(tenant);
        // What is on its way is said to be.
        if let Some(since_ns) = sums.open_since_unix_ns.map(|it| it.abs_diff(sim::EPOCH_UNIX_NS)) {
            let said_ns = meter.oldest_unacked_ns();
            if said_ns.is_none_or(|said_ns| said_ns > since_ns) {
                return Err(format!("I8: {tenant}: open since {since_ns}, said {said_ns:?}"));
            }
        }
        for reason in GapReason::ALL {
            let code = usize::from(reason.code());
            let (counted, acked) = (meter.gap_bytes[code].get(), sums.gap_bytes[code]);
            if counted > acked {
                return Err(format!(
                    "I8: {tenant}: {counted} bytes {reason}, {acked} in the queue"
                ));
            }
        }
    }
    Ok(())
}

/// The running sums are the obvious ones.
fn books_are_right(node: &Node) -> Result<(), String> {
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let sums = node.books.of(tenant);
        let open = open_since_unix_ns(node, tenant);
        if sums.open_since_unix_ns != open {
            return Err(format!("books: {tenant}: {sums:?}, open since {open:?}"));
        }
        for reason in GapReason::ALL {
            let bytes = gap_bytes(node, number, reason);
            if sums.gap_bytes[usize::from(reason.code())] != bytes {
                return Err(format!("books: {tenant}: {sums:?}, {bytes} bytes {reason}"));
            }
        }
        let (encoded, handed) = (encoded(node, number), handed(node, tenant));
        if (sums.encoded, sums.handed) != (encoded, handed) {
            return Err(format!("books: {tenant}: {sums:?}, {encoded:?}, {handed:?}"));
        }
    }
    Ok(())
}

/// When the oldest was read of a tenant that nobody has acknowledged, and that a sink or a spool has.
fn open_since_unix_ns(node: &Node, tenant: &str) -> Option<i64> {
    let is_open = |it: &PayloadHeader| *it.context.tenant == *tenant && !it.span.is_empty();
    let mut open: Vec<i64> = Vec::new();
    for (number, queue) in node.queues.iter().enumerate() {
        // A copy has the tickets of what the sink goes on delivering.
        let is_copied = |it: &Stored| {
            let is_it = |kept: &Kept| kept.is_copy && kept.is_safe && kept.is_same(it);
            node.spools.get(number).is_some_and(|it| it.look(|kept| kept.iter().any(is_it)))
        };
        queue.look(|stored| {
            let own = stored.iter().filter(|it| is_open(&it.header) && !it.is_acked);
            let own = own.filter(|it| !it.is_drained && !is_copied(it));
            open.extend(own.map(|it| it.header.observed_unix_ns));
        });
    }
    for (spool, queue) in node.spools.iter().zip(&node.queues) {
        // What was drained before it was synced may be removed before, too.
        let is_drained = |kept: &Kept| {
            let there = |it: &Stored| it.is_acked && kept.is_same(it);
            queue.look(|stored| stored.iter().any(there))
        };
        spool.look(|kept| {
            let own = kept.iter().filter(|it| is_open(&it.header) && !it.is_safe && !it.is_copy);
            let own = own.filter(|it| !is_drained(it));
            open.extend(own.map(|it| it.header.observed_unix_ns));
        });
    }
    open.into_iter().min()
}

/// I5, I6 and I8 after a tick of the reader.
pub(super) fn look_at_tick(node: &Node, tick: &ReaderTick) -> Result<(), String> {
    let Some(report) = &tick.report else { return Ok(()) };
    for source in &report.awake {
        let tenant = &source.context.tenant;
        if !matches!(source.waits_for, Some(WaitsFor::Memory { .. })) {
            continue;
        }
        let used = tick.used.iter().find(|it| it.0 == *tenant).map_or(0, |it| it.1);
        let reserved = node.plan.memory_of(tenant).reserved_bytes;
        if used + CHUNK_BYTES <= reserved {
            return Err(format!("I5: {tenant} waits for memory with {used} of {reserved} bytes"));
        }
    }
    Ok(())
}

/// I1 to I3 of all, nothing is held any more, and all was counted.
pub(super) fn finish(node: &Node) -> Result<(), String> {
    let (mut shed_bytes, mut passed_over) = ([0; TENANTS.len()], [0; TENANTS.len()]);
    let mut let_go_bytes = [0; TENANTS.len()];
    for (stream, tenant) in OWNERS.into_iter().enumerate() {
        let verdict = node.check_stream(stream, &Truth::Bytes)?;
        shed_bytes[tenant] += verdict.shed_bytes;
        passed_over[tenant] += verdict.shed_records + node.left_out(stream);
        let_go_bytes[tenant] += verdict.released_bytes;
    }
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let meter = node.meter.tenant(&Arc::from(tenant));
        let declared = gap_bytes(node, number, GapReason::Shed);
        if declared != shed_bytes[number] {
            let missing = shed_bytes[number];
            return Err(format!("{tenant}: {declared} bytes declared as shed, {missing} are"));
        }
        let (declared, missing) = (spooled::let_go_bytes(node, tenant), let_go_bytes[number]);
        if declared != missing {
            return Err(format!("{tenant}: {declared} bytes declared as let go, {missing} are"));
        }
        passed_over[number] += node.let_go_filtered(tenant)?;
        let counted = meter.shed_records.get();
        // What a killed agent had passed over is read again, and counted again.
        let is_one = node.lives == 1;
        let passed_over = passed_over[number] as u64;
        if counted < passed_over || is_one && counted != passed_over {
            return Err(format!("I8: {tenant}: {counted} records shed, {passed_over} are"));
        }
        // What a full spool lets go of had been acknowledged as records.
        for reason in GapReason::ALL.into_iter().filter(|it| *it != GapReason::SpoolFull) {
            let counted = meter.gap_bytes[usize::from(reason.code())].get();
            let acked = gap_bytes(node, number, reason);
            if is_one && counted != acked {
                return Err(format!(
                    "I8: {tenant}: {counted} bytes {reason}, {acked} in the queue"
                ));
            }
        }
        let (read, accounted) = (meter.read_bytes.get(), meter.accounted_bytes());
        if read != accounted || meter.oldest_unacked_ns().is_some() {
            return Err(format!("I9: {tenant}: {read} bytes read, {accounted} accounted for"));
        }
    }
    match node.memory_used().into_iter().flatten().find(|it| it.1 > 0) {
        Some((tenant, used)) => Err(format!("I5: {tenant} has {used} bytes, and holds nothing")),
        None => Ok(()),
    }
}

/// I5: permits are those of the payloads that are there, and within all budgets; of each tenant's own [`Node::look`] knows.
fn memory_is_what_is_held(node: &Node, used: &[(Arc<str>, usize)]) -> Result<(), String> {
    for (tenant, bytes) in used {
        let number = TENANTS.iter().position(|it| **it == **tenant).expect("a tenant");
        let Sums { encoded, handed, .. } = node.books.of(tenant);
        // A gap is paid for by the records in its batch, if there are any.
        let records = encoded.records - handed.records;
        let all = encoded.all - handed.all;
        if !(records..=all).contains(&(*bytes as u64)) {
            return Err(format!(
                "I5: {tenant} pays for {bytes} bytes, and holds {records} to {all}"
            ));
        }
        let lanes = OWNERS.iter().filter(|it| **it == number).count();
        let batch = usize::try_from(node.plan.batch.bytes_max).expect("a batch is small");
        if *bytes > lanes * LANE_BATCHES * (batch + CHUNK_BYTES) {
            return Err(format!("I5: {tenant} has {bytes} bytes in {lanes} lanes"));
        }
    }
    let (all, cap) = (used.iter().map(|it| it.1).sum::<usize>(), node.plan.memory_cap());
    if all > cap + used.iter().map(|it| node.grown(&it.0)).sum::<usize>() {
        return Err(format!("I5: all have {all} bytes of {cap}"));
    }
    Ok(())
}

/// What a tenant's turns in this life became.
fn encoded(node: &Node, tenant: usize) -> Encoded {
    node.watch.turns.look(|turns| {
        let own = turns[node.watch.begun..].iter().filter(|it| OWNERS[it.stream] == tenant);
        own.fold(Encoded::default(), |sum, it| {
            sum.and(it.encoded_bytes, it.bytes, it.has_records())
        })
    })
}

/// What of it queues and spools were handed.
fn handed(node: &Node, tenant: &str) -> Encoded {
    let life = node.lives - 1;
    let add = |sum: Encoded, header: &PayloadHeader| match *header.context.tenant == *tenant {
        true => sum.and_handed(header),
        false => sum,
    };
    let mut sum = Encoded::default();
    for queue in &node.queues {
        queue.look(|stored| {
            let own = stored.iter().filter(|it| it.life == life && !it.is_drained);
            sum = own.fold(sum, |sum, it| add(sum, &it.header));
        });
    }
    for spool in &node.spools {
        spool.look(|kept| {
            let own = kept.iter().filter(|it| it.life == life && !it.is_copy);
            sum = own.fold(sum, |sum, it| add(sum, &it.header));
        });
    }
    sum
}

/// Bytes of a tenant that were declared missing for this reason, and acknowledged.
fn gap_bytes(node: &Node, tenant: usize, reason: GapReason) -> u64 {
    let bytes = |it: &PayloadHeader| {
        let is_it = *it.context.tenant == *TENANTS[tenant] && it.gap == Some(reason);
        if is_it { it.span.bytes() } else { 0 }
    };
    let in_queues = node.sum(|it| if it.is_acked { bytes(&it.header) } else { 0 });
    let in_spool = |(spool, queue): (&NodeSpool, &Queue)| {
        let is_counted = |kept: &Kept| {
            let there = |it: &Stored| it.is_acked && kept.is_same(it);
            queue.look(|stored| stored.iter().any(there))
        };
        spool.look(|kept| {
            let own = kept.iter().filter(|it| it.is_safe && !is_counted(it));
            own.map(|it| bytes(&it.header)).sum::<u64>()
        })
    };
    in_queues + node.spools.iter().zip(&node.queues).map(in_spool).sum::<u64>()
}
