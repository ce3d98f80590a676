//! The embedded queue, by its indices.

use std::io::{self, BufWriter, Write};

use flow::ContextId;
use sink::queue::{Found, QueueReader};

use super::print_around;
use crate::cli::ContextOptions;
use crate::command::queue;
use crate::exit::{Exit, Failure, Outcome};

pub(super) fn run(options: &ContextOptions) -> Outcome {
    let reader = queue::open(&options.place)?;
    let Some((tenant, epoch)) = locate(&reader, options.context, options.epoch)? else {
        eprintln!("logferry: {}: the queue holds nothing of this context", options.context);
        return Ok(Exit::Bad);
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut sections = 1;
    loop {
        let mut problems = Vec::new();
        let around = (sections, sections);
        let found = reader
            .around(&tenant, options.context, epoch, options.cursor, around, &mut problems)
            .map_err(Failure::unusable)?;
        problems.iter().for_each(queue::warn);
        let (before, after) =
            (count(&found, options.cursor, true), count(&found, options.cursor, false));
        let sections_before =
            found.iter().filter(|it| it.entry.header.span.begin <= options.cursor).count();
        // Fewer sections on a side than asked for: there are no more on that side.
        let is_enough = (before > options.lines || sections_before < sections)
            && (after >= options.lines || found.len() - sections_before < sections);
        if is_enough || sections >= SECTIONS_MAX {
            let has_anchor = print_around(&mut out, options, &found)?;
            out.flush()?;
            return Ok(if has_anchor { Exit::Done } else { Exit::Bad });
        }
        sections *= 4;
    }
}

/// Sections looked at on each side: an end for queues whose sections hold no records.
const SECTIONS_MAX: usize = 1 << 16;

/// The tenant that owns the context, and its last epoch unless one is given.
fn locate(
    reader: &QueueReader,
    context: ContextId,
    epoch: Option<u32>,
) -> Result<Option<(String, u32)>, Failure> {
    let mut newest = None;
    for tenant in queue::tenants(reader, None)? {
        let mut problems = Vec::new();
        let summaries = reader.contexts(&tenant, &mut problems).map_err(Failure::unusable)?;
        let epochs = summaries.iter().filter(|it| it.context.id == context).map(|it| it.epoch);
        let wanted = epochs.filter(|it| epoch.is_none_or(|epoch| epoch == *it)).max();
        if let Some(epoch) = wanted {
            newest = newest.max(Some((epoch, tenant)));
        }
    }
    Ok(newest.map(|(epoch, tenant)| (tenant, epoch)))
}

/// Records on one side of the cursor; the record itself counts as before.
fn count(found: &[Found], cursor: u64, is_before: bool) -> usize {
    let sides = found.iter().filter(|it| (it.entry.header.span.begin <= cursor) == is_before);
    // The section with the record counts for what it has at least: one.
    let records = |it: &Found| match it.entry.header.span {
        span if span.begin <= cursor && cursor < span.end => 1,
        _ => it.entry.header.records as usize,
    };
    sides.map(records).sum()
}
