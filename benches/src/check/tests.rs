//! Each kind of fault, seeded into a good delivery, is found and named.

use std::fs;

use super::*;
use crate::layout::Layout;
use crate::load::{ContentClock, Limits, Load, LoadSpec};
use crate::shape::Shape;
use crate::wrap::Format;

/// A record of the good delivery, open to mutation.
type Json = serde_json::Map<String, serde_json::Value>;

struct Delivery {
    truth: Vec<StreamTruth>,
    records: Vec<Json>,
}

/// Three streams of ten lines each, delivered in turn.
fn delivery() -> Delivery {
    let folder = tempfile::tempdir().unwrap();
    let spec = LoadSpec {
        shape: Shape::Json,
        format: Format::Plain,
        layout: Layout::Pods,
        out: folder.path().to_owned(),
        files: 3,
        first_stream: 5,
        stderr_share: 0.0,
        rotation: None,
        clock: ContentClock::Virtual,
        seed: 3,
        limits: Limits { lines: Some(30), ..Limits::default() },
        rate: 0,
    };
    let mut load = Load::create(&spec).unwrap();
    load.run(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    let truth = load.truth();
    let texts: Vec<String> =
        truth.iter().map(|stream| fs::read_to_string(&stream.path).unwrap()).collect();
    let mut records = Vec::new();
    for index in 0..10 {
        for (stream, text) in truth.iter().zip(&texts) {
            let body = text.lines().nth(index).unwrap();
            let record = serde_json::json!({
                "body": body,
                "severity": "INFO",
                "log.cursor": index * 300,
                "log.context.id": format!("{:032x}", stream.stream),
                "log.file.path": stream.path,
                "k8s.namespace.name": stream.namespace,
                "k8s.pod.name": stream.pod,
                "k8s.container.name": stream.container,
            });
            records.push(record.as_object().unwrap().clone());
        }
    }
    Delivery { truth, records }
}

fn check(delivery: &Delivery, options: CheckOptions) -> Verdict {
    let mut checker = Checker::new(delivery.truth.clone(), options);
    for record in &delivery.records {
        checker.take_line(&serde_json::to_vec(record).unwrap());
    }
    checker.finish()
}

fn judge(seed_fault: impl FnOnce(&mut Vec<Json>)) -> Verdict {
    let mut delivery = delivery();
    seed_fault(&mut delivery.records);
    check(&delivery, CheckOptions::default())
}

#[test]
fn a_good_delivery_is_ok() {
    let verdict = judge(|_| {});
    assert!(verdict.ok, "{verdict}");
    assert_eq!((verdict.arrived, verdict.lines, verdict.records), (30, 30, 30));
    assert!(verdict.to_string().starts_with("ok: 30 of 30 lines of 3 streams"));
}

#[test]
fn a_lost_line_is_found_and_named() {
    let verdict = judge(|records| {
        records.remove(12);
    });
    assert!(!verdict.ok);
    assert_eq!((verdict.lost, verdict.doubled, verdict.out_of_order), (1, 0, 0));
    assert_eq!(verdict.faulty[0].stream, 5);
    assert_eq!(verdict.faulty[0].lost_ranges, [(4, 4)]);
    assert!(
        verdict.to_string().contains("1 lost, 0 doubled, 0 out of order, 0 misattributed [4, 4]")
    );
}

#[test]
fn lost_tails_and_whole_streams_are_found() {
    let verdict = judge(|records| records.truncate(9));
    assert_eq!(verdict.lost, 21);
    assert!(verdict.faulty.iter().all(|stream| stream.lost_ranges == [(3, 9)]));
    let verdict = judge(Vec::clear);
    assert_eq!(verdict.lost, 30);
}

#[test]
fn a_doubled_line_is_found() {
    let verdict = judge(|records| records.push(records[7].clone()));
    assert!(!verdict.ok);
    assert_eq!((verdict.lost, verdict.doubled, verdict.out_of_order), (0, 1, 0));
    assert_eq!(verdict.cursors_back, 1);
}

#[test]
fn swapped_lines_are_found() {
    // Bodies swap, cursors do not: only the tokens can tell.
    let verdict = judge(|records| {
        let (first, second) = (records[6]["body"].clone(), records[9]["body"].clone());
        records[6].insert("body".to_owned(), second);
        records[9].insert("body".to_owned(), first);
    });
    assert!(!verdict.ok);
    assert_eq!((verdict.lost, verdict.doubled, verdict.out_of_order), (0, 0, 1));
    assert_eq!(verdict.cursors_back, 0);
}

#[test]
fn a_flipped_byte_is_found() {
    let verdict = judge(|records| {
        let body = records[3]["body"].as_str().unwrap().replacen("msg", "mag", 1);
        records[3].insert("body".to_owned(), body.into());
    });
    assert!(!verdict.ok);
    assert_eq!((verdict.corrupt, verdict.lost), (1, 1));
}

#[test]
fn cut_and_joined_lines_are_found() {
    let verdict = judge(|records| {
        let body = records[3]["body"].as_str().unwrap();
        let (head, tail) = body.split_at(40);
        let (head, tail) = (head.to_owned(), tail.to_owned());
        let mut rest = records[3].clone();
        records[3].insert("body".to_owned(), head.into());
        rest.insert("body".to_owned(), tail.into());
        rest.insert("log.cursor".to_owned(), 340.into());
        records.insert(4, rest);
    });
    assert!(!verdict.ok);
    assert_eq!((verdict.foreign, verdict.corrupt, verdict.lost), (1, 1, 1));
    let verdict = judge(|records| {
        let both = format!("{}\n{}", records[3]["body"], records[6]["body"]);
        records[3].insert("body".to_owned(), both.into());
        records.remove(6);
    });
    assert_eq!((verdict.corrupt, verdict.lost), (1, 2));
}

#[test]
fn wrong_origins_are_found() {
    for (key, value) in [
        ("k8s.namespace.name", "other".into()),
        ("k8s.pod.name", serde_json::Value::Null),
        ("k8s.container.name", "other".into()),
        ("k8s.pod.uid", "other".into()),
        ("log.file.path", "/var/log/other.log".into()),
    ] {
        let verdict = judge(|records| {
            records[8].insert(key.to_owned(), value);
        });
        assert!(!verdict.ok, "{key}");
        assert_eq!((verdict.misattributed, verdict.lost), (1, 0), "{key}");
    }
}

#[test]
fn paths_of_rotated_files_are_right_and_may_be_ignored() {
    let rotated = judge(|records| {
        let path = format!("{}.20260101-000000", records[0]["log.file.path"].as_str().unwrap());
        records[0].insert("log.file.path".to_owned(), path.into());
    });
    assert!(rotated.ok, "{rotated}");
    let mut elsewhere = delivery();
    elsewhere.records[0].insert("log.file.path".to_owned(), "/host/0.log".into());
    assert!(!check(&elsewhere, CheckOptions::default()).ok);
    let options = CheckOptions { ignore_path: true, ..CheckOptions::default() };
    assert!(check(&elsewhere, options).ok);
}

#[test]
fn cursors_that_stand_still_or_are_missing_are_found() {
    let verdict = judge(|records| {
        let cursor = records[0]["log.cursor"].clone();
        records[3].insert("log.cursor".to_owned(), cursor);
    });
    assert!(!verdict.ok);
    assert_eq!(verdict.cursors_back, 1);
    let verdict = judge(|records| {
        records[3].remove("log.cursor");
    });
    assert!(!verdict.ok);
    assert_eq!(verdict.cursors_missing, 1);
}

#[test]
fn what_the_truth_does_not_know_is_found() {
    let mut delivery = delivery();
    delivery.truth.pop();
    delivery.truth[0].lines = 9;
    let verdict = check(&delivery, CheckOptions::default());
    assert!(!verdict.ok);
    assert_eq!(verdict.unexpected, 11);
    let mut checker = Checker::new(Vec::new(), CheckOptions::default());
    checker.take_line(b"not json");
    let verdict = checker.finish();
    assert!(!verdict.ok);
    assert_eq!(verdict.unreadable, 1);
}

#[test]
fn a_read_again_tail_is_forgiven_only_where_it_may_be() {
    let mut again = delivery();
    // A crash: lines 3 to 5 of each stream are read and delivered again.
    let tail = again.records[9..18].to_vec();
    let rest = again.records.split_off(18);
    again.records.extend(tail);
    again.records.extend(rest);
    let strict = check(&again, CheckOptions::default());
    assert!(!strict.ok);
    assert_eq!((strict.doubled, strict.out_of_order, strict.lost), (9, 0, 0));
    let dedup = check(&again, CheckOptions { dedup: true, ..CheckOptions::default() });
    assert!(dedup.ok, "{dedup}");
    assert_eq!((dedup.deduplicated, dedup.doubled), (9, 0));
    let lenient = check(&again, CheckOptions { allow_doubled: true, ..CheckOptions::default() });
    assert!(lenient.ok, "{lenient}");
    // A repeat under a new cursor is one that the rule for consumers cannot catch.
    again.records[18].insert("log.cursor".to_owned(), 5_000.into());
    assert!(!check(&again, CheckOptions { dedup: true, ..CheckOptions::default() }).ok);
}

#[test]
fn gaps_are_counted_and_what_they_cover_is_lost() {
    let verdict = judge(|records| {
        let gap = serde_json::json!({
            "log.cursor": 900,
            "log.context.id": records[9]["log.context.id"],
            "log.gap.reason": "truncated",
            "log.gap.bytes": 250,
        });
        records[9] = gap.as_object().unwrap().clone();
    });
    assert!(!verdict.ok);
    assert_eq!((verdict.gaps, verdict.gap_bytes, verdict.lost), (1, 250, 1));
}
