//! Offsets: from where on a topic may hold what no checkpoint knows of.
//!
//! One file per sink. It names every topic before the first message goes there, and moves on only behind
//! checkpoints: an offset stands in it once all that the agent wrote below it is in a stored one. So the
//! next agent finds all that it must not send again from there to the end.
//!
//! What was acknowledged may stand behind what was not: messages of one payload lie in several partitions, and
//! are done with together. So a picture of a topic's offsets counts once all is done with that was on its way
//! there when it was taken. A topic that takes nothing holds up no other.
//!
//! The file also has the agent's own name, by which it knows its messages from those of others, and whether
//! its last life ended with nothing on its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::{fs, io};

use flow::is_mutant;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::brokers::KeepOffsets;

/// By partition: the next offset.
type Partitions = BTreeMap<i32, i64>;
/// By topic, by partition: the next offset.
pub(super) type Table = BTreeMap<String, Partitions>;

/// The file's version.
const VERSION: u32 = 1;
/// Pictures of a topic that wait for their checkpoint.
const PICTURES_MAX: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// A name that nobody else has, for as long as there is this file.
    #[serde(default = "new_name")]
    agent: String,
    /// Nothing was on its way when the last life ended.
    #[serde(default)]
    is_clean: bool,
    /// Something is left out that a checkpoint has.
    #[serde(default)]
    has_advanced: bool,
    topics: Table,
}

/// A name that nobody else has: the kernel's random numbers.
fn new_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    name.trim().to_owned()
}

/// What is known of one topic.
#[derive(Debug, Default)]
struct Topic {
    /// As acknowledged by now.
    now: Partitions,
    /// As it was at times, oldest first.
    pictures: VecDeque<Picture>,
    /// Payloads with messages here that are on their way, or wait to be sent again.
    open: BTreeSet<u64>,
}

#[derive(Debug)]
struct Picture {
    partitions: Partitions,
    /// The last payload by then.
    last: u64,
    /// When it was first seen that all payloads up to the last are done with.
    settled_ns: Option<u64>,
}

impl Topic {
    /// The newest picture that had settled before `stored_ns`, if there is one.
    fn stored(&mut self, stored_ns: u64) -> Option<Partitions> {
        let is_early = is_mutant("offset_stored_before_its_checkpoint");
        let is_stored =
            |it: &&Picture| it.settled_ns.is_some_and(|at_ns| at_ns < stored_ns || is_early);
        let stored = self.pictures.iter().take_while(is_stored).count();
        self.pictures.drain(..stored).next_back().map(|it| it.partitions)
    }

    /// Takes a picture if there is news since the last, or since what is stored.
    fn look(&mut self, stored: &Partitions, last: u64, now_ns: u64) {
        let known = self.pictures.back().map_or(stored, |it| &it.partitions);
        if *known != self.now && self.pictures.len() < PICTURES_MAX {
            let partitions = self.now.clone();
            self.pictures.push_back(Picture { partitions, last, settled_ns: None });
        }
        let is_blind = is_mutant("offset_stored_over_an_open_message");
        let oldest = self.open.first().copied().filter(|_| !is_blind).unwrap_or(u64::MAX);
        for picture in self.pictures.iter_mut().filter(|it| it.last < oldest) {
            picture.settled_ns.get_or_insert(now_ns);
        }
    }
}

/// From where on a partition is read back, of which `stored` is in the file and `bounds` is there.
pub(super) fn start(stored: Option<i64>, bounds: Bounds) -> i64 {
    if is_mutant("offsets_of_a_deleted_topic_trusted") {
        return stored.unwrap_or(bounds.first).clamp(bounds.first, bounds.end);
    }
    // A partition that was added since holds nothing older; in a topic that was made anew, all is new.
    stored.filter(|it| *it <= bounds.end).unwrap_or(bounds.first).max(bounds.first)
}

/// The offsets of one sink.
#[derive(Debug)]
pub(super) struct Offsets {
    keeper: Box<dyn KeepOffsets>,
    topics: BTreeMap<String, Topic>,
    /// Payloads that were ever on their way.
    admitted: u64,
    /// As it is in the file.
    stored: Stored,
}

impl Offsets {
    /// The offsets that were kept; none before the first time.
    ///
    /// # Errors
    /// If they cannot be read, or are not what was written.
    pub(super) fn open(keeper: Box<dyn KeepOffsets>) -> io::Result<Offsets> {
        let stored = match keeper.load()? {
            Some(bytes) => {
                let stored: Stored = serde_json::from_slice(&bytes)?;
                if stored.version != VERSION {
                    let why = format!("version {} is not known", stored.version);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                stored
            }
            None => {
                let (agent, topics) = (new_name(), Table::new());
                Stored { version: VERSION, agent, is_clean: true, has_advanced: false, topics }
            }
        };
        if stored.agent.is_empty() {
            let why = "the kernel gives no name to know our own messages by";
            return Err(io::Error::other(why));
        }
        let topic = |(name, now): (&String, &Partitions)| {
            (name.clone(), Topic { now: now.clone(), ..Topic::default() })
        };
        let topics = stored.topics.iter().map(topic).collect();
        Ok(Offsets { keeper, topics, admitted: 0, stored })
    }

    /// The number of the next payload.
    pub(super) fn admit(&mut self) -> u64 {
        self.admitted += 1;
        self.admitted
    }

    /// A payload has messages for that topic, which are on their way from now on.
    pub(super) fn sends(&mut self, topic: &str, number: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.open.insert(number);
        }
    }

    /// All messages of a payload are stored, noted, and its tickets completed.
    pub(super) fn complete(&mut self, number: u64) {
        for topic in self.topics.values_mut() {
            topic.open.remove(&number);
        }
    }

    /// Whether nothing is on its way to any topic, or waits to be sent there again.
    pub(super) fn is_at_rest(&self) -> bool {
        self.topics.values().all(|it| it.open.is_empty())
    }

    /// What the file says.
    pub(super) fn stored(&self) -> &Table {
        &self.stored.topics
    }

    /// The agent's own name.
    pub(super) fn agent(&self) -> String {
        self.stored.agent.clone()
    }

    /// Whether something is left out that a checkpoint has.
    pub(super) fn has_advanced(&self) -> bool {
        self.stored.has_advanced
    }

    /// Whether nothing was on its way when the last life ended.
    pub(super) fn is_clean(&self) -> bool {
        self.stored.is_clean || self.stored.topics.is_empty()
    }

    /// Something is on its way from now on, or nothing any more.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub(super) fn set_clean(&mut self, is_clean: bool) -> io::Result<()> {
        if self.stored.topics.is_empty() || self.stored.is_clean == is_clean {
            return Ok(());
        }
        self.write(Stored { is_clean, ..self.stored.clone() })
    }

    /// Whether the topic is in the file.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.stored.topics.contains_key(topic)
    }

    /// Puts a topic into the file, before anything is sent there.
    ///
    /// # Errors
    /// If it cannot be stored: then nothing may be sent.
    pub(super) fn begin(&mut self, topic: &str, ends: Partitions) -> io::Result<()> {
        let mut stored = self.stored.clone();
        stored.topics.insert(topic.to_owned(), ends.clone());
        self.write(Stored { is_clean: false, ..stored })?;
        self.topics.insert(topic.to_owned(), Topic { now: ends, ..Topic::default() });
        Ok(())
    }

    /// A message of ours has this offset, and its ticket was completed.
    pub(super) fn note(&mut self, topic: &str, partition: i32, offset: i64) {
        let stored = self.stored.topics.get(topic).and_then(|it| it.get(&partition));
        if stored.is_some_and(|it| offset < *it) {
            self.begin_anew(topic, partition);
        }
        let Some(topic) = self.topics.get_mut(topic) else { return };
        let next = topic.now.entry(partition).or_insert(0);
        *next = (*next).max(offset + 1);
    }

    /// All that is stored of a partition was done with below: it is another one, in a topic made anew.
    fn begin_anew(&mut self, topic: &str, partition: i32) {
        tracing::warn!(topic, partition, "made anew; what was in it is gone with the old one");
        let mut stored = self.stored.clone();
        stored.topics.entry(topic.to_owned()).or_default().insert(partition, 0);
        if let Err(error) = self.write(stored) {
            // The next look at the offsets tries again.
            tracing::warn!(%error, "the offsets of the topic made anew are not stored");
        }
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.pictures.clear();
            topic.now.insert(partition, 0);
        }
    }

    /// Takes pictures, and stores of each topic the newest that had settled before `stored_ns`:
    /// acknowledgements before that time are in a stored checkpoint.
    ///
    /// # Errors
    /// If the file cannot be written; the old one stays.
    pub(super) fn advance(&mut self, now_ns: u64, stored_ns: u64) -> io::Result<()> {
        let mut stored = self.stored.topics.clone();
        for (name, topic) in &mut self.topics {
            let Some(known) = stored.get_mut(name) else { continue };
            if let Some(news) = topic.stored(stored_ns) {
                *known = news;
            }
            topic.look(known, self.admitted, now_ns);
        }
        if stored == self.stored.topics {
            return Ok(());
        }
        self.write(Stored { topics: stored, has_advanced: true, ..self.stored.clone() })
    }

    fn write(&mut self, stored: Stored) -> io::Result<()> {
        self.keeper.store(&serde_json::to_vec(&stored)?)?;
        self.stored = stored;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::offset_file::OffsetFile;
    use super::*;

    fn ends(offset: i64) -> Partitions {
        [(0, offset), (1, offset)].into()
    }

    fn open(path: &Path) -> io::Result<Offsets> {
        Offsets::open(OffsetFile::at(path))
    }

    fn stored(path: &Path) -> Table {
        open(path).unwrap().stored().clone()
    }

    #[test]
    fn an_offset_is_stored_only_behind_its_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kafka/out.json");
        let mut offsets = open(&path).unwrap();
        assert!(!offsets.has("logs"));
        offsets.begin("logs", ends(5)).unwrap();
        assert_eq!(stored(&path)["logs"], ends(5));
        offsets.note("logs", 0, 7);
        offsets.advance(100, 50).unwrap();
        offsets.note("logs", 0, 9);
        offsets.advance(200, 100).unwrap();
        assert_eq!(
            stored(&path)["logs"],
            ends(5),
            "the checkpoint began when the picture was taken"
        );
        offsets.advance(300, 101).unwrap();
        assert_eq!(stored(&path)["logs"][&0], 8);
        offsets.note("logs", 2, 0);
        offsets.advance(400, 350).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 10), (1, 5)].into());
        offsets.advance(500, 450).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 10), (1, 5), (2, 1)].into());
    }

    #[test]
    fn an_offset_is_not_stored_while_an_older_message_may_stand_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        let mut offsets = open(&path).unwrap();
        offsets.begin("logs", ends(5)).unwrap();
        offsets.begin("other", ends(5)).unwrap();
        // The first has messages in both partitions, and is not done with; the second is, behind it.
        let (first, second) = (offsets.admit(), offsets.admit());
        offsets.sends("logs", first);
        offsets.sends("logs", second);
        offsets.note("logs", 0, 7);
        offsets.note("other", 0, 7);
        offsets.complete(second);
        offsets.advance(100, 50).unwrap();
        offsets.advance(200, 150).unwrap();
        assert_eq!(stored(&path)["logs"], ends(5), "the first may be at 5 or 6");
        assert_eq!(stored(&path)["other"], [(0, 8), (1, 5)].into(), "where the first has nothing");
        offsets.note("logs", 1, 5);
        offsets.complete(first);
        offsets.advance(300, 250).unwrap();
        assert_eq!(stored(&path)["logs"], ends(5), "no checkpoint has the first yet");
        offsets.advance(400, 350).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 8), (1, 6)].into());
    }

    #[test]
    fn d6_the_offsets_of_a_topic_made_anew_begin_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        let mut offsets = open(&path).unwrap();
        offsets.begin("logs", ends(50)).unwrap();
        offsets.note("logs", 0, 3);
        assert_eq!(stored(&path)["logs"], [(0, 0), (1, 50)].into());
        offsets.advance(100, 50).unwrap();
        offsets.advance(200, 150).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 4), (1, 50)].into());
    }

    #[test]
    fn the_name_stays_and_a_clean_end_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kafka/out.json");
        let mut offsets = open(&path).unwrap();
        assert_eq!(offsets.agent().len(), 36);
        assert!(offsets.is_clean());
        offsets.begin("logs", ends(5)).unwrap();
        let again = open(&path).unwrap();
        assert_eq!((again.agent(), again.is_clean()), (offsets.agent(), false));
        offsets.set_clean(true).unwrap();
        let mut again = open(&path).unwrap();
        assert!(again.is_clean());
        again.set_clean(false).unwrap();
        assert!(!open(&path).unwrap().is_clean());
        let other = open(&directory.path().join("other.json")).unwrap();
        assert_ne!(other.agent(), offsets.agent());
    }

    #[test]
    fn a_damaged_file_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        fs::write(&path, b"{\"version\":2,\"topics\":{}}").unwrap();
        assert!(open(&path).is_err());
        fs::write(&path, b"{").unwrap();
        assert!(open(&path).is_err());
    }
}
