//! Facts about whole loads, on real files, with parsers of their own.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::*;
use crate::token::verify;

fn spec(out: &Path) -> LoadSpec {
    LoadSpec {
        shape: Shape::Nginx,
        format: Format::Plain,
        layout: Layout::Flat,
        out: out.to_owned(),
        files: 1,
        first_stream: 0,
        stderr_share: 0.0,
        rotation: None,
        clock: ContentClock::Virtual,
        seed: 1,
        limits: Limits { bytes: Some(300_000), ..Limits::default() },
        rate: 0,
    }
}

fn write(spec: &LoadSpec) -> (Totals, Vec<StreamTruth>) {
    let mut load = Load::create(spec).unwrap();
    let totals = load.run(&AtomicBool::new(false)).unwrap();
    (totals, load.truth())
}

/// All files below `folder`: path below it and content.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Messages of CRI text by (iostream), joined from their parts; asserts the form of each line.
fn cri_messages(text: &[u8]) -> HashMap<String, Vec<Vec<u8>>> {
    let mut open: HashMap<String, Vec<u8>> = HashMap::new();
    let mut whole: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").expect("every line ends");
        let mut fields = line.splitn(4, |&byte| byte == b' ');
        let mut text = || std::str::from_utf8(fields.next().unwrap()).unwrap().to_owned();
        let (time, io, tag) = (text(), text(), text());
        let content = fields.next().expect("four fields");
        let at: jiff::Timestamp = time.parse().expect("RFC 3339");
        assert_eq!(at.to_string(), time, "no trailing zeros, and Z");
        assert!(content.len() <= 16_384);
        let message = open.entry(io.clone()).or_default();
        message.extend_from_slice(content);
        match tag.as_str() {
            "P" => assert_eq!(content.len(), 16_384),
            "F" => whole.entry(io).or_default().push(std::mem::take(message)),
            other => panic!("tag {other}"),
        }
    }
    assert!(open.values().all(Vec::is_empty), "a part without its end");
    whole
}

#[test]
fn same_seed_gives_the_same_bytes() {
    for (format, layout) in [(Format::Plain, Layout::Flat), (Format::Cri, Layout::Pods)] {
        let trees: Vec<_> = [1, 1, 2]
            .into_iter()
            .map(|seed| {
                let folder = tempfile::tempdir().unwrap();
                write(&LoadSpec { format, layout, seed, files: 3, ..spec(folder.path()) });
                tree(folder.path())
            })
            .collect();
        assert_eq!(trees[0], trees[1]);
        assert_ne!(trees[0], trees[2]);
    }
}

#[test]
fn truth_says_what_the_files_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (totals, truth) = write(&LoadSpec { files: 4, first_stream: 10, ..spec(folder.path()) });
    assert!((300_000..301_000).contains(&totals.bytes));
    assert_eq!(truth.iter().map(|it| it.file_bytes).sum::<u64>(), totals.bytes);
    assert_eq!(truth.iter().map(|it| it.lines).sum::<u64>(), totals.lines);
    for (number, stream) in (10..).zip(&truth) {
        let text = fs::read(&stream.path).unwrap();
        assert_eq!(text.len() as u64, stream.file_bytes);
        let lines: Vec<&[u8]> =
            text.strip_suffix(b"\n").unwrap().split(|&it| it == b'\n').collect();
        assert_eq!(lines.len() as u64, stream.lines);
        assert_eq!(lines.iter().map(|line| line.len() as u64).sum::<u64>(), stream.bytes);
        for (index, line) in (0..).zip(lines) {
            let token = verify(line).unwrap();
            assert_eq!((token.stream, token.number), (number, index));
        }
    }
}

#[test]
fn cri_lines_parse_back_with_mixed_parts_of_both_streams() {
    for bytes in [300, 16_384, 16_385, 40_000] {
        let folder = tempfile::tempdir().unwrap();
        let (_, truth) = write(&LoadSpec {
            shape: Shape::Fixed(bytes),
            format: Format::Cri,
            layout: Layout::Pods,
            stderr_share: 0.4,
            limits: Limits { lines: Some(101), ..Limits::default() },
            ..spec(folder.path())
        });
        let text = fs::read(&truth[0].path).unwrap();
        let messages = cri_messages(&text);
        assert_eq!(truth.iter().map(|it| it.lines).sum::<u64>(), 101);
        for stream in &truth {
            let messages = &messages[stream.iostream.as_ref().unwrap()];
            assert_eq!(messages.len() as u64, stream.lines);
            for (index, message) in (0..).zip(messages) {
                let token = verify(message).unwrap();
                assert_eq!((token.stream, token.number), (stream.stream, index));
                assert_eq!(message.len(), bytes);
            }
        }
        assert_eq!(text.len() as u64, truth.iter().map(|it| it.file_bytes).sum::<u64>());
        let runs = String::from_utf8(text).unwrap();
        let tags: Vec<&str> = runs.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
        let parts: Vec<&str> = runs.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
        let mixed = (1..tags.len()).any(|at| parts[at - 1] == "P" && tags[at - 1] != tags[at]);
        assert_eq!(mixed, bytes > 16_384, "lines of {bytes}");
    }
}

#[test]
fn rotated_generations_in_order_are_the_unrotated_file() {
    let plain = tempfile::tempdir().unwrap();
    let rotated = tempfile::tempdir().unwrap();
    let of = |folder: &Path, rotation| LoadSpec {
        shape: Shape::Fixed(40_000),
        format: Format::Cri,
        rotation,
        limits: Limits { bytes: Some(3_000_000), ..Limits::default() },
        ..spec(folder)
    };
    write(&of(plain.path(), None));
    let rotation = Rotation { bytes: 100_000, files_max: 1000, late_ns: 0 };
    write(&of(rotated.path(), Some(rotation)));
    let mut generations: Vec<_> = tree(rotated.path()).into_iter().collect();
    generations.rotate_left(1);
    assert!(generations.len() > 20);
    assert_eq!(generations.last().unwrap().0, "app-000000.log");
    let cut_between_parts = generations
        .iter()
        .any(|(_, text)| String::from_utf8_lossy(text).lines().last().unwrap().contains(" P "));
    assert!(cut_between_parts, "some line has parts on both sides of a rotation");
    let joined: Vec<u8> = generations.into_iter().flat_map(|(_, text)| text).collect();
    assert_eq!(joined, tree(plain.path())["app-000000.log"]);
}

#[test]
fn limits_are_spread_over_files() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { lines: Some(1000), ..Limits::default() };
    let (totals, truth) = write(&LoadSpec { files: 100, limits, ..spec(folder.path()) });
    assert_eq!(totals.lines, 1000);
    assert!(truth.iter().all(|stream| stream.lines == 10));
}

#[test]
fn paced_loads_write_the_same_bytes_as_flat_out() {
    let limits = Limits { bytes: Some(50_000), ..Limits::default() };
    let trees: Vec<_> = [0, 1_000_000]
        .into_iter()
        .map(|rate| {
            let folder = tempfile::tempdir().unwrap();
            write(&LoadSpec { rate, limits, ..spec(folder.path()) });
            tree(folder.path())
        })
        .collect();
    assert_eq!(trees[0], trees[1]);
}

#[test]
fn a_set_stop_ends_the_load_with_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut load =
        Load::create(&LoadSpec { limits: Limits::default(), ..spec(folder.path()) }).unwrap();
    let totals = load.run(&AtomicBool::new(true)).unwrap();
    assert_eq!(totals, Totals::default());
    assert_eq!(load.truth()[0].lines, 0);
}

#[test]
fn contradictions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = spec(folder.path());
    let rotation = Some(Rotation { bytes: 10, files_max: 1, late_ns: 0 });
    for (bad, why) in [
        (LoadSpec { files: 0, ..good.clone() }, "no files"),
        (LoadSpec { files: 2, first_stream: STREAMS_MAX - 1, ..good.clone() }, "too many streams"),
        (LoadSpec { shape: Shape::Fixed(20), ..good.clone() }, "at least 48"),
        (LoadSpec { stderr_share: 0.5, ..good.clone() }, "format cri"),
        (LoadSpec { stderr_share: 2.0, format: Format::Cri, ..good.clone() }, "0 to 1"),
        (LoadSpec { rotation, ..good.clone() }, "at least 2 files"),
    ] {
        let error = Load::create(&bad).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
