//! Lookup: the sections of a context around a cursor, found without reading the topic.
//!
//! The key says in which partition a context is. There its sections stand in the order of epoch and cursor,
//! among those of others, so the place is found by halving; the time of reading, if it is known, says where
//! to begin. A topic that was given more partitions has a context's earlier sections in others: those where
//! its key was at any earlier number of partitions are looked into as well.

mod search;

use std::collections::{BTreeMap, BTreeSet};

use flow::{Clock, ContextId};

use super::murmur::partition_of;
use super::producer::KafkaError;
use super::topic_message::TopicSection;
use super::topic_reader::TopicReader;
use search::{At, Hint, Search, Stop};

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// The context.
    pub context: ContextId,
    /// The epoch; the last one if none is given.
    pub epoch: Option<u32>,
    /// The cursor.
    pub cursor: u64,
    /// Records wanted on each side of it.
    pub lines: usize,
    /// It was read at this time or later, in milliseconds since 1970.
    pub since_unix_ms: Option<i64>,
    /// Most messages to read.
    pub messages_max: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Around {
    /// The epoch that was looked into; `None` if nothing of the context was found.
    pub epoch: Option<u32>,
    /// Sections in the order of their cursors, each once. One of them covers the cursor, if there is such.
    pub sections: Vec<TopicSection<'static>>,
    /// Messages that were read, whosever.
    pub messages: u64,
    /// Whether nothing more would be found with more messages.
    pub is_complete: bool,
}

/// Most sections on a side: an end for those that hold no records.
const SECTIONS_MAX: usize = 1 << 16;

impl Lookup {
    /// Looks.
    ///
    /// # Errors
    /// If the brokers fall silent, or refuse.
    pub fn run(&self, reader: &mut TopicReader, clock: &dyn Clock) -> Result<Around, KafkaError> {
        let homes = homes(self.context, reader.bounds().len());
        let search = Search::new(reader, clock, self.context, self.messages_max);
        let mut found =
            Found { lookup: self, search, homes, epoch: None, sections: BTreeMap::new() };
        let is_complete = match found.gather() {
            Ok(()) => true,
            Err(Stop::Enough) => false,
            Err(Stop::Kafka(error)) => return Err(error),
        };
        let messages = found.search.messages;
        let epoch = found.epoch;
        let sections = found.sections.into_values().map(|(_, section)| section).collect();
        Ok(Around { epoch, sections, messages, is_complete })
    }
}

/// The partitions in which a context may be, the one where it is now first.
fn homes(context: ContextId, count: usize) -> Vec<i32> {
    let key = context.to_string();
    let mut seen = BTreeSet::new();
    let counts = (1..=i32::try_from(count).unwrap_or(i32::MAX)).rev();
    counts.map(|it| partition_of(key.as_bytes(), it)).filter(|it| seen.insert(*it)).collect()
}

/// A lookup on its way.
struct Found<'a> {
    lookup: &'a Lookup,
    search: Search<'a>,
    homes: Vec<i32>,
    epoch: Option<u32>,
    /// By begin and end of their spans, with their places.
    sections: BTreeMap<(u64, u64), Placed>,
}

/// A section, and where it is.
type Placed = (At, TopicSection<'static>);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Found<'_> {
    fn gather(&mut self) -> Result<(), Stop> {
        let Some(epoch) = self.find_epoch()? else { return Ok(()) };
        self.epoch = Some(epoch);
        if let Some(anchor) = self.find(epoch, self.lookup.cursor)? {
            self.take(epoch, anchor);
        } else if let Some(last) = self.find_last(epoch)? {
            // The cursor is behind all there is.
            self.take(epoch, last);
        }
        for side in [Side::After, Side::Before] {
            while let Some(edge) = self.edge(side) {
                self.extend_in_partition(epoch, side, edge)?;
                // The partition has no more; a topic that has grown has it elsewhere.
                if self.has_enough(side) || !self.extend_elsewhere(epoch, side)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The epoch asked for; else that of the first section from the time on; else the last one.
    fn find_epoch(&mut self) -> Result<Option<u32>, Stop> {
        if let Some(epoch) = self.lookup.epoch {
            return Ok(Some(epoch));
        }
        if let Some(since) = self.lookup.since_unix_ms {
            for home in self.homes.clone() {
                let from = self.search.offset_at(home, since)?;
                let to = self.search.bounds(home).end;
                if let Some(first) = self.search.first(home, from, to, |_| true)? {
                    return Ok(Some(first.header.epoch));
                }
            }
        }
        for home in self.homes.clone() {
            let to = self.search.bounds(home).end;
            if let Some(last) = self.search.last(home, to, |_| true)? {
                return Ok(Some(last.header.epoch));
            }
        }
        Ok(None)
    }

    /// The section that covers a cursor; else the first behind it, of whichever partition.
    fn find(&mut self, epoch: u32, cursor: u64) -> Result<Option<TopicSection<'static>>, Stop> {
        let mut behind: Option<TopicSection<'static>> = None;
        for is_thorough in [false, true] {
            for home in self.homes.clone() {
                let hint = Hint {
                    since_unix_ms: self.lookup.since_unix_ms,
                    until_unix_ms: behind.as_ref().map(observed_ms),
                    is_thorough,
                };
                let found = self.search.find(home, (epoch, cursor), hint)?;
                let Some(found) = found.filter(|it| it.header.epoch == epoch) else { continue };
                let begin = found.header.span.begin;
                if begin <= cursor {
                    return Ok(Some(found));
                }
                if behind.as_ref().is_none_or(|it| begin < it.header.span.begin) {
                    behind = Some(found);
                }
            }
            // Nothing was before it.
            if behind.as_ref().is_some_and(is_first) {
                break;
            }
        }
        Ok(behind)
    }

    fn find_last(&mut self, epoch: u32) -> Result<Option<TopicSection<'static>>, Stop> {
        for home in self.homes.clone() {
            let to = self.search.bounds(home).end;
            let last = self.search.last(home, to, |it| it.header.epoch == epoch)?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    fn extend_in_partition(&mut self, epoch: u32, side: Side, edge: At) -> Result<(), Stop> {
        let mut taken = Vec::new();
        let cursor = self.lookup.cursor;
        let (mut tally, wanted) = (self.tally(side), self.wanted(side));
        let mut each = |section: TopicSection<'_>| {
            if section.header.epoch != epoch {
                // Epochs follow each other.
                return (section.header.epoch < epoch) == (side == Side::After);
            }
            let is_of_side = (section.header.span.begin <= cursor) == (side == Side::Before);
            tally.0 += if is_of_side { section.header.records as usize } else { 0 };
            tally.1 += 1;
            let is_first = side == Side::Before && is_first(&section);
            taken.push(section.into_owned());
            tally.0 < wanted && tally.1 < SECTIONS_MAX && !is_first
        };
        let outcome = match side {
            Side::After => self.search.forward(edge, &mut each),
            Side::Before => self.search.backward(edge, &mut each),
        };
        // What was found before it had read enough counts.
        for section in taken {
            self.take(epoch, section);
        }
        outcome
    }

    /// Goes on from the outermost section in another partition; returns whether there is more.
    ///
    /// Quickly: what a context that writes little wrote before its topic grew may stay unseen.
    fn extend_elsewhere(&mut self, epoch: u32, side: Side) -> Result<bool, Stop> {
        let Some((&(begin, end), (at, outermost))) = self.outermost(side) else { return Ok(false) };
        let (partition, mut hint) = (at.partition, Hint::default());
        let cursor = match side {
            // Where it is now, nothing comes after.
            Side::After if self.homes.first() == Some(&partition) => return Ok(false),
            Side::After => end,
            Side::Before if begin == 0 => return Ok(false),
            Side::Before => begin - 1,
        };
        match side {
            Side::Before => hint.until_unix_ms = Some(observed_ms(outermost)),
            Side::After => hint.since_unix_ms = Some(observed_ms(outermost)),
        }
        for home in self.homes.clone().into_iter().filter(|it| *it != partition) {
            let found = self.search.find(home, (epoch, cursor), hint)?;
            let is_next =
                |it: &TopicSection<'_>| it.header.epoch == epoch && it.header.span.begin <= cursor;
            if let Some(found) = found.filter(is_next) {
                self.take(epoch, found);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take(&mut self, epoch: u32, section: TopicSection<'static>) {
        let span = section.header.span;
        if section.header.epoch == epoch {
            let at = At { partition: section.partition, offset: section.offset };
            self.sections.entry((span.begin, span.end)).or_insert((at, section));
        }
    }

    /// The outermost section of a side.
    fn outermost(&self, side: Side) -> Option<(&(u64, u64), &Placed)> {
        match side {
            Side::Before => self.sections.first_key_value(),
            Side::After => self.sections.last_key_value(),
        }
    }

    fn edge(&self, side: Side) -> Option<At> {
        self.outermost(side).map(|(_, (at, _))| *at)
    }

    /// Records and sections on a side of the cursor. The section with the record counts for what it has at
    /// least: one.
    fn tally(&self, side: Side) -> (usize, usize) {
        let cursor = self.lookup.cursor;
        let of_side = self
            .sections
            .values()
            .filter(|(_, it)| (it.header.span.begin <= cursor) == (side == Side::Before));
        of_side.fold((0, 0), |(records, sections), (_, it)| {
            let span = it.header.span;
            let is_anchor = span.begin <= cursor && cursor < span.end;
            let own = if is_anchor { 1 } else { it.header.records as usize };
            (records + own, sections + 1)
        })
    }

    /// Records wanted on a side: the record itself counts as before.
    fn wanted(&self, side: Side) -> usize {
        self.lookup.lines + usize::from(side == Side::Before)
    }

    fn has_enough(&self, side: Side) -> bool {
        let (records, sections) = self.tally(side);
        let is_begin = side == Side::Before
            && self.sections.values().next().is_some_and(|(_, it)| is_first(it));
        records >= self.wanted(side) || sections >= SECTIONS_MAX || is_begin
    }
}

/// When it was read, in milliseconds since 1970.
fn observed_ms(section: &TopicSection<'_>) -> i64 {
    section.header.observed_unix_ns / 1_000_000
}

/// Whether nothing of its epoch comes before it.
fn is_first(section: &TopicSection<'_>) -> bool {
    section.header.marks.first || section.header.span.begin == 0
}

#[cfg(test)]
mod tests;
