//! A topic, by key, time and cursors.

use std::io::{self, BufWriter, Write};

use flow::SystemClock;
use sink::kafka::{Lookup, TopicReader};

use super::print_around;
use crate::cli::ContextOptions;
use crate::exit::{Exit, Failure, Outcome};

pub(super) fn run(options: &ContextOptions, mut reader: TopicReader) -> Outcome {
    let lookup = Lookup {
        context: options.context,
        epoch: options.epoch,
        cursor: options.cursor,
        lines: options.lines,
        since_unix_ms: options.time.map(|it| it.div_euclid(1_000_000)),
        messages_max: options.messages_max,
    };
    let around = lookup.run(&mut reader, &SystemClock).map_err(Failure::unusable)?;
    eprintln!("logferry: {} messages of the topic were read", around.messages);
    if !around.is_complete {
        eprintln!(
            "logferry: no more than {} are (--messages-max), so there may be more; --time says where to begin",
            options.messages_max
        );
    }
    if around.sections.is_empty() {
        let of = options.epoch.map_or_else(String::new, |it| format!(" in epoch {it}"));
        eprintln!("logferry: {}: nothing of this context was found{of}", options.context);
        return Ok(Exit::Bad);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let has_anchor = print_around(&mut out, options, &around.sections)?;
    out.flush()?;
    Ok(if has_anchor { Exit::Done } else { Exit::Bad })
}
