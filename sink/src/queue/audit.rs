//! Audit: proves from the queue alone what was delivered, lost and doubled.
//!
//! The spans of one context and epoch tile its byte stream (`docs/FORMAT.md`, invariants). The audit
//! observes entries in queue order and keeps a set of covered ranges per context and epoch: a hole in
//! it is lost, a byte covered again is doubled, and a range filled in late is out of order but neither.
//! Pure and streaming: it reads no file, and its memory goes by the number of contexts.

mod coverage;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::{Context, ContextId, Encoding, PayloadHeader};

use super::problem::Problem;
use super::scan::BatchFrame;
use coverage::Coverage;

pub use report::{AuditReport, ContextAudit, GapSum, Gaps, Head};

/// Most texts that a report keeps of faults in bodies, and of problems; all are counted.
pub const AUDIT_TEXTS_MAX: usize = 100;

/// Tells the cursors of a section's records, so that the audit can look into bodies.
pub trait SectionCursors {
    /// Appends the cursor of each record in `body`, in order, to `out`.
    ///
    /// # Errors
    /// A text that says why the body is not what its encoding makes.
    fn cursors(
        &mut self,
        encoding: Encoding,
        body: &[u8],
        out: &mut Vec<u64>,
    ) -> Result<(), String>;
}

impl<F> SectionCursors for F
where
    F: FnMut(Encoding, &[u8], &mut Vec<u64>) -> Result<(), String>,
{
    fn cursors(
        &mut self,
        encoding: Encoding,
        body: &[u8],
        out: &mut Vec<u64>,
    ) -> Result<(), String> {
        self(encoding, body, out)
    }
}

/// What is known so far of one context and epoch.
#[derive(Debug)]
struct Observed {
    context: Arc<Context>,
    coverage: Coverage,
    /// How far it came, by partition: one, and one more for each time its topic grew and it moved.
    reached: Vec<(i32, u64)>,
    sections: u64,
    records: u64,
    filtered: u64,
    bytes: u64,
    gaps: Gaps,
    doubled: u64,
    misordered: u64,
    /// Begin of the section that is marked as the first.
    first_begin: Option<u64>,
    ended: bool,
}

/// Checks one tenant's queue.
#[derive(Debug)]
pub struct Audit {
    is_trimmed: bool,
    contexts: BTreeMap<(ContextId, u32), Observed>,
    faults: Texts,
    problems: Texts,
    /// Reused from section to section.
    cursors: Vec<u64>,
}

/// The first texts of many, and their number.
#[derive(Debug, Default)]
struct Texts {
    kept: Vec<String>,
    count: u64,
}

impl Texts {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.kept.len() < AUDIT_TEXTS_MAX {
            self.kept.push(text());
        }
    }
}

impl Audit {
    /// An audit of a queue whose oldest segment is `first_sequence`, as
    /// [`super::QueueReader::first_sequence`] tells it: if that is not 0, retention has removed the
    /// heads of older contexts, and their absence is no loss.
    #[must_use]
    pub fn new(first_sequence: u64) -> Audit {
        Audit {
            is_trimmed: first_sequence > 0,
            contexts: BTreeMap::new(),
            faults: Texts::default(),
            problems: Texts::default(),
            cursors: Vec::new(),
        }
    }

    /// The next section in queue order.
    pub fn observe(&mut self, header: &PayloadHeader) {
        self.observe_in(0, header);
    }

    /// The next section in the order of a partition. There is no order among partitions: a context is in
    /// more than one if its topic was given more of them.
    pub fn observe_in(&mut self, partition: i32, header: &PayloadHeader) {
        let key = (header.context.id, header.epoch);
        let observed = self.contexts.entry(key).or_insert_with(|| Observed::new(&header.context));
        observed.observe(partition, header);
    }

    /// The next batch in queue order. With `decode`, its block is read and its bodies are checked.
    pub fn observe_batch(&mut self, batch: &BatchFrame, decode: Option<&mut dyn SectionCursors>) {
        for entry in &batch.entries {
            self.observe(&entry.header);
        }
        let Some(decode) = decode else { return };
        let block = match batch.block() {
            Ok(block) => block,
            Err(error) => return self.faults.add(|| error.to_string()),
        };
        for entry in &batch.entries {
            let header = &entry.header;
            let body = &block[header.in_block()];
            self.observe_body(header, batch.block.encoding(), body, decode);
        }
    }

    /// The body of a section that was observed.
    ///
    /// There must be as many records as the header says, each within the span, and each behind the one
    /// before. Sections that carry no records (gaps, ends) are not looked into.
    pub fn observe_body(
        &mut self,
        header: &PayloadHeader,
        encoding: Encoding,
        body: &[u8],
        decode: &mut dyn SectionCursors,
    ) {
        if header.gap.is_some() {
            return;
        }
        self.cursors.clear();
        let decoded = decode.cursors(encoding, body, &mut self.cursors);
        let fault = decoded.err().or_else(|| check_cursors(header, &self.cursors));
        if let Some(fault) = fault {
            self.observe_fault(header, &fault);
        }
    }

    /// Something that is wrong with a section's body.
    pub fn observe_fault(&mut self, header: &PayloadHeader, fault: &str) {
        let PayloadHeader { context, epoch, span, .. } = header;
        self.faults.add(|| format!("context {} epoch {epoch} {span}: {fault}", context.id));
    }

    /// Something that the reader had to leave out.
    pub fn observe_problem(&mut self, problem: &Problem) {
        self.problems.add(|| problem.to_string());
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> AuditReport {
        let is_trimmed = self.is_trimmed;
        let contexts = self.contexts.into_iter();
        AuditReport {
            is_trimmed,
            contexts: contexts.map(|((_, epoch), it)| it.finish(epoch, is_trimmed)).collect(),
            faults: self.faults.count,
            fault_texts: self.faults.kept,
            problems: self.problems.count,
            problem_texts: self.problems.kept,
        }
    }
}

/// What is wrong with the cursors of a section's records.
fn check_cursors(header: &PayloadHeader, cursors: &[u64]) -> Option<String> {
    if cursors.len() != header.records as usize {
        return Some(format!("{} records, the header says {}", cursors.len(), header.records));
    }
    let is_inside = |cursor: &&u64| header.span.begin <= **cursor && **cursor < header.span.end;
    if let Some(outside) = cursors.iter().find(|cursor| !is_inside(cursor)) {
        return Some(format!("a record at cursor {outside} is outside of the span"));
    }
    let back = cursors.windows(2).find(|pair| pair[0] >= pair[1])?;
    Some(format!("a record at cursor {} comes after one at {}", back[1], back[0]))
}

impl Observed {
    fn new(context: &Arc<Context>) -> Observed {
        Observed {
            context: Arc::clone(context),
            coverage: Coverage::default(),
            reached: Vec::new(),
            sections: 0,
            records: 0,
            filtered: 0,
            bytes: 0,
            gaps: Gaps::default(),
            doubled: 0,
            misordered: 0,
            first_begin: None,
            ended: false,
        }
    }

    fn observe(&mut self, partition: i32, header: &PayloadHeader) {
        let span = header.span;
        let overlap = self.coverage.cover(span);
        self.doubled += overlap;
        if !span.is_empty() {
            let reached = self.reached.iter_mut().find(|it| it.0 == partition);
            match reached {
                Some((_, end)) => {
                    self.misordered += u64::from(overlap == 0 && span.begin < *end);
                    *end = (*end).max(span.end);
                }
                None => self.reached.push((partition, span.end)),
            }
        }
        match header.gap {
            Some(reason) => self.gaps.add(reason, GapSum { count: 1, bytes: span.bytes() }),
            None => self.bytes += span.bytes(),
        }
        self.sections += 1;
        self.records += u64::from(header.records);
        self.filtered += u64::from(header.filtered);
        if header.marks.first {
            let earlier = self.first_begin.unwrap_or(span.begin);
            self.first_begin = Some(earlier.min(span.begin));
        }
        self.ended |= header.marks.last;
        // Described anew: the last description is shown.
        if !Arc::ptr_eq(&self.context, &header.context) {
            self.context = Arc::clone(&header.context);
        }
    }

    fn finish(self, epoch: u32, is_trimmed: bool) -> ContextAudit {
        let is_there = match (self.first_begin, self.coverage.begin()) {
            (Some(first), Some(begin)) => first <= begin,
            (first, None) => first.is_some(),
            (None, Some(_)) => false,
        };
        let head = match (is_there, is_trimmed) {
            (true, _) => Head::Present,
            (false, true) => Head::Trimmed,
            (false, false) => Head::Missing,
        };
        ContextAudit {
            context: self.context,
            epoch,
            covered: self.coverage.span(),
            sections: self.sections,
            records: self.records,
            filtered: self.filtered,
            bytes: self.bytes,
            gaps: self.gaps,
            lost: self.coverage.holes(),
            doubled: self.doubled,
            misordered: self.misordered,
            head,
            ended: self.ended,
            coarse: self.coverage.is_coarse(),
        }
    }
}

#[cfg(test)]
mod tests;
