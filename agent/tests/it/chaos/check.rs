//! Check: what the queue holds of a stream, compared with what was written.
//!
//! The records of one content stand in the queue in their order, each once, and without holes between
//! them: only its end can be missing. What is missing was destroyed, and what the agent had seen of it
//! is declared; a declared gap has a destroyed content whose end it fits.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::stream::{Stream, parse};
use super::truth::{Content, Life};
use crate::kit::body;

/// Reason of a gap that nobody wrote.
const HOLE: &str = "sparse_hole";

/// What became of a stream.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outcome {
    /// Lines that are not in the queue.
    pub(super) missing: u64,
    /// … which the agent had seen, so that a gap had to say so.
    pub(super) owed: u64,
    /// Lines that came once more, since a power cut took the end of what was delivered of their file.
    pub(super) again: u64,
    /// Declared gaps with a length.
    pub(super) gaps: u64,
    /// Declared gaps of unknown length.
    pub(super) unsized_gaps: u64,
    /// Declared holes.
    pub(super) holes: u64,
}

/// A stream being compared.
struct Check<'a> {
    stream: &'a Stream,
    /// The queue may have been away when an agent started.
    may_be_away: bool,
    /// Contents and indexes of lines with that text.
    places: HashMap<&'a str, Vec<(usize, usize)>>,
    /// Up to where each content was delivered.
    read: Vec<u64>,
    /// Up to where each content was delivered or declared.
    told: Vec<u64>,
    /// Index of the last record of each content.
    last: Vec<Option<usize>>,
    delivered: HashSet<&'a str>,
    /// Content of the line before.
    current: usize,
    /// Epoch and next cursor.
    cursor: Option<(u64, u64)>,
    /// Bytes of all records.
    bytes: u64,
    outcome: Outcome,
}

/// Compares; `life` is the one that the agent was in without interruption until the end, and the queue may have been
/// away at the start of one.
pub(super) fn compare(
    stream: &Stream,
    records: &[Value],
    life: Option<Life>,
    may_be_away: bool,
) -> Result<Outcome, String> {
    let mut places: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (index, content) in stream.truth.iter().enumerate() {
        for (at, line) in content.lines.iter().enumerate().filter(|(_, line)| !line.is_hole) {
            places.entry(&line.text).or_default().push((index, at));
        }
    }
    let contents = stream.truth.len();
    let mut check = Check {
        stream,
        may_be_away,
        places,
        read: vec![0; contents],
        told: vec![0; contents],
        last: vec![None; contents],
        delivered: HashSet::new(),
        current: 0,
        cursor: None,
        bytes: 0,
        outcome: Outcome::default(),
    };
    let told = |at: usize, why: String| format!("{}, record {at}: {why}", stream.live.display());
    for (at, record) in records.iter().enumerate() {
        let bytes = match gap_of(record) {
            Some((HOLE, bytes)) => check.hole(at, bytes).map_err(|why| told(at, why))?,
            Some((_, bytes)) => bytes,
            None => check.line(at, &body(record)).map_err(|why| told(at, why))?,
        };
        check.advance(record, bytes).map_err(|why| told(at, why))?;
    }
    check.told.clone_from(&check.read);
    let gaps = records.iter().enumerate().filter_map(|(at, it)| Some((at, gap_of(it)?)));
    let mut gaps: Vec<_> = gaps.filter(|(_, (reason, _))| *reason != HOLE).collect();
    // First those that are just as long as what is missing: one that names too many bytes would fit there, too.
    gaps.retain(|(at, (reason, bytes))| !check.is_exact_gap(*at, reason, *bytes));
    for (at, (reason, bytes)) in gaps {
        check.gap(at, reason, bytes).map_err(|why| told(at, why))?;
    }
    check.finish(life).map_err(|why| format!("{}: {why}", stream.live.display()))
}

fn gap_of(record: &Value) -> Option<(&str, u64)> {
    let reason = record["log.gap.reason"].as_str()?;
    Some((reason, record["log.gap.bytes"].as_u64()?))
}

/// Whether what was done to a content is a reason for such a gap.
fn is_cause(reason: &str, content: &Content) -> bool {
    match reason {
        "truncated" => content.was_cut,
        "removed_unread" | "rotated_before_read" => content.was_removed,
        _ => false,
    }
}

impl Check<'_> {
    fn truth(&self, content: usize) -> &Content {
        &self.stream.truth[content]
    }

    /// A line was delivered; returns its length in its file.
    fn line(&mut self, at: usize, body: &str) -> Result<u64, String> {
        let Some((text, places)) = self.places.get_key_value(body) else {
            return Err(match parse(body) {
                Some(whose) => format!("{whose:?} is not of this stream"),
                None => format!("not as written: {body:?}"),
            });
        };
        let next = places.iter().find(|(content, line)| {
            let begin = self.truth(*content).lines[*line].begin;
            begin == self.reached(*content) || begin == 0 && self.is_begun_again(*content)
        });
        let Some(&(content, line)) = next else {
            let places: Vec<_> =
                places.iter().map(|(it, line)| (*it, *line, self.reached(*it))).collect();
            return Err(format!(
                "lost, doubled or out of order: {:?}, which is (content, line, read up to) {places:?}",
                parse(body)
            ));
        };
        let is_back = self.age(content) < self.age(self.current);
        let may_be_late = self.truth(content).was_copied || self.truth(content).rest_of.is_some();
        if is_back && !may_be_late {
            return Err(format!("out of order: {:?} behind content {}", parse(body), self.current));
        }
        self.current = content;
        if !self.delivered.insert(text) && !self.truth(content).lines[line].is_torn {
            self.outcome.again += 1;
        }
        let line = &self.stream.truth[content].lines[line];
        self.read[content] = line.end;
        self.last[content] = Some(at);
        Ok(line.end - line.begin)
    }

    /// A hole was declared; returns its length.
    fn hole(&mut self, at: usize, bytes: u64) -> Result<u64, String> {
        let is_next = |content: &usize| {
            let mut lines = self.truth(*content).lines.iter();
            let line = lines.find(|line| line.begin == self.read[*content]);
            line.is_some_and(|line| line.is_hole && line.end - line.begin == bytes)
        };
        let content = (0..self.read.len()).find(is_next);
        let content = content.ok_or_else(|| format!("a hole of {bytes} bytes, which is not"))?;
        self.read[content] += bytes;
        self.last[content] = Some(at);
        self.outcome.holes += 1;
        Ok(bytes)
    }

    /// Where a content stands among those that were begun by the writer.
    fn age(&self, content: usize) -> usize {
        self.truth(content).rest_of.map_or(content, |(of, _)| self.age(of))
    }

    /// Up to where a content was delivered, also as the one whose first bytes it begins with.
    fn reached(&self, content: usize) -> u64 {
        if self.read[content] > 0 {
            return self.read[content];
        }
        let before = self.truth(content).rest_of;
        let reached = before.map(|(of, bytes)| (self.reached(of), bytes));
        reached.filter(|(reached, bytes)| reached <= bytes).map_or(0, |it| it.0)
    }

    /// More of it was delivered than a power cut left, so that it looks as if it had been cut.
    fn is_begun_again(&self, content: usize) -> bool {
        let before = self.truth(content).rest_of;
        self.read[content] == 0 && before.is_some_and(|(of, bytes)| self.reached(of) > bytes)
    }

    /// The cursors of what is delivered and declared follow each other. A queue that was away while its contexts
    /// were begun anew has an epoch without its first bytes, which it has of the one before.
    fn advance(&mut self, record: &Value, bytes: u64) -> Result<(), String> {
        let number = |key: &str| record[key].as_u64().ok_or_else(|| format!("no {key}: {record}"));
        let (epoch, cursor) = (number("log.epoch")?, number("log.cursor")?);
        let want = self.cursor.filter(|it| it.0 == epoch).map_or(0, |it| it.1);
        let is_old = self.cursor.is_some_and(|it| epoch < it.0);
        let is_begun_late = self.cursor.is_some_and(|it| epoch > it.0) && cursor <= self.bytes;
        if is_old || cursor != want && !(self.may_be_away && is_begun_late) {
            return Err(format!("epoch {epoch}, cursor {cursor} where {want} would follow"));
        }
        self.cursor = Some((epoch, cursor + bytes));
        self.bytes += bytes;
        Ok(())
    }

    /// Contents that a gap may stand for.
    fn fitting(&self, at: usize, reason: &str, bytes: u64) -> Vec<usize> {
        let room = |content: usize| self.longest(content).saturating_sub(self.told[content]);
        let fits = |content: &usize| {
            is_cause(reason, self.truth(*content))
                && self.last[*content].is_none_or(|last| last < at)
                && room(*content) >= bytes
        };
        (0..self.read.len()).filter(fits).collect()
    }

    /// Whether just so much is missing of a content.
    fn misses(&self, content: usize, bytes: u64) -> bool {
        self.truth(content).bytes.checked_sub(self.told[content]) == Some(bytes)
    }

    /// Whether a gap was declared that is just what is missing of a content.
    fn is_exact_gap(&mut self, at: usize, reason: &str, bytes: u64) -> bool {
        let fitting = self.fitting(at, reason, bytes);
        let content = fitting.into_iter().find(|it| self.misses(*it, bytes));
        let Some(content) = content.filter(|_| bytes > 0) else { return false };
        self.told[content] += bytes;
        self.outcome.gaps += 1;
        true
    }

    /// A gap was declared: something is missing that it fits.
    fn gap(&mut self, at: usize, reason: &str, bytes: u64) -> Result<(), String> {
        if bytes == 0 {
            self.outcome.unsized_gaps += 1;
            // One that was closed, and compressed in the instant of a look, counts as rotated away.
            let is_cause = |it: &&Content| {
                is_cause(reason, it) || reason == "rotated_before_read" && it.was_packed
            };
            let causes = self.stream.truth.iter().filter(is_cause).count() as u64;
            if self.outcome.unsized_gaps > causes {
                let gaps = self.outcome.unsized_gaps;
                return Err(format!("{reason}: gap {gaps} without a length, and {causes} causes"));
            }
            return Ok(());
        }
        self.outcome.gaps += 1;
        let fitting = self.fitting(at, reason, bytes);
        // A gap that names more bytes than were lost is of one that was lost, and owed before all.
        let is_owed = |it: &&usize| self.told[**it] < self.truth(**it).owed.bytes;
        let is_missing = |it: &&usize| self.told[**it] < self.truth(**it).bytes;
        let all = || fitting.iter();
        let best = all().find(|it| self.misses(**it, bytes)).or_else(|| all().find(is_owed));
        let best = best.or_else(|| all().find(is_missing)).or_else(|| fitting.first());
        let Some(&best) = best else {
            // What was cut is declared after two seconds; its copy may turn up, and be read, all the same.
            let has_copy = |it: &usize| {
                let content = self.truth(*it);
                content.was_cut && content.was_copied && self.longest(*it) >= bytes
            };
            let is_late_copy =
                reason == "truncated" && (0..self.read.len()).any(|it| has_copy(&it));
            return is_late_copy.then_some(()).ok_or_else(|| {
                format!("{reason}: {bytes} bytes, which nothing that is missing fits")
            });
        };
        self.told[best] += bytes;
        Ok(())
    }

    /// The longest that the agent may think a content was: a length told after a cut, and before its
    /// discovery, may count for what was there before.
    fn longest(&self, content: usize) -> u64 {
        let content = self.truth(content);
        content.bytes.max(content.cut_into.map_or(0, |next| self.longest(next)))
    }

    /// What is still in a file is delivered, and what was seen is delivered or declared.
    fn finish(mut self, life: Option<Life>) -> Result<Outcome, String> {
        for (index, content) in self.stream.truth.iter().enumerate() {
            let is_owed = life.is_some() && content.owed.life == life;
            let owed_bytes = if is_owed { content.owed.bytes } else { 0 };
            if self.told[index] < owed_bytes && content.kept_bytes() < owed_bytes {
                return Err(format!(
                    "seen, gone and not declared: {owed_bytes} bytes of content {index}, read up to {}, declared up to {}",
                    self.read[index], self.told[index]
                ));
            }
            for line in &content.lines {
                if line.is_hole && self.read[index] >= line.end {
                    continue;
                }
                if self.delivered.contains(line.text.as_str()) {
                    continue;
                }
                self.outcome.missing += 1;
                let what = format!(
                    "line {} at {} of content {index}, read up to {}, declared up to {}",
                    line.number, line.begin, self.read[index], self.told[index]
                );
                if line.end <= content.kept_bytes() {
                    return Err(format!("lost though a file has it: {what}"));
                }
                if line.end <= owed_bytes {
                    self.outcome.owed += 1;
                    if line.end > self.told[index] {
                        return Err(format!("seen, gone and not declared: {what}"));
                    }
                }
            }
        }
        Ok(self.outcome)
    }
}
