//! Compressed files, read in any order, whole, cut, damaged and growing.

use std::io::Write;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::fs::{FileId, FileKind};

/// A file in memory that grows.
#[derive(Debug, Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl LogFile for Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_from(&self.0.lock().unwrap(), buffer, offset))
    }

    fn stat(&self) -> io::Result<Stat> {
        let id = FileId { device: 1, inode: 1, birth_ns: 1 };
        let size = self.0.lock().unwrap().len() as u64;
        Ok(Stat { id, kind: FileKind::Regular, size, modified_ns: 0, links: 1, is_linked: false })
    }
}

fn member(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|it| format!("line {it} of the log\n").into_bytes()).collect()
}

fn open(bytes: Vec<u8>, known_bytes: u64) -> (Bytes, GzipFile) {
    let file = Bytes(Arc::new(Mutex::new(bytes)));
    (file.clone(), GzipFile::new(Box::new(file), known_bytes, Arc::default()))
}

/// Reads from `offset` to the end, so many bytes at a time.
fn rest(gzip: &GzipFile, mut offset: u64, step: usize) -> Vec<u8> {
    let (mut content, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match gzip.read_at(&mut buffer, offset) {
            Ok(0) => return content,
            Ok(len) => {
                content.extend_from_slice(&buffer[..len]);
                offset += len as u64;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    }
}

#[test]
fn b6_members_that_follow_each_other_are_one_content() {
    let content = lines(20_000);
    let (one, two) = content.split_at(70_001);
    let (_, gzip) = open([member(one), member(b""), member(two)].concat(), 0);
    assert!(rest(&gzip, 0, 8192) == content);
    assert_eq!((gzip.defect(), gzip.stat().unwrap().size), (None, content.len() as u64));
}

#[test]
fn content_goes_on_at_any_offset() {
    let content = lines(100_000);
    let (_, gzip) = open(member(&content), 1_500_000);
    assert!(gzip.stat().unwrap().size > 1_500_000, "there is more than was read before");
    assert!(rest(&gzip, 1_500_000, 8192) == content[1_500_000..]);
    let mut line = [0; 4];
    gzip.read_at(&mut line, 0).unwrap();
    assert_eq!(&line, b"line");
    assert!(rest(&gzip, 3, 100_000) == content[3..], "going back begins anew");
}

#[test]
fn a_bomb_is_inflated_slice_by_slice() {
    let (_, gzip) = open(member(&vec![0; 100 << 20]), 0);
    let (mut buffer, mut slices) = ([1; 4096], 0);
    while let Err(error) = gzip.read_at(&mut buffer, 90 << 20) {
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        slices += 1;
    }
    assert_eq!((slices, buffer), (11, [0; 4096]));
}

#[test]
fn b6_a_cut_file_gives_what_it_has_and_goes_on_when_it_grows() {
    let content = lines(50_000);
    let packed = member(&content);
    let (file, gzip) = open(packed[..packed.len() / 2].to_vec(), 0);
    let first = rest(&gzip, 0, 10_000);
    assert!(!first.is_empty() && content.starts_with(&first));
    assert_eq!(gzip.defect(), Some(Defect::Cut));
    assert_eq!(gzip.stat().unwrap().size, first.len() as u64);
    file.0.lock().unwrap().extend_from_slice(&packed[packed.len() / 2..]);
    assert!(gzip.stat().unwrap().size > first.len() as u64);
    assert!(rest(&gzip, first.len() as u64, 10_000) == content[first.len()..]);
    assert_eq!(gzip.defect(), None);
}

#[test]
fn b6_damage_is_said_and_what_came_before_is_given() {
    let content = lines(50_000);
    let mut packed = member(&content);
    let at = packed.len() - 6;
    packed[at] ^= 1;
    let (_, gzip) = open(packed, 0);
    assert!(rest(&gzip, 0, 10_000) == content, "only the checksum is wrong");
    assert_eq!(gzip.defect(), Some(Defect::Damaged));
    let (_, gzip) = open(b"not gzip at all".to_vec(), 0);
    assert!(rest(&gzip, 0, 10_000).is_empty());
    assert_eq!(gzip.defect(), Some(Defect::Damaged));
    let (_, gzip) = open(Vec::new(), 0);
    assert!(rest(&gzip, 0, 10_000).is_empty());
    assert_eq!(gzip.defect(), Some(Defect::Cut));
}

#[test]
fn only_so_many_are_inflated_at_a_time() {
    let inflaters = Arc::new(Inflaters::default());
    let file = || Bytes(Arc::new(Mutex::new(member(&lines(1000)))));
    let open = || GzipFile::new(Box::new(file()), 0, Arc::clone(&inflaters));
    let mut files: Vec<GzipFile> = (0..=INFLATERS_MAX).map(|_| open()).collect();
    let mut buffer = [0; 2000];
    for file in &files[..INFLATERS_MAX] {
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 2000);
    }
    let refused = files[INFLATERS_MAX].read_at(&mut buffer, 0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    files.remove(0);
    assert_eq!(files[INFLATERS_MAX - 1].read_at(&mut buffer, 0).unwrap(), 2000);
}

proptest! {
    /// Whatever is read where, it is what the content has there.
    #[test]
    fn reads_are_those_of_the_content(
        cuts in proptest::collection::vec(0usize..40_000, 0..4),
        reads in proptest::collection::vec((0u64..45_000, 1usize..9000), 1..30),
    ) {
        let content = lines(2000);
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut packed, mut from) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([content.len()]) {
            let cut = cut.min(content.len());
            packed.extend(member(&content[from..cut]));
            from = cut;
        }
        let (_, gzip) = open(packed, 0);
        for (offset, len) in reads {
            let mut buffer = vec![0; len];
            let got = gzip.read_at(&mut buffer, offset).unwrap();
            let begin = usize::try_from(offset).unwrap().min(content.len());
            let end = (begin + len).min(content.len());
            prop_assert_eq!(&buffer[..got], &content[begin..end]);
        }
    }
}
