//! Archive: files one after the other, as `tar` has them (POSIX ustar).

/// Size of a header, and what contents are filled up to.
const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A file that all may run, with this content.
    File(&'a [u8]),
    /// A symbolic link to this.
    Link(&'a str),
    /// A directory with these rights.
    Directory(u32),
}

/// An archive that is being written.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// Adds an entry. Its path has less than 100 bytes, as has what a link leads to.
    pub(crate) fn add(&mut self, path: &str, kind: Kind<'_>) {
        let (mode, content, target, flag) = match kind {
            Kind::File(content) => (0o755, content, "", b'0'),
            Kind::Link(target) => (0o777, &[][..], target, b'2'),
            Kind::Directory(mode) => (mode, &[][..], "", b'5'),
        };
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        assert!(path.len() < 100 && target.len() < 100, "{path}: too long for ustar");
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{:011o}", content.len()).as_bytes());
        put(136, b"00000000000");
        // The sum counts itself as blanks.
        put(148, b"        ");
        put(156, &[flag]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend(header);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// The archive, with the two empty blocks at its end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}
