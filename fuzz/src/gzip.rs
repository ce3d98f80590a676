//! Gzip: a compressed file read in any order, from any offset, while it grows, whole or damaged.
//!
//! Of what was compressed here, every read is compared with the content. Of any other bytes, reads of
//! different sizes and from different offsets must agree, and what another reader of gzip finds must
//! be there.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use flow::HEAD_BYTES_MAX;
use pipeline::fs::{Defect, FileId, FileKind, GzipFile, LogFile, Stat};

use crate::input::Input;

/// Content of any bytes that is looked at, at most: what a bomb holds is more.
const CONTENT_BYTES_MAX: usize = 1 << 20;

/// Bytes of one read, at most.
const READ_BYTES_MAX: usize = 5000;

/// One input: how it is read, then what is compressed, or what is taken for compressed.
///
/// # Panics
/// If what was read is not what it must be.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.below(2) == 0 { made_here(input) } else { of_any_bytes(input) }
}

/// Members made of the content, which become visible bit by bit.
fn made_here(mut input: Input<'_>) {
    let reads: Vec<[usize; 3]> =
        (0..input.below(16) + 1).map(|_| [(); 3].map(|()| input.number())).collect();
    let (mut packed, mut content) = (Vec::new(), Vec::new());
    for _ in 0..input.below(4) + 1 {
        let how = input.byte();
        // A repeated piece is longer than the window of the format.
        let times = if how & 8 == 0 { 1 } else { 600 };
        let part = input.piece().repeat(times);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(u32::from(how % 10)));
        encoder.write_all(&part).expect("in memory");
        packed.extend(encoder.finish().expect("in memory"));
        content.extend(part);
    }
    // What lies behind: nothing, or the bytes that are left, which are no member.
    let rest = input.rest();
    let is_whole = rest.is_empty() || rest.starts_with(&[0x1f]);
    packed.extend_from_slice(if is_whole { &[] } else { rest });
    let file = Bytes::default();
    let known = reads[0][0].min(content.len());
    let mut gzip = GzipFile::new(Box::new(file.clone()), known as u64, Arc::default());
    for [more, offset, len] in reads {
        file.grow(&packed, more);
        let offset = offset * content.len().max(1) / usize::from(u16::MAX);
        let got = read(&gzip, offset, len % READ_BYTES_MAX);
        assert!(content[offset.min(content.len())..].starts_with(&got), "another content");
        let stated = gzip.stat().expect("in memory").size;
        // Reading how a file begins inflates nothing that is kept.
        let is_head = offset + len % READ_BYTES_MAX <= HEAD_BYTES_MAX;
        assert!(
            is_head || got.is_empty() || stated >= (offset + got.len()) as u64,
            "{stated} bytes"
        );
        if more % 7 == 0 {
            gzip = GzipFile::new(Box::new(file.clone()), offset as u64, Arc::default());
        }
    }
    file.grow(&packed, packed.len());
    let got = read_all(&gzip, 0, 4096);
    assert!(got == content, "{} bytes of {}", got.len(), content.len());
    let defect = if is_whole { None } else { Some(Defect::Damaged) };
    // A beginning of a member may be about to go on.
    let is_open = !is_whole && gzip.defect() == Some(Defect::Cut);
    assert!(gzip.defect() == defect || is_open, "{:?}", gzip.defect());
}

/// Bytes that nobody made.
fn of_any_bytes(mut input: Input<'_>) {
    let (step, from) = (input.number() % 3000 + 1, input.number());
    let bytes = input.rest();
    let file = Bytes::default();
    file.grow(bytes, bytes.len());
    let open = || GzipFile::new(Box::new(file.clone()), 0, Arc::default());
    let (one, other) = (open(), open());
    let content = read_all(&one, 0, 65_536);
    assert!(content == read_all(&other, 0, step), "another content in steps of {step}");
    if content.len() < CONTENT_BYTES_MAX {
        // Who reads no more than how a file begins never meets its end.
        assert!(step <= HEAD_BYTES_MAX || one.defect() == other.defect());
    }
    let from = from.min(content.len());
    assert!(read_all(&open(), from, step) == content[from..], "another content from {from} on");
    let mut reference = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(CONTENT_BYTES_MAX as u64);
    let outcome = decoder.read_to_end(&mut reference);
    assert!(content.starts_with(&reference), "{} bytes of {}", content.len(), reference.len());
    // An empty file is no member to us: more may come.
    if content.len() < CONTENT_BYTES_MAX && !bytes.is_empty() {
        assert_eq!(outcome.is_ok(), one.defect().is_none(), "{outcome:?}, {:?}", one.defect());
    }
}

/// A file in memory that grows.
#[derive(Debug, Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    /// So many more bytes of `whole` are there.
    fn grow(&self, whole: &[u8], more: usize) {
        let mut bytes = self.0.lock().expect("one thread");
        let end = (bytes.len() + more).min(whole.len());
        *bytes = whole[..end].to_vec();
    }
}

impl LogFile for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().expect("one thread");
        let from = usize::try_from(offset).map_or(bytes.len(), |it| it.min(bytes.len()));
        let len = buffer.len().min(bytes.len() - from);
        buffer[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn stat(&self) -> io::Result<Stat> {
        let id = FileId { device: 1, inode: 1, birth_ns: 1 };
        let size = self.0.lock().expect("one thread").len() as u64;
        Ok(Stat { id, kind: FileKind::Regular, size, modified_ns: 0, links: 1, is_linked: false })
    }
}

/// One read, with as many slices as it takes.
fn read(gzip: &GzipFile, offset: usize, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    loop {
        match gzip.read_at(&mut buffer, offset as u64) {
            Ok(len) => {
                buffer.truncate(len);
                return buffer;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    }
}

/// All from an offset on, up to the limit.
fn read_all(gzip: &GzipFile, from: usize, step: usize) -> Vec<u8> {
    let mut content = Vec::new();
    while from + content.len() < CONTENT_BYTES_MAX {
        let left = CONTENT_BYTES_MAX - from - content.len();
        let more = read(gzip, from + content.len(), step.min(left));
        if more.is_empty() {
            break;
        }
        content.extend(more);
    }
    content
}
