//! Recall: how a log disk asks the agent of its machine for bytes of a file that it has given back.
//!
//! One question and one answer a connection, over a socket in the agent's state directory. A file is known by the key
//! of its generation, so that neither side needs the other's names. All numbers are little-endian.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most bytes that are asked for at once: eight times what Linux reads ahead by default.
pub const RECALL_BYTES_MAX: u64 = 1 << 20;

/// Name of the socket in the state directory.
const SOCKET_NAME: &str = "recall.sock";
/// What a question begins with: whoever speaks another version is refused.
const MAGIC: [u8; 8] = *b"LFRCAL\r\x01";
const QUESTION_BYTES: usize = 32;
/// Code, and length of what follows.
const ANSWER_HEAD_BYTES: usize = 8;

const BYTES: u32 = 0;
const GONE: u32 = 1;
const LATER: u32 = 2;

/// Where the agent with this state directory is asked.
#[must_use]
pub fn recall_socket(state_directory: &Path) -> PathBuf {
    state_directory.join(SOCKET_NAME)
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecallQuestion {
    /// Key of the generation ([`crate::Position::generation`]).
    pub generation: u64,
    /// Offsets in it; neither empty nor longer than [`RECALL_BYTES_MAX`].
    pub range: Range<u64>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecallAnswer {
    /// All of the bytes, as they were.
    Bytes(Vec<u8>),
    /// Not all of them are known any more, or were ever; in words.
    Gone(String),
    /// Nobody knows yet: it may be asked again. In words.
    Later(String),
}

impl RecallQuestion {
    /// Writes it.
    ///
    /// # Errors
    /// As `write`.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = [0; QUESTION_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.range.start.to_le_bytes());
        bytes[24..].copy_from_slice(&self.range.end.to_le_bytes());
        to.write_all(&bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// As `read`, and if it is none.
    pub fn read(from: &mut impl Read) -> io::Result<RecallQuestion> {
        let mut bytes = [0; QUESTION_BYTES];
        from.read_exact(&mut bytes)?;
        let number = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight of them are there"))
        };
        let (generation, range) = (number(8), number(16)..number(24));
        let is_one =
            bytes[..8] == MAGIC && !range.is_empty() && range.end - range.start <= RECALL_BYTES_MAX;
        if is_one { Ok(RecallQuestion { generation, range }) } else { Err(invalid("no question")) }
    }
}

impl RecallAnswer {
    /// Writes it.
    ///
    /// # Errors
    /// As `write`.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let (code, rest) = match self {
            RecallAnswer::Bytes(bytes) => (BYTES, bytes.as_slice()),
            RecallAnswer::Gone(why) => (GONE, why.as_bytes()),
            RecallAnswer::Later(why) => (LATER, why.as_bytes()),
        };
        let len = u32::try_from(rest.len()).map_err(|_| invalid("too long"))?;
        let mut head = [0; ANSWER_HEAD_BYTES];
        head[..4].copy_from_slice(&code.to_le_bytes());
        head[4..].copy_from_slice(&len.to_le_bytes());
        to.write_all(&head)?;
        to.write_all(rest)
    }

    /// Reads one.
    ///
    /// # Errors
    /// As `read`, and if it is none.
    pub fn read(from: &mut impl Read) -> io::Result<RecallAnswer> {
        let mut head = [0; ANSWER_HEAD_BYTES];
        from.read_exact(&mut head)?;
        let number = |at: usize| {
            u32::from_le_bytes(head[at..at + 4].try_into().expect("four of them are there"))
        };
        let (code, len) = (number(0), number(4));
        if u64::from(len) > RECALL_BYTES_MAX {
            return Err(invalid("too long an answer"));
        }
        let mut rest = vec![0; len as usize];
        from.read_exact(&mut rest)?;
        let text = |rest: &[u8]| String::from_utf8_lossy(rest).into_owned();
        match code {
            BYTES => Ok(RecallAnswer::Bytes(rest)),
            GONE => Ok(RecallAnswer::Gone(text(&rest))),
            LATER => Ok(RecallAnswer::Later(text(&rest))),
            _ => Err(invalid("no answer")),
        }
    }
}

fn invalid(what: &str) -> io::Error {
    let why = format!("{what} of this version; logdisk and logferry must be of the same release");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let question = RecallQuestion { generation: u64::MAX - 1, range: 4096..4097 };
        let mut said = Vec::new();
        question.write(&mut said).unwrap();
        assert_eq!(RecallQuestion::read(&mut said.as_slice()).unwrap(), question);
        let answers = [
            RecallAnswer::Bytes(b"\0\xff line\n".to_vec()),
            RecallAnswer::Gone("a gap".to_owned()),
            RecallAnswer::Later(String::new()),
        ];
        for answer in answers {
            let mut said = Vec::new();
            answer.write(&mut said).unwrap();
            assert_eq!(RecallAnswer::read(&mut said.as_slice()).unwrap(), answer);
            said.pop();
            assert!(RecallAnswer::read(&mut said.as_slice()).is_err(), "cut short");
        }
    }

    #[test]
    fn what_is_too_much_or_of_another_version_is_refused() {
        let read = |generation, range| {
            let mut said = Vec::new();
            RecallQuestion { generation, range }.write(&mut said).unwrap();
            RecallQuestion::read(&mut said.as_slice())
        };
        assert!(read(1, 0..RECALL_BYTES_MAX).is_ok());
        assert!(read(1, 0..RECALL_BYTES_MAX + 1).is_err());
        assert!(read(1, 7..7).is_err());
        #[expect(clippy::reversed_empty_ranges, reason = "the other side can say anything")]
        let reversed = read(1, 8..7);
        assert!(reversed.is_err());
        let other = [b'x'; QUESTION_BYTES];
        let error = RecallQuestion::read(&mut other.as_slice()).unwrap_err();
        assert!(error.to_string().contains("the same release"), "{error}");
        let long = [[0; 4], u32::MAX.to_le_bytes()].concat();
        assert!(RecallAnswer::read(&mut long.as_slice()).is_err(), "nothing is allocated for it");
    }
}
