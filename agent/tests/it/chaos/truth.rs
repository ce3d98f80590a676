//! Truth: what a stream's writer wrote, file by file, and what became of it.
//!
//! Kept in this process, where no power cut reaches it.

/// What one file held from its creation, or from its last cut, on.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// In the order of their bytes, without holes in between.
    pub(super) lines: Vec<Line>,
    /// How long it ever was.
    pub(super) bytes: u64,
    /// A file of the chain has it: the one it was written to, or that one compressed.
    pub(super) is_there: bool,
    /// How many of its first bytes are in a copy that is there.
    pub(super) copied: u64,
    /// Its file was copied before it was cut: what is left may be read later than what follows.
    pub(super) was_copied: bool,
    /// Its file was cut.
    pub(super) was_cut: bool,
    /// Its file, or the copy of it, was removed or moved away.
    pub(super) was_removed: bool,
    /// Its file was compressed, and the plain one removed.
    pub(super) was_packed: bool,
    /// The content that its file had after it was cut.
    pub(super) cut_into: Option<usize>,
    /// The content of which a power cut left the first bytes, so many, with which this one begins.
    pub(super) rest_of: Option<(usize, u64)>,
    /// The life in which the agent has looked into it, or will as soon as it sees it.
    pub(super) known_in: Option<Life>,
    /// What the agent has seen and still owes.
    pub(super) owed: Owed,
}

/// One line, or what is left of one.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Counts the lines of the stream from 1 on.
    pub(super) number: u64,
    /// Where it begins in its content.
    pub(super) begin: u64,
    /// Where the next one begins.
    pub(super) end: u64,
    /// Without its line end.
    pub(super) text: String,
    /// It is not as it was meant: its end is missing, or it goes on from one whose end is.
    pub(super) is_torn: bool,
    /// It is none: bytes that nobody wrote.
    pub(super) is_hole: bool,
}

/// One life of the data plane: the process, and how often its plane was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life(pub(super) usize, pub(super) usize);

/// Bytes that the agent is known to have seen: they are delivered or declared, if it lives on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Owed {
    /// So many of the first.
    pub(super) bytes: u64,
    /// In this life.
    pub(super) life: Option<Life>,
    /// It holds the file open without a name, and will look at it again at least until then.
    pub(super) followed_until_ns: u64,
}

impl Content {
    /// A content that is begun now.
    pub(super) fn begun(life: Option<Life>) -> Content {
        Content { is_there: true, known_in: life, ..Content::default() }
    }

    /// How many of its first bytes some file of the chain has.
    pub(super) fn kept_bytes(&self) -> u64 {
        if self.is_there { self.bytes } else { self.copied }
    }

    /// Another line is begun, which takes so many bytes in its file.
    pub(super) fn add(&mut self, number: u64, text: &str, bytes: u64) {
        // What a power cut left of a line is the beginning of the next one.
        let is_open =
            |last: &mut Line| last.is_torn && last.end == last.begin + last.text.len() as u64;
        let (mut begin, mut before) = (self.lines.last().map_or(0, |last| last.end), String::new());
        while let Some(torn) = self.lines.pop_if(is_open) {
            (begin, before) = (torn.begin, torn.text + &before);
        }
        let is_torn = !before.is_empty();
        let end = begin + before.len() as u64 + bytes;
        let text = before + text;
        self.lines.push(Line { number, begin, end, text, is_torn, is_hole: false });
    }

    /// The file was made longer, and nothing written.
    pub(super) fn add_hole(&mut self, bytes: u64) {
        let (begin, text) = (self.bytes, String::new());
        self.bytes += bytes;
        let end = self.bytes;
        self.lines.push(Line { number: 0, begin, end, text, is_torn: false, is_hole: true });
    }

    /// A power cut left so many bytes that nobody wrote.
    pub(super) fn add_nuls(&mut self, bytes: u64) {
        if bytes > 0 {
            let begin = self.lines.last().map_or(0, |last| last.end);
            let text = "\0".repeat(usize::try_from(bytes).expect("less than a block"));
            let end = begin + bytes;
            self.lines.push(Line { number: 0, begin, end, text, is_torn: true, is_hole: false });
        }
    }

    /// All its lines, as they stand in the file.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text: Vec<u8> = Vec::new();
        for line in &self.lines {
            text.extend(line.text.as_bytes());
            if line.end > line.begin + line.text.len() as u64 {
                text.push(b'\n');
            }
        }
        text
    }

    /// Nothing more is written behind its first `bytes`.
    pub(super) fn end_at(&mut self, bytes: u64) {
        self.lines.retain(|line| line.begin < bytes);
        if let Some(last) = self.lines.last_mut()
            && last.end > bytes
        {
            let left = usize::try_from(bytes - last.begin).expect("small");
            last.text.truncate(left);
            (last.end, last.is_torn) = (bytes, true);
        }
    }
}
