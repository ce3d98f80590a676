//! Offsets: from where on a topic may hold what no checkpoint knows of.
//!
//! One file per sink. It names every topic before the first message goes there, and moves on only behind
//! checkpoints: an offset stands in it once all that the agent wrote below it is in a stored one. So the
//! next agent finds all that it must not send again from there to the end.
//!
//! What was acknowledged may stand behind what was not: messages of one payload lie in several partitions, and
//! are done with together. So a picture of the offsets counts once all is done that was on its way when it
//! was taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flow::is_mutant;
use serde::{Deserialize, Serialize};

/// By topic, by partition: the next offset.
pub(super) type Table = BTreeMap<String, BTreeMap<i32, i64>>;

/// The file's version.
const VERSION: u32 = 1;
/// Pictures of the table that wait for their checkpoint.
const PICTURES_MAX: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    topics: Table,
}

#[derive(Debug)]
struct Picture {
    table: Table,
    /// The last payload that was on its way by then.
    last: u64,
    /// When it was first seen that all payloads up to the last are done with.
    settled_ns: Option<u64>,
}

/// The offsets of one sink.
#[derive(Debug)]
pub(super) struct Offsets {
    path: PathBuf,
    /// As acknowledged by now.
    now: Table,
    /// As it was at a time, oldest first.
    pictures: VecDeque<Picture>,
    /// Payloads that were ever on their way.
    admitted: u64,
    /// Those that still are, or are to be sent again.
    open: BTreeSet<u64>,
    /// As it is in the file.
    stored: Table,
}

impl Offsets {
    /// The offsets in a file; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or is not what was written.
    pub(super) fn open(path: &Path) -> io::Result<Offsets> {
        let stored = match fs::read(path) {
            Ok(bytes) => {
                let stored: Stored = serde_json::from_slice(&bytes)?;
                if stored.version != VERSION {
                    let why = format!("version {} is not known", stored.version);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                stored.topics
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Table::new(),
            Err(error) => return Err(error),
        };
        let now = stored.clone();
        let (pictures, open) = (VecDeque::new(), BTreeSet::new());
        Ok(Offsets { path: path.to_path_buf(), now, pictures, admitted: 0, open, stored })
    }

    /// Another payload is on its way; returns its number.
    pub(super) fn admit(&mut self) -> u64 {
        self.admitted += 1;
        self.open.insert(self.admitted);
        self.admitted
    }

    /// All messages of a payload are stored, noted, and its tickets completed.
    pub(super) fn complete(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// What the file says.
    pub(super) fn stored(&self) -> &Table {
        &self.stored
    }

    /// Whether the topic is in the file.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.stored.contains_key(topic)
    }

    /// Puts a topic into the file, before anything is sent there.
    ///
    /// # Errors
    /// If it cannot be stored: then nothing may be sent.
    pub(super) fn begin(&mut self, topic: &str, ends: BTreeMap<i32, i64>) -> io::Result<()> {
        let mut topics = self.stored.clone();
        topics.insert(topic.to_owned(), ends.clone());
        self.write(topics)?;
        self.now.insert(topic.to_owned(), ends);
        Ok(())
    }

    /// A message of ours has this offset, and its ticket was completed.
    pub(super) fn note(&mut self, topic: &str, partition: i32, offset: i64) {
        let Some(partitions) = self.now.get_mut(topic) else { return };
        let next = partitions.entry(partition).or_insert(0);
        *next = (*next).max(offset + 1);
    }

    /// Takes a picture, and stores the newest that had settled before `stored_ns`: acknowledgements before
    /// that time are in a stored checkpoint.
    ///
    /// # Errors
    /// If the file cannot be written; the old one stays.
    pub(super) fn advance(&mut self, now_ns: u64, stored_ns: u64) -> io::Result<()> {
        let is_early = is_mutant("offset_stored_before_its_checkpoint");
        let is_stored =
            |it: &&Picture| it.settled_ns.is_some_and(|at_ns| at_ns < stored_ns || is_early);
        let covered = self.pictures.iter().take_while(is_stored).count();
        let newest = self.pictures.drain(..covered).next_back();
        let outcome = match newest {
            Some(picture) if picture.table != self.stored => self.write(picture.table),
            _ => Ok(()),
        };
        let is_news = self.pictures.back().map_or(&self.stored, |it| &it.table) != &self.now;
        if is_news && self.pictures.len() < PICTURES_MAX {
            let (table, last) = (self.now.clone(), self.admitted);
            self.pictures.push_back(Picture { table, last, settled_ns: None });
        }
        let is_blind = is_mutant("offset_stored_over_an_open_message");
        let oldest = self.open.first().copied().filter(|_| !is_blind).unwrap_or(u64::MAX);
        for picture in self.pictures.iter_mut().filter(|it| it.last < oldest) {
            picture.settled_ns.get_or_insert(now_ns);
        }
        outcome
    }

    /// Nothing may move on for now: something older than what was acknowledged is not.
    pub(super) fn hold(&mut self) {
        self.pictures.clear();
    }

    fn write(&mut self, topics: Table) -> io::Result<()> {
        let stored = Stored { version: VERSION, topics };
        let directory = self.path.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(directory)?;
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        File::open(directory)?.sync_all()?;
        self.stored = stored.topics;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(offset: i64) -> BTreeMap<i32, i64> {
        [(0, offset), (1, offset)].into()
    }

    fn stored(path: &Path) -> Table {
        Offsets::open(path).unwrap().stored().clone()
    }

    #[test]
    fn an_offset_is_stored_only_behind_its_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kafka/out.json");
        let mut offsets = Offsets::open(&path).unwrap();
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
        offsets.hold();
        offsets.advance(500, 600).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 10), (1, 5)].into());
        offsets.advance(700, 650).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 10), (1, 5), (2, 1)].into());
    }

    #[test]
    fn an_offset_is_not_stored_while_an_older_message_may_stand_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        let mut offsets = Offsets::open(&path).unwrap();
        offsets.begin("logs", ends(5)).unwrap();
        // The first has messages in both partitions, and is not done with; the second is, behind it.
        let (first, second) = (offsets.admit(), offsets.admit());
        offsets.note("logs", 0, 7);
        offsets.complete(second);
        offsets.advance(100, 50).unwrap();
        offsets.advance(200, 150).unwrap();
        assert_eq!(stored(&path)["logs"], ends(5), "the first may be at 5 or 6");
        offsets.note("logs", 1, 5);
        offsets.complete(first);
        offsets.advance(300, 250).unwrap();
        assert_eq!(stored(&path)["logs"], ends(5), "no checkpoint has the first yet");
        offsets.advance(400, 350).unwrap();
        assert_eq!(stored(&path)["logs"], [(0, 8), (1, 6)].into());
    }

    #[test]
    fn a_damaged_file_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        fs::write(&path, b"{\"version\":2,\"topics\":{}}").unwrap();
        assert!(Offsets::open(&path).is_err());
        fs::write(&path, b"{").unwrap();
        assert!(Offsets::open(&path).is_err());
    }
}
