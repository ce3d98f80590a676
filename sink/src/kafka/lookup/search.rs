//! Search: finds messages of one context in a partition, and counts what it reads.

use flow::{Clock, ContextId};

use crate::kafka::bounds::Bounds;
use crate::kafka::producer::KafkaError;
use crate::kafka::scan::Window;
use crate::kafka::topic_message::{TopicMessage, TopicSection};
use crate::kafka::topic_reader::TopicReader;

/// Messages that are read one after the other rather than halved further.
const STRIDE: i64 = 128;
/// Messages that are looked through for one of the context before there is taken to be none.
const PROBE: i64 = 1024;
/// Milliseconds in a second: epochs are in seconds.
const SECOND_MS: i64 = 1000;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What is known of where a section is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hint {
    /// It was read at this time or later, in milliseconds since 1970; or this is wrong.
    pub(super) since_unix_ms: Option<i64>,
    /// It was read at this time or before.
    pub(super) until_unix_ms: Option<i64>,
    /// A context that writes little is found, too, for the price of reading what is between.
    pub(super) is_thorough: bool,
}

/// Why a search ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// As many messages as allowed were read.
    Enough,
    Kafka(KafkaError),
}

impl From<KafkaError> for Stop {
    fn from(error: KafkaError) -> Stop {
        Stop::Kafka(error)
    }
}

/// Reads one topic for one context.
pub(super) struct Search<'a> {
    reader: &'a mut TopicReader,
    clock: &'a dyn Clock,
    context: ContextId,
    messages_max: u64,
    /// Messages read so far.
    pub(super) messages: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        reader: &'a mut TopicReader,
        clock: &'a dyn Clock,
        context: ContextId,
        messages_max: u64,
    ) -> Search<'a> {
        Search { reader, clock, context, messages_max, messages: 0 }
    }

    pub(super) fn bounds(&self, partition: i32) -> Bounds {
        self.reader.bounds().get(&partition).copied().unwrap_or(Bounds { first: 0, end: 0 })
    }

    pub(super) fn offset_at(&self, partition: i32, unix_ms: i64) -> Result<i64, Stop> {
        Ok(self.reader.offset_at(partition, unix_ms)?)
    }

    /// Calls `each` with the context's sections in a window until it wants no more.
    fn read(
        &mut self,
        partition: i32,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(TopicSection<'_>) -> bool,
    ) -> Result<(), Stop> {
        let (context, messages_max) = (self.context, self.messages_max);
        let mut messages = self.messages;
        let mut is_enough = false;
        let window = Window { partition, from, to };
        self.reader.read_windows(&[window], self.clock, |message| {
            is_enough = messages >= messages_max;
            if is_enough {
                return false;
            }
            messages += 1;
            match message {
                TopicMessage::Section(it) if it.header.context.id == context => each(it),
                _ => true,
            }
        })?;
        self.messages = messages;
        if is_enough { Err(Stop::Enough) } else { Ok(()) }
    }

    /// The first section in a window that `is_it`.
    pub(super) fn first(
        &mut self,
        partition: i32,
        from: i64,
        to: i64,
        is_it: impl Fn(&TopicSection<'_>) -> bool,
    ) -> Result<Option<TopicSection<'static>>, Stop> {
        let mut first = None;
        self.read(partition, from, to, &mut |section| {
            if is_it(&section) {
                first = Some(section.into_owned());
            }
            first.is_none()
        })?;
        Ok(first)
    }

    /// The last section before an offset that `is_it`, by windows that grow.
    pub(super) fn last(
        &mut self,
        partition: i32,
        to: i64,
        is_it: impl Fn(&TopicSection<'_>) -> bool,
    ) -> Result<Option<TopicSection<'static>>, Stop> {
        let mut last = None;
        self.backward(At { partition, offset: to }, &mut |section| {
            if is_it(&section) {
                last = Some(section.into_owned());
            }
            last.is_none()
        })?;
        Ok(last)
    }

    /// The context's sections behind a message, in order, until `each` wants no more.
    pub(super) fn forward(
        &mut self,
        behind: At,
        each: &mut dyn FnMut(TopicSection<'_>) -> bool,
    ) -> Result<(), Stop> {
        let end = self.bounds(behind.partition).end;
        self.read(behind.partition, behind.offset + 1, end, each)
    }

    /// The context's sections before a message, the nearest first, until `each` wants no more.
    pub(super) fn backward(
        &mut self,
        before: At,
        each: &mut dyn FnMut(TopicSection<'_>) -> bool,
    ) -> Result<(), Stop> {
        let first = self.bounds(before.partition).first;
        let (mut to, mut length) = (before.offset, STRIDE);
        while to > first {
            let from = first.max(to - length);
            let mut sections = Vec::new();
            self.read(before.partition, from, to, &mut |section| {
                sections.push(section.into_owned());
                true
            })?;
            if !sections.into_iter().rev().all(&mut *each) {
                return Ok(());
            }
            (to, length) = (from, length * 2);
        }
        Ok(())
    }

    /// The first section of a partition that ends behind epoch and cursor, where they ascend.
    pub(super) fn find(
        &mut self,
        partition: i32,
        target: (u32, u64),
        hint: Hint,
    ) -> Result<Option<TopicSection<'static>>, Stop> {
        let Bounds { first, end } = self.bounds(partition);
        let covers =
            |it: &TopicSection<'_>| it.header.epoch == target.0 && it.header.span.begin <= target.1;
        if let Some(since) = hint.since_unix_ms {
            let from = self.offset_at(partition, since)?;
            let near = (from + PROBE).min(end);
            let found = match self.first(partition, from, near, |it| is_behind(it, target))? {
                None => self.halve(partition, (near, end), target, hint.is_thorough)?,
                found => found,
            };
            // If not, the time was not that of the section.
            if found.as_ref().is_some_and(covers) {
                return Ok(found);
            }
        }
        // An epoch is named after the second in which it began.
        let from = self.offset_at(partition, i64::from(target.0).saturating_mul(SECOND_MS))?;
        let to = match hint.until_unix_ms {
            Some(until) => self.offset_at(partition, until.saturating_add(1))?,
            None => end,
        };
        let found = self.halve(partition, (from, to), target, hint.is_thorough)?;
        if from == first || found.as_ref().is_some_and(covers) {
            return Ok(found);
        }
        // Unless the clock went back.
        let earlier = self.halve(partition, (first, from.min(to)), target, hint.is_thorough)?;
        Ok(earlier.or(found))
    }

    fn halve(
        &mut self,
        partition: i32,
        (mut from, mut to): (i64, i64),
        target: (u32, u64),
        is_thorough: bool,
    ) -> Result<Option<TopicSection<'static>>, Stop> {
        let mut found = None;
        while to - from > STRIDE {
            let middle = from + (to - from) / 2;
            let probed = if is_thorough { to } else { to.min(middle + PROBE) };
            match self.first(partition, middle, probed, |_| true)? {
                Some(it) if !is_behind(&it, target) => from = it.offset + 1,
                Some(it) => {
                    to = middle;
                    found = Some(it);
                }
                None => to = middle,
            }
        }
        let near = self.first(partition, from, to, |it| is_behind(it, target))?;
        Ok(near.or(found))
    }
}

/// Whether a section ends behind epoch and cursor.
fn is_behind(section: &TopicSection<'_>, target: (u32, u64)) -> bool {
    (section.header.epoch, section.header.span.end) > target
}
