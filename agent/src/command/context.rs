//! `logferry context`: the records before and after one record, by context and cursor.

mod queue;
mod topic;

use std::io::Write;

use super::print;
use super::section::{Section, records};
use crate::cli::{ContextOptions, Output};
use crate::exit::{Failure, Outcome};

pub(crate) fn run(options: &ContextOptions) -> Outcome {
    match super::topic::open(&options.place) {
        Some(reader) => topic::run(options, reader?),
        None => queue::run(options),
    }
}

/// Prints; returns whether there is a record with that very cursor.
fn print_around(
    out: &mut impl Write,
    options: &ContextOptions,
    found: &[impl Section],
) -> Result<bool, Failure> {
    let mut bodies = Vec::new();
    for it in found {
        bodies.push((it, it.body().map_err(Failure::unusable)?));
    }
    let mut all = Vec::new();
    for (section, body) in &bodies {
        for record in records(*section, body).map_err(Failure::unusable)? {
            all.push((*section, body, record));
        }
    }
    all.sort_by_key(|(.., record)| record.cursor);
    all.dedup_by_key(|(.., record)| record.cursor);
    let anchor = all.partition_point(|(.., record)| record.cursor < options.cursor);
    let has_anchor = all.get(anchor).is_some_and(|(.., it)| it.cursor == options.cursor);
    let end = anchor + usize::from(has_anchor) + options.lines;
    let shown = &all[anchor.saturating_sub(options.lines)..end.min(all.len())];
    for (section, body, record) in shown {
        if options.output == Output::Text {
            out.write_all(if record.cursor == options.cursor { b"> " } else { b"  " })?;
        }
        let context = section.context(body);
        print::record(out, options.output, &context, section.header().epoch, record)?;
    }
    if !has_anchor {
        eprintln!(
            "logferry: cursor {}: no record begins there; its neighbours are shown",
            options.cursor
        );
    }
    Ok(has_anchor)
}
