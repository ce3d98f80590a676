//! Client: what the real sink asks of its brokers, answered from memory.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use flow::{Codec, PayloadHeader};
use sink::kafka::{Bounds, Brokers, ErrorCode, Headers, KeepOffsets, Outgoing, Report, Window};

use super::topic::{Entry, PARTITIONS};
use super::{Message, SimKafka, State, records};
use crate::Stored;

const NO_ANSWER: &str = "no broker answers";

impl Brokers for SimKafka {
    fn bounds(&self, topic: &str) -> Result<Result<BTreeMap<i32, Bounds>, ErrorCode>, String> {
        let mut state = self.lock();
        if state.conduct.is_away {
            state.refused += 1;
            return Err(NO_ANSWER.to_owned());
        }
        let bounds = state.topics.entry(topic.to_owned()).or_default().bounds();
        if bounds.is_none() {
            state.refused += 1;
        }
        Ok(bounds.ok_or(ErrorCode::UnknownTopicOrPartition))
    }

    fn send(&self, message: Outgoing<'_>, report: Report) -> Result<(), ErrorCode> {
        let mut state = self.lock();
        if state.conduct.is_full {
            state.refused += 1;
            return Err(ErrorCode::QueueFull);
        }
        let said = message.headers.decode().expect("what was encoded");
        assert_eq!(said.codec, Codec::None, "values are compressed by nobody here");
        let header = PayloadHeader {
            context: said.context,
            epoch: said.epoch,
            span: said.span,
            marks: said.marks,
            records: said.records,
            filtered: 0,
            gap: said.gap,
            observed_unix_ns: message.observed_unix_ns,
            is_divisible: false,
            part_of: said.part_of,
            is_inner: said.positions.is_none(),
            positions: said.positions.unwrap_or_default(),
            range: 0..0,
        };
        let records = records(&header, said.encoding, message.value);
        let life = state.life;
        let (is_safe, is_acked, is_drained) = (true, false, false);
        let stored = Stored { header, records, is_safe, is_acked, life, is_drained };
        state.queued.push_back(Message {
            topic: message.topic.to_owned(),
            partition: partition_of(message.key),
            stored,
            value_bytes: message.value.len() as u64,
            headers: message.headers,
            place: None,
            report: Some(report),
        });
        Ok(())
    }

    fn in_flight(&self) -> usize {
        let state = self.lock();
        state.queued.len() + state.untold.len()
    }

    fn settle(&self, _time: Duration) {
        let mut state = self.lock();
        if !state.conduct.is_tardy {
            state.store_late();
        }
    }

    fn read(
        &self,
        topic: &str,
        window: Window,
        each: &mut dyn FnMut(&Headers, u64) -> bool,
    ) -> Result<(), String> {
        let mut state = self.lock();
        if state.conduct.is_away {
            return Err(NO_ANSWER.to_owned());
        }
        state.overlook(topic, window);
        let Some(topic) = state.topics.get(topic) else { return Ok(()) };
        for entry in topic.entries(window.partition, window.from, window.to) {
            let Entry::Own(number, headers, bytes) = entry else { continue };
            if !each(&headers, bytes) {
                break;
            }
            // Whoever reads it back knows of it.
            state.stored[number].is_acked = true;
        }
        Ok(())
    }
}

impl State {
    /// In a topic that was made anew and has reached the offset that is kept of the old one, nobody can tell
    /// that: what stands below and was never acknowledged comes again.
    fn overlook(&mut self, topic: &str, window: Window) {
        let kept = self.kept.as_deref().unwrap_or_default();
        let is_kept = kept_offset(&String::from_utf8_lossy(kept), topic, window.partition)
            .is_some_and(|it| it == window.from);
        let life = self.life;
        let Some(topic) = self.topics.get(topic).filter(|it| is_kept && it.is_made_anew()) else {
            return;
        };
        for entry in topic.entries(window.partition, 0, window.from) {
            if let Entry::Own(number, ..) = entry
                && !self.stored[number].is_acked
            {
                self.gone[number].get_or_insert(life);
            }
        }
    }
}

/// What the agent's offsets, as it keeps them, say of a partition: `"TOPIC":{"PARTITION":OFFSET,…}`.
fn kept_offset(kept: &str, topic: &str, partition: i32) -> Option<i64> {
    let (_, partitions) = kept.split_once(&format!("\"{topic}\":{{"))?;
    let (partitions, _) = partitions.split_once('}')?;
    let of = |it: &str| it.split_once(':').map(|(id, offset)| (id.to_owned(), offset.parse().ok()));
    let own = format!("\"{partition}\"");
    partitions.split(',').filter_map(of).find(|(id, _)| *id == own)?.1
}

/// Always the same of a key.
fn partition_of(key: &str) -> i32 {
    let sum: i32 = key.bytes().map(i32::from).sum();
    sum % PARTITIONS
}

/// Keeps the agent's offsets on a disk that is never torn.
#[derive(Debug)]
pub(super) struct Keeper(pub(super) SimKafka);

impl KeepOffsets for Keeper {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().kept.clone())
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.is_dead {
            return Ok(());
        }
        if state.conduct.keeps_nothing {
            state.refused += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.kept = Some(bytes.to_vec());
        Ok(())
    }
}
