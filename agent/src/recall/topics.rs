//! Topics: finds bytes of a file in Kafka.
//!
//! No index of a topic says where a file is. The agent's own checkpoint says in which context it was, and up to which cursor it was
//! read; so a place in it is a cursor, and that is looked up by halving, as `logferry context` does. Whether the
//! section that is found has those bytes, its own positions say: if not, they say how far off the cursor was.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flow::{ContextId, RecallAnswer, RecallQuestion, SystemClock};
use pipeline::checkpoint::Follower;
use sink::kafka::{KafkaConfig, KafkaError, KafkaReadBack, Lookup, TopicReader, TopicSection};
use sink::queue::bytes_of;

use super::length;
use super::restore::{Counts, restore};
use crate::command::section::records;

/// Most messages that one look reads, whosever.
const MESSAGES_MAX: u64 = 20_000;
/// Looks for one byte: what was declared missing puts a file's cursors off, and its sections say by how much.
const LOOKS_MAX: usize = 4;
/// How long brokers may take for each answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Sections that are kept restored.
const RESTORED_MAX: usize = 8;

/// The topics of an agent's sinks.
#[derive(Debug)]
pub(super) struct Topics {
    state_directory: PathBuf,
    sinks: Vec<KafkaConfig>,
    /// The topic that was read last; it is closed when nobody asks any more.
    open: Option<(usize, String, TopicReader)>,
    /// With their generations.
    restored: VecDeque<(u64, Restored)>,
}

/// A section's place in its file, and its bytes.
type Restored = (Range<u64>, Arc<Vec<u8>>);

/// Where a file is in its context.
#[derive(Debug, Clone, Copy)]
struct Whereabouts {
    context: ContextId,
    epoch: u32,
    /// Cursor of its first byte; below 0 if it was begun in the middle.
    begin: i128,
}

impl Topics {
    pub(super) fn new(state_directory: PathBuf, sinks: Vec<KafkaConfig>) -> Topics {
        Topics { state_directory, sinks, open: None, restored: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Whether a client of Kafka is there for the next question.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Nobody asks any more.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.restored.clear();
    }

    /// Answers, unless it `is_over` before.
    pub(super) fn recall(
        &mut self,
        question: &RecallQuestion,
        is_over: &dyn Fn() -> bool,
    ) -> RecallAnswer {
        let RecallQuestion { generation, range } = question;
        let mut bytes = Vec::with_capacity(length(range));
        let mut at = range.start;
        while at < range.end {
            if is_over() {
                return RecallAnswer::Later("the topic takes too long".to_owned());
            }
            let (of, section) = match self.section(*generation, at) {
                Ok(Ok(found)) => found,
                Ok(Err(why)) => return RecallAnswer::Gone(format!("byte {at}: {why}")),
                Err(error) => {
                    self.close();
                    return RecallAnswer::Later(error.to_string());
                }
            };
            let end = of.end.min(range.end);
            bytes.extend_from_slice(&section[length(&(of.start..at))..length(&(of.start..end))]);
            at = end;
        }
        RecallAnswer::Bytes(bytes)
    }

    /// The section with that byte, or why there is none.
    fn section(
        &mut self,
        generation: u64,
        at: u64,
    ) -> Result<Result<Restored, String>, KafkaError> {
        if let Some(found) = self.kept(generation, at) {
            return Ok(Ok(found));
        }
        let Some(known) = self.whereabouts(generation) else {
            return Ok(Err("the checkpoint does not know the file any more".to_owned()));
        };
        let mut why = "no topic holds it, or no longer".to_owned();
        for number in 0..self.sinks.len() {
            for topic in KafkaReadBack::topics(&self.sinks[number])? {
                match self.look(number, &topic, known, (generation, at))? {
                    Some(Err(said)) => why = said,
                    Some(Ok(found)) => return Ok(Ok(found)),
                    None => {}
                }
            }
        }
        Ok(Err(why))
    }

    fn kept(&self, generation: u64, at: u64) -> Option<Restored> {
        let is_it = |(of, it): &&(u64, Restored)| *of == generation && it.0.contains(&at);
        self.restored.iter().find(is_it).map(|(_, it)| it.clone())
    }

    /// Looks into one topic; `None` if it has nothing of the file there.
    fn look(
        &mut self,
        sink: usize,
        topic: &str,
        known: Whereabouts,
        (generation, at): (u64, u64),
    ) -> Result<Option<Result<Restored, String>>, KafkaError> {
        let mut begin = known.begin;
        let mut why = None;
        for _ in 0..LOOKS_MAX {
            let cursor = u64::try_from(begin + i128::from(at)).unwrap_or(0);
            let lookup = Lookup {
                context: known.context,
                epoch: Some(known.epoch),
                cursor,
                lines: 1,
                since_unix_ms: None,
                messages_max: MESSAGES_MAX,
            };
            let around = lookup.run(self.reader(sink, topic)?, &SystemClock)?;
            let mut nearest = None;
            for section in &around.sections {
                let header = &section.header;
                let Some((of, range)) = bytes_of(header.span, &header.positions) else { continue };
                if of != generation {
                    continue;
                }
                nearest = Some(i128::from(header.span.begin) - i128::from(range.start));
                if let Err(said) = self.keep(generation, &range, section)
                    && range.contains(&at)
                {
                    why = Some(said);
                }
            }
            if let Some(found) = self.kept(generation, at) {
                return Ok(Some(Ok(found)));
            }
            match nearest {
                Some(other) if other != begin && why.is_none() => begin = other,
                _ => break,
            }
        }
        Ok(why.map(Err))
    }

    fn keep(
        &mut self,
        generation: u64,
        range: &Range<u64>,
        section: &TopicSection<'_>,
    ) -> Result<(), String> {
        if self.kept(generation, range.start).is_some() {
            return Ok(());
        }
        let body = section.body().map_err(|it| it.to_string())?;
        let records = records(section, &body).map_err(|it| format!("{it:#}"))?;
        let bytes = restore(&section.header, range, &records, Counts::KeptAlone)?;
        self.restored.truncate(RESTORED_MAX - 1);
        self.restored.push_front((generation, (range.clone(), Arc::new(bytes))));
        Ok(())
    }

    fn reader(&mut self, sink: usize, topic: &str) -> Result<&mut TopicReader, KafkaError> {
        let is_it = self.open.as_ref().is_some_and(|it| it.0 == sink && it.1 == topic);
        if !is_it {
            self.open = None;
            let reader = TopicReader::of(&self.sinks[sink], topic, ANSWER_MAX)?;
            self.open = Some((sink, topic.to_owned(), reader));
        }
        let (_, _, reader) = self.open.as_mut().expect("it was opened");
        reader.refresh()?;
        Ok(reader)
    }

    /// In which context a file was, as far as the checkpoint knows it.
    fn whereabouts(&self, generation: u64) -> Option<Whereabouts> {
        let mut known = None;
        let told = Follower::new(&self.state_directory).poll(|entry| {
            let generations = &entry.known.generations;
            let Some(at) = generations.iter().position(|it| it.generation == generation) else {
                return;
            };
            // Each was read to its offset before the next one was begun.
            let behind: u64 = generations[at..].iter().map(|it| it.offset).sum();
            let begin = i128::from(entry.known.cursor) - i128::from(behind);
            known = Some(Whereabouts { context: entry.context, epoch: entry.known.epoch, begin });
        });
        if let Err(error) = told {
            tracing::debug!(%error, "recall: the checkpoint cannot be read now");
        }
        known
    }
}
