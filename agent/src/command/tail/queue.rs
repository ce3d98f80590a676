//! The embedded queue, tenant by tenant, in queue order.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use sink::queue::Scan;

use super::{LastLines, each_line};
use crate::cli::TailOptions;
use crate::command::queue;
use crate::command::section::{Filter, InBlock};
use crate::exit::{Exit, Failure, Outcome};

/// How often a followed queue is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn run(options: &TailOptions) -> Outcome {
    let reader = queue::open(&options.place)?;
    let filter = Filter::new(&options.filter);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut scans = Vec::new();
    let mut known = Vec::new();
    let mut last = LastLines::new(options.lines);
    let mut is_first = !options.all && options.lines > 0;
    loop {
        for tenant in queue::tenants(&reader, options.filter.tenant.as_deref())? {
            if !known.contains(&tenant) {
                scans.push(reader.scan(&tenant).map_err(Failure::unusable)?);
                known.push(tenant);
            }
        }
        for scan in &mut scans {
            each_match(scan, &filter, options, &mut |line| {
                if is_first {
                    last.push(line.to_vec());
                    Ok(())
                } else {
                    out.write_all(line)
                }
            })?;
        }
        for line in std::mem::take(&mut last.lines) {
            out.write_all(&line)?;
        }
        is_first = false;
        out.flush()?;
        if !options.follow {
            return Ok(Exit::Done);
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

/// Calls `each` for every record that the filter takes, in queue order.
fn each_match(
    scan: &mut Scan,
    filter: &Filter<'_>,
    options: &TailOptions,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    for item in scan {
        let batch = match item {
            Ok(batch) => batch,
            Err(problem) => {
                queue::warn(&problem);
                continue;
            }
        };
        let mut wanted = batch.entries.iter().filter(|it| filter.takes(&it.header)).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let block = match batch.block() {
            Ok(block) => block,
            Err(error) => {
                // Other blocks are whole.
                eprintln!("logferry: {error}");
                continue;
            }
        };
        for entry in wanted {
            let section = InBlock { entry, encoding: batch.block.encoding(), block: &block };
            each_line(&section, filter, options.output, each)?;
        }
    }
    Ok(())
}
