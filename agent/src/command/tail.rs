//! `logferry tail`: records of the embedded queue, by namespace, pod, container and text.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use flow::{Context, attribute};
use sink::decode::{DecodedRecord, decode};
use sink::queue::{BatchFrame, Entry, Scan};

use super::{print, queue};
use crate::cli::{RecordFilter, TailOptions};
use crate::exit::{Exit, Failure, Outcome};

/// How often a followed queue is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &TailOptions) -> Outcome {
    let reader = queue::open(&options.place)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut scans = Vec::new();
    let mut known = Vec::new();
    let mut last = LastLines { max: options.lines, lines: VecDeque::new() };
    loop {
        for tenant in queue::tenants(&reader, options.filter.tenant.as_deref())? {
            if !known.contains(&tenant) {
                scans.push(reader.scan(&tenant).map_err(Failure::unusable)?);
                known.push(tenant);
            }
        }
        for scan in &mut scans {
            let is_first = last.max > 0 && !options.all;
            let mut line = Vec::new();
            each_match(scan, &options.filter, &mut |entry, record| {
                line.clear();
                let header = &entry.header;
                print::record(&mut line, options.output, &header.context, header.epoch, record)?;
                if is_first {
                    last.push(&line)
                } else {
                    out.write_all(&line)?
                }
                Ok(())
            })?;
        }
        for line in std::mem::take(&mut last.lines) {
            out.write_all(&line)?;
        }
        last.max = 0;
        out.flush()?;
        if !options.follow {
            return Ok(Exit::Done);
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

/// The last records, before following begins.
struct LastLines {
    max: usize,
    lines: VecDeque<Vec<u8>>,
}

impl LastLines {
    fn push(&mut self, line: &[u8]) {
        if self.lines.len() == self.max {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_vec());
    }
}

/// Calls `each` for every record that the filter takes, in queue order.
fn each_match(
    scan: &mut Scan,
    filter: &RecordFilter,
    each: &mut dyn FnMut(&Entry, &DecodedRecord<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    let grep = filter.grep.as_ref().map(|text| memchr::memmem::Finder::new(text.as_bytes()));
    for item in scan {
        let batch = match item {
            Ok(batch) => batch,
            Err(problem) => {
                queue::warn(&problem);
                continue;
            }
        };
        let wanted: Vec<&Entry> =
            batch.entries.iter().filter(|it| takes(filter, &it.header.context)).collect();
        if wanted.is_empty() {
            continue;
        }
        let Some(block) = block_of(&batch) else { continue };
        for entry in wanted {
            let range = &entry.header.range;
            let payload = &block[range.start as usize..range.end as usize];
            let records = decode(batch.block.encoding(), payload)
                .with_context(|| format!("{}", entry.header.context))
                .map_err(Failure::unusable)?;
            for record in &records {
                if grep.as_ref().is_none_or(|it| it.find(&record.body).is_some()) {
                    each(entry, record)?;
                }
            }
        }
    }
    Ok(())
}

/// The block, or a word on standard error about why not: other blocks are whole.
fn block_of(batch: &BatchFrame) -> Option<Bytes> {
    batch.block().map_err(|error| eprintln!("logferry: {error}")).ok()
}

fn takes(filter: &RecordFilter, context: &Context) -> bool {
    let wants = |wanted: &Option<String>, key: &str| {
        wanted.as_deref().is_none_or(|wanted| context.text(key) == Some(wanted))
    };
    filter.context.is_none_or(|id| id == context.id)
        && wants(&filter.namespace, attribute::K8S_NAMESPACE_NAME)
        && wants(&filter.pod, attribute::K8S_POD_NAME)
        && wants(&filter.container, attribute::K8S_CONTAINER_NAME)
        && wants(&filter.path, attribute::LOG_FILE_PATH)
}
