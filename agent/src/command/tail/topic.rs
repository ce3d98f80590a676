//! A topic: its last records, or all; and then what comes.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use flow::SystemClock;
use sink::kafka::{Bounds, TopicMessage, TopicReader, TopicSection, Window};

use super::{LastLines, each_line};
use crate::cli::TailOptions;
use crate::command::section::Filter;
use crate::command::topic;
use crate::exit::{Exit, Failure, Outcome};

/// Messages of a partition that are looked through first for its last records.
const STRIDE: i64 = 64;

pub(super) fn run(options: &TailOptions, mut reader: TopicReader) -> Outcome {
    let tail = Tail { options, filter: Filter::new(&options.filter) };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut windows = Vec::new();
    for (partition, Bounds { first, end }) in reader.bounds().clone() {
        let from = match options.filter.since {
            Some(since) => reader.offset_at(partition, ms(since)).map_err(Failure::unusable)?,
            None => first,
        };
        windows.push(Window { partition, from, to: end });
    }
    if options.all {
        let mut failed = Ok(());
        let read = reader.read_windows(&windows, &SystemClock, |message| {
            tail.message(message, &mut failed, &mut |_, line| out.write_all(line))
        });
        read.map_err(Failure::unusable)?;
        failed?;
    } else {
        for line in tail.last(&mut reader, &windows)? {
            out.write_all(&line)?;
        }
    }
    out.flush()?;
    if options.follow {
        let next = windows.iter().map(|it| (it.partition, it.to)).collect();
        let mut failed = Ok(());
        let followed = reader.follow(next, &SystemClock, |message| match message {
            Some(it) => tail.message(it, &mut failed, &mut |_, line| out.write_all(line)),
            None => {
                failed = out.flush().map_err(Failure::from);
                failed.is_ok()
            }
        });
        followed.map_err(Failure::unusable)?;
        failed?;
    }
    Ok(Exit::Done)
}

struct Tail<'a> {
    options: &'a TailOptions,
    filter: Filter<'a>,
}

impl Tail<'_> {
    /// Calls `each` with the lines of a message; what the filter excludes is not opened. Returns whether to go
    /// on, and if not, why.
    fn message(
        &self,
        message: TopicMessage<'_>,
        failed: &mut Result<(), Failure>,
        each: &mut dyn FnMut(&TopicSection<'_>, &[u8]) -> io::Result<()>,
    ) -> bool {
        match message {
            TopicMessage::Section(section) if self.filter.takes(&section.header) => {
                let mut each = |line: &[u8]| each(&section, line);
                *failed = each_line(&section, &self.filter, self.options.output, &mut each);
            }
            TopicMessage::Damaged(what) => topic::warn(&what),
            TopicMessage::Section(_) | TopicMessage::Foreign => {}
        }
        failed.is_ok()
    }

    /// The last lines: each partition is read backwards, by windows that grow, until it has given as many. By
    /// the time of reading, as partitions have no order among them.
    fn last(&self, reader: &mut TopicReader, all: &[Window]) -> Result<Vec<Vec<u8>>, Failure> {
        let max = self.options.lines;
        let mut found: BTreeMap<i32, Vec<(i64, Vec<u8>)>> = BTreeMap::new();
        let mut left = all.to_vec();
        let mut length = STRIDE;
        loop {
            let known = |partition| found.get(&partition).map_or(0, Vec::len);
            left.retain(|it| it.from < it.to && known(it.partition) < max);
            if left.is_empty() {
                break;
            }
            let near: Vec<Window> =
                left.iter().map(|it| Window { from: it.from.max(it.to - length), ..*it }).collect();
            let mut newer: BTreeMap<i32, LastLines<(i64, Vec<u8>)>> = BTreeMap::new();
            let mut failed = Ok(());
            let read = reader.read_windows(&near, &SystemClock, |message| {
                self.message(message, &mut failed, &mut |section, line| {
                    let lines = newer.entry(section.partition);
                    let lines = lines.or_insert_with(|| LastLines::new(max));
                    lines.push((section.header.observed_unix_ns, line.to_vec()));
                    Ok(())
                })
            });
            read.map_err(Failure::unusable)?;
            failed?;
            for (partition, lines) in newer {
                let known = found.entry(partition).or_default();
                let missing = max - known.len();
                let excess = lines.lines.len().saturating_sub(missing);
                known.splice(..0, lines.lines.into_iter().skip(excess));
            }
            for (it, near) in left.iter_mut().zip(&near) {
                it.to = near.from;
            }
            length *= 2;
        }
        let mut lines: Vec<(i64, Vec<u8>)> = found.into_values().flatten().collect();
        // Stable: lines of one partition stay in their order, those of one message above all.
        lines.sort_by_key(|(observed, _)| *observed);
        let excess = lines.len().saturating_sub(max);
        Ok(lines.into_iter().skip(excess).map(|(_, line)| line).collect())
    }
}

fn ms(unix_ns: i64) -> i64 {
    unix_ns.div_euclid(1_000_000)
}
