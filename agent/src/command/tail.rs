//! `logferry tail`: records of a queue or a topic, by namespace, pod, container, time and text.

mod queue;
mod topic;

use std::collections::VecDeque;
use std::io;

use super::print;
use super::section::{Filter, Section, records};
use crate::cli::{Output, TailOptions};
use crate::exit::{Failure, Outcome};

pub(crate) fn run(options: &TailOptions) -> Outcome {
    match super::topic::open(&options.place) {
        Some(reader) => topic::run(options, reader?),
        None => queue::run(options),
    }
}

/// The last records, before following begins.
struct LastLines<T> {
    max: usize,
    lines: VecDeque<T>,
}

impl<T> LastLines<T> {
    fn new(max: usize) -> LastLines<T> {
        LastLines { max, lines: VecDeque::new() }
    }

    fn push(&mut self, line: T) {
        if self.lines.len() >= self.max {
            self.lines.pop_front();
        }
        if self.max > 0 {
            self.lines.push_back(line);
        }
    }
}

/// Calls `each` with a line for every record of a section that the filter takes. A body that cannot be read
/// is told of: other sections are whole.
fn each_line(
    section: &impl Section,
    filter: &Filter<'_>,
    output: Output,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let body = match section.body() {
        Ok(body) => body,
        Err(error) => {
            eprintln!("logferry: {}: {error:#}", section.header().context);
            return Ok(());
        }
    };
    let records = match records(section, &body) {
        Ok(records) => records,
        Err(error) => {
            eprintln!("logferry: {error:#}");
            return Ok(());
        }
    };
    let mut context = None;
    let mut line = Vec::new();
    for record in records.iter().filter(|it| filter.takes_record(it)) {
        let context = context.get_or_insert_with(|| section.context(&body));
        line.clear();
        print::record(&mut line, output, context, section.header().epoch, record)?;
        each(&line)?;
    }
    Ok(())
}
