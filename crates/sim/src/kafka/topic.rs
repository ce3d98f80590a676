//! Topic: what is in one now, by partition and offset.

use std::collections::BTreeMap;

use sink::kafka::{Bounds, Headers};

/// Partitions of each topic.
pub(super) const PARTITIONS: i32 = 2;

/// A topic, which may be gone.
#[derive(Debug)]
pub(super) struct Topic {
    partitions: Option<Vec<Vec<Entry>>>,
    /// There was one of its name before.
    is_made_anew: bool,
}

/// What is at one offset.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A message of the agent's: its number among all, its headers, and the length of its value.
    Own(usize, Headers, u64),
    /// Somebody else's.
    Foreign,
}

impl Default for Topic {
    fn default() -> Topic {
        let mut topic = Topic { partitions: None, is_made_anew: false };
        topic.create(0);
        topic
    }
}

impl Topic {
    pub(super) fn is_there(&self) -> bool {
        self.partitions.is_some()
    }

    pub(super) fn is_made_anew(&self) -> bool {
        self.is_made_anew
    }

    /// Makes it, unless it is there; others have written so many messages to each partition before.
    pub(super) fn create(&mut self, foreign: usize) {
        let partition = || vec![Entry::Foreign; foreign];
        self.partitions.get_or_insert_with(|| (0..PARTITIONS).map(|_| partition()).collect());
    }

    /// Deletes it; returns the numbers of the messages that were in it.
    pub(super) fn delete(&mut self) -> Vec<usize> {
        self.is_made_anew = true;
        let partitions = self.partitions.take().unwrap_or_default();
        let numbers = partitions.into_iter().flatten().filter_map(|it| match it {
            Entry::Own(number, ..) => Some(number),
            Entry::Foreign => None,
        });
        numbers.collect()
    }

    /// Appends a message; returns its offset. None if the topic is not there.
    pub(super) fn append(
        &mut self,
        partition: i32,
        number: usize,
        value_bytes: u64,
        headers: &Headers,
    ) -> Option<i64> {
        let partition = usize::try_from(partition).ok()?;
        let entries = self.partitions.as_mut()?.get_mut(partition)?;
        entries.push(Entry::Own(number, headers.clone(), value_bytes));
        i64::try_from(entries.len() - 1).ok()
    }

    /// What there is of each partition; none if the topic is not there.
    pub(super) fn bounds(&self) -> Option<BTreeMap<i32, Bounds>> {
        let end = |it: &Vec<Entry>| i64::try_from(it.len()).expect("few messages");
        let ends = self.partitions.as_ref()?.iter().map(|it| Bounds { first: 0, end: end(it) });
        Some((0..).zip(ends).collect())
    }

    /// What is in a partition from one offset to before another.
    pub(super) fn entries(&self, partition: i32, from: i64, to: i64) -> Vec<Entry> {
        let index = |it: i64| usize::try_from(it).unwrap_or(0);
        let partitions = self.partitions.as_ref();
        let entries = partitions.and_then(|it| it.get(usize::try_from(partition).ok()?));
        entries.and_then(|it| it.get(index(from)..index(to))).unwrap_or_default().to_vec()
    }
}
