//! Tests of the audit, each a small history of one or two contexts.

use flow::{GapReason, Marks, Span};

use super::*;

fn section(begin: u64, end: u64) -> PayloadHeader {
    let context = Context { id: ContextId(1), tenant: Arc::from("shop"), attributes: Vec::new() };
    PayloadHeader {
        context: Arc::new(context),
        epoch: 0,
        span: Span::new(begin, end),
        marks: Marks { first: begin == 0, last: false },
        records: 2,
        filtered: 1,
        gap: None,
        observed_unix_ns: 0,
        positions: Vec::new(),
        is_divisible: false,
        part_of: None,
        is_inner: false,
        range: 0..0,
    }
}

fn audit(first_sequence: u64, spans: &[(u64, u64)]) -> ContextAudit {
    let mut audit = Audit::new(first_sequence);
    for (begin, end) in spans {
        audit.observe(&section(*begin, *end));
    }
    audit.finish().contexts.remove(0)
}

/// Spans in queue order.
type History<'a> = &'a [(u64, u64)];

#[test]
fn histories_are_judged_right() {
    // History; lost, doubled, misordered.
    let cases: [(History<'_>, u64, u64, u64); 9] = [
        (&[(0, 10), (10, 20)], 0, 0, 0),
        (&[(0, 10), (10, 10), (10, 20)], 0, 0, 0),
        (&[(0, 10), (15, 20)], 5, 0, 0),
        (&[(0, 10), (15, 20), (10, 15)], 0, 0, 1),
        (&[(0, 10), (15, 20), (10, 13)], 2, 0, 1),
        (&[(0, 10), (0, 10)], 0, 10, 0),
        (&[(0, 10), (5, 20)], 0, 5, 0),
        (&[(0, 10), (20, 30), (5, 25)], 0, 10, 0),
        (&[(0, 10), (5, 5)], 0, 0, 0),
    ];
    for (spans, lost, doubled, misordered) in cases {
        let found = audit(0, spans);
        let got = (found.lost, found.doubled, found.misordered);
        assert_eq!(got, (lost, doubled, misordered), "{spans:?}");
        assert_eq!(found.head, Head::Present);
        assert_eq!(found.is_clean(), got == (0, 0, 0), "{spans:?}");
        assert_eq!(found.records, 2 * spans.len() as u64);
    }
}

#[test]
fn partitions_have_no_order_among_them() {
    let mut audit = Audit::new(0);
    // The topic was grown: the later half of the context is in partition 4, and is read first.
    for (partition, begin, end) in [(4, 20, 30), (1, 0, 10), (4, 30, 40), (1, 10, 20)] {
        audit.observe_in(partition, &section(begin, end));
    }
    assert!(audit.finish().is_clean());
    let mut audit = Audit::new(0);
    for (partition, begin, end) in [(4, 20, 30), (1, 10, 20), (1, 0, 10)] {
        audit.observe_in(partition, &section(begin, end));
    }
    assert_eq!(audit.finish().contexts[0].misordered, 1);
}

#[test]
fn a_missing_head_is_lost_unless_it_was_trimmed() {
    assert_eq!(audit(0, &[(10, 20)]).head, Head::Missing);
    assert!(!audit(0, &[(10, 20)]).is_clean());
    assert_eq!(audit(7, &[(10, 20)]).head, Head::Trimmed);
    assert!(audit(7, &[(10, 20)]).is_clean());
    assert_eq!(audit(7, &[(0, 20)]).head, Head::Present);
}

#[test]
fn gaps_are_counted_by_reason_and_cover() {
    let mut audit = Audit::new(0);
    audit.observe(&section(0, 10));
    let gap = |begin, end, reason| PayloadHeader {
        gap: Some(reason),
        records: 0,
        filtered: 0,
        ..section(begin, end)
    };
    audit.observe(&gap(10, 30, GapReason::Shed));
    audit.observe(&gap(30, 35, GapReason::Unreadable));
    let mut end = section(35, 35);
    end.marks.last = true;
    audit.observe(&end);
    let report = audit.finish();
    assert!(report.is_clean());
    assert_eq!(report.gaps().of(GapReason::Shed).bytes, 20);
    assert_eq!(report.gaps().bytes(), 25);
    assert_eq!(report.total(|it| it.bytes), 10);
    assert!(report.contexts[0].ended);
    let json = report.to_json();
    assert_eq!(json["clean"], true);
    assert_eq!(json["totals"]["gaps"]["shed"]["bytes"], 20);
    assert_eq!(json["contexts"][0]["gaps"]["unreadable"]["count"], 1);
    assert_eq!(json["contexts"][0]["end"], 35);
}

#[test]
fn epochs_are_apart() {
    let mut audit = Audit::new(0);
    audit.observe(&section(0, 10));
    let mut second = section(0, 10);
    second.epoch = 1;
    audit.observe(&second);
    let report = audit.finish();
    assert!(report.is_clean());
    assert_eq!(report.contexts.len(), 2);
}

#[test]
fn bodies_that_disagree_with_their_headers_are_faults() {
    let cases: &[(&[u64], bool)] = &[
        (&[10, 15], true),
        (&[10, 19], true),
        (&[10], false),
        (&[10, 11, 12], false),
        (&[9, 15], false),
        (&[10, 20], false),
        (&[15, 15], false),
        (&[15, 10], false),
    ];
    for (cursors, is_good) in cases {
        let mut audit = Audit::new(0);
        let mut decode = |_: Encoding, _: &[u8], out: &mut Vec<u64>| -> Result<(), String> {
            out.extend_from_slice(cursors);
            Ok(())
        };
        audit.observe_body(&section(10, 20), Encoding::OtlpProto, b"", &mut decode);
        assert_eq!(audit.finish().faults == 0, *is_good, "{cursors:?}");
    }
    let mut audit = Audit::new(0);
    let mut decode = |_: Encoding, _: &[u8], _: &mut Vec<u64>| Err("is no protobuf".to_owned());
    for _ in 0..2 * AUDIT_TEXTS_MAX {
        audit.observe_body(&section(10, 20), Encoding::OtlpProto, b"", &mut decode);
    }
    let report = audit.finish();
    assert_eq!(report.faults, 2 * AUDIT_TEXTS_MAX as u64);
    assert_eq!(report.fault_texts.len(), AUDIT_TEXTS_MAX);
    assert!(report.fault_texts[0].contains("is no protobuf"));
    assert!(!report.is_clean());
}

#[test]
fn what_could_not_be_read_is_not_clean() {
    let mut audit = Audit::new(0);
    let segment = std::path::PathBuf::from("/q/shop/0.seg");
    audit.observe_problem(&Problem::Index { segment, why: "torn".to_owned() });
    let report = audit.finish();
    assert!(!report.is_clean());
    assert_eq!(report.to_json()["totals"]["problems"], 1);
}
