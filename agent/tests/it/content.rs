//! Content: long lines, endless ones, holes, bytes of any kind, odd times, parts that never end.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::{
    Agent, Bed, POD, Run, append, assert_within_ms, body, containers, files, queue_sink, sleep_ms,
    wait_for, wait_until,
};

const TIME: &str = "2026-01-02T03:04:05.6Z";
/// containerd splits lines into parts of so many bytes.
const PART_BYTES: usize = 16 << 10;
/// The default of `line.maxBytes`.
const LINE_BYTES_MAX: usize = 256 << 10;

fn container_log(bed: &Bed) -> PathBuf {
    fs::create_dir_all(bed.path(POD)).unwrap();
    bed.path(POD).join("0.log")
}

/// A line as containerd writes it.
fn split(stream: &str, text: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    let parts: Vec<&[u8]> = text.as_bytes().chunks(PART_BYTES).collect();
    let (last, others) = parts.split_last().unwrap();
    for (tag, part) in others.iter().map(|it| ('P', it)).chain([('F', last)]) {
        lines.extend_from_slice(format!("{TIME} {stream} {tag} ").as_bytes());
        lines.extend_from_slice(part);
        lines.push(b'\n');
    }
    lines
}

fn text(bytes: usize) -> String {
    (0..bytes.div_ceil(8)).map(|number| format!("{number:08x}")).collect::<String>()[..bytes].into()
}

fn flags(record: &Value) -> &str {
    record["log.flags"].as_str().unwrap_or("")
}

/// Waits until the last record is `last`, and returns all.
fn wait_for_last(bed: &Bed, last: &str) -> Vec<Value> {
    wait_for("the last record", || {
        let records = bed.records();
        let is_there = records.last().is_some_and(|it| it["body"] == last);
        if is_there { Ok(records) } else { Err(format!("{} records", records.len())) }
    })
}

#[test]
fn b1_lines_that_containerd_split_are_whole_up_to_the_limit_and_ordered_parts_beyond() {
    for bytes in [16_383, 16_384, 16_385, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 1 << 20, 8 << 20] {
        let bed = Bed::new();
        bed.configure_pods();
        let line = text(bytes);
        let log = container_log(&bed);
        append(&log, &split("stdout", &line));
        append(&log, &split("stdout", "end"));
        let mut agent = Agent::start(&bed);
        let records = wait_for_last(&bed, "end");
        agent.assert_running();
        let parts = &records[..records.len() - 1];
        let joined: String = parts.iter().map(body).collect();
        assert!(joined == line, "{bytes} bytes came as {} in {} parts", joined.len(), parts.len());
        assert!(parts.iter().all(|it| body(it).len() <= LINE_BYTES_MAX));
        let got: Vec<&str> = parts.iter().map(flags).collect();
        assert!(got.iter().all(|it| !it.contains("malformed")), "{got:?}");
        if bytes < LINE_BYTES_MAX - PART_BYTES {
            assert_eq!(got, [""]);
        } else if bytes > LINE_BYTES_MAX {
            let (first, others) = got.split_first().unwrap();
            let (last, others) = others.split_last().unwrap();
            assert_eq!((*first, *last), ("part", "continued"), "{got:?}");
            assert!(others.iter().all(|it| *it == "part,continued"), "{got:?}");
        }
        let cursors: Vec<u64> =
            records.iter().map(|it| it["log.cursor"].as_u64().unwrap()).collect();
        assert!(cursors.is_sorted_by(|one, other| one < other), "{cursors:?}");
        agent.stop();
        bed.assert_audit_clean();
    }
}

/// How long an endless line is; the variable is for running it longer by hand.
fn endless_bytes() -> u64 {
    let bytes = std::env::var("LOGFERRY_LONG_LINE_BYTES");
    bytes.map_or(1 << 30, |bytes| bytes.parse().unwrap())
}

/// Writes `block` again and again while the agent reads, and looks at the agent's memory.
///
/// The file is removed at the end, so that the disk gets it back once it is read.
fn read_an_endless_line(bed: &Bed, log: &Path, block: &[u8]) {
    const PEAK_KIB_MAX: u64 = 64 << 10;
    let mut agent = Agent::start(bed);
    let mut file = OpenOptions::new().append(true).create_new(true).open(log).unwrap();
    let mut written = 0;
    while written < endless_bytes() {
        file.write_all(block).unwrap();
        written += block.len() as u64;
    }
    // It takes as long as it takes: what is waited for is progress.
    let mut before = 0.0;
    loop {
        let delivered = wait_until(
            "more of the endless line",
            || agent.metric("logferry_delivered_bytes_total"),
            |it| *it > before || *it >= written as f64,
        );
        agent.assert_running();
        if delivered >= written as f64 {
            break;
        }
        before = delivered;
        sleep_ms(500);
    }
    let peak = agent.peak_memory_kib();
    println!("{written} bytes without an end: {peak} KiB resident at most");
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB resident at most");
    fs::remove_file(log).unwrap();
    agent.stop();
    let (code, report) = bed.audit();
    assert_eq!(code, Some(0), "{report:#}");
}

#[test]
fn b2_a_line_without_end_is_read_within_bounded_memory() {
    let bed = Bed::new();
    bed.configure_files();
    read_an_endless_line(&bed, &bed.log("endless.log"), text(1 << 20).as_bytes());
}

#[test]
fn b2_container_parts_without_a_last_one_are_read_within_bounded_memory() {
    let bed = Bed::new();
    bed.configure_pods();
    let log = container_log(&bed);
    let part = format!("{TIME} stdout P {}\n", text(PART_BYTES));
    read_an_endless_line(&bed, &log, part.repeat(64).as_bytes());
}

#[test]
fn b3_a_hole_is_a_declared_gap_and_waiting_for_it_costs_nothing() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 3s}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let log = bed.log("app.log");
    append(&log, b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    let before_ms = agent.cpu_ms();
    // As `truncate -s +1M` does.
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(4 + (1 << 20)).unwrap();
    sleep_ms(1500);
    assert_eq!(bed.records().len(), 1, "the NULs are waited for");
    let cpu_ms = agent.cpu_ms() - before_ms;
    println!("waiting took {cpu_ms} ms of a core");
    assert_within_ms("CPU of 1.5 s", cpu_ms, 700);
    sleep_ms(2500);
    assert_eq!(bed.records().len(), 1, "a hole at the end may be filled at any time");
    append(&log, b"two\n");
    let records = bed.wait_for_records(3);
    assert_eq!(records[1]["log.gap.reason"], "sparse_hole");
    assert_eq!(records[1]["log.gap.bytes"], 1 << 20);
    assert_eq!((body(&records[2]), flags(&records[2])), ("two".to_owned(), ""));
    assert_eq!(records[2]["log.cursor"], 4 + (1 << 20));
    agent.kill();
    append(&log, b"three\n");
    let agent = Agent::start(&bed);
    bed.wait_for_records(4);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn b3_what_is_written_into_a_hole_in_time_is_delivered() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 3s}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let log = bed.log("app.log");
    let file = OpenOptions::new().write(true).create_new(true).open(&log).unwrap();
    // Blocks that reach the disk out of order, as over a network.
    file.write_all_at(b"last\n", 8192).unwrap();
    let agent = Agent::start(&bed);
    sleep_ms(500);
    file.write_all_at(&[b"x".repeat(8191), b"\n".to_vec()].concat(), 0).unwrap();
    let records = bed.wait_for_records(2);
    assert_eq!(body(&records[0]).len(), 8191);
    assert_eq!(body(&records[1]), "last");
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn b3_a_writer_that_keeps_its_offset_over_a_copytruncate_loses_no_line() {
    let bed = Bed::new();
    bed.configure_files();
    let log = bed.log("app.log");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&log).unwrap();
    let before = "before\n".repeat(30_000);
    file.write_all(before.as_bytes()).unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_records(30_000);
    fs::copy(&log, bed.path("elsewhere")).unwrap();
    file.set_len(0).unwrap();
    file.write_all(b"after\n").unwrap();
    let records = bed.wait_for_records(30_002);
    assert_eq!(records[30_000]["log.gap.reason"], "sparse_hole");
    assert_eq!(records[30_000]["log.gap.bytes"], before.len());
    assert_eq!(body(&records[30_001]), "after");
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn b3_nuls_that_a_power_cut_left_are_delivered_once_they_have_waited() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 200ms}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let log = bed.log("app.log");
    append(&log, &[&b"one\nunfini"[..], &[0; 5000]].concat());
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(3);
    assert_eq!((body(&records[1]), flags(&records[1])), ("unfini".to_owned(), "unterminated"));
    assert_eq!(body(&records[2]), "\0".repeat(5000));
    append(&log, b"\nafter\n");
    let records = wait_for_last(&bed, "after");
    assert_eq!(flags(records.last().unwrap()), "");
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn b4_bytes_of_any_kind_come_out_of_container_logs_as_they_are() {
    let bed = Bed::new();
    bed.configure_pods();
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let odd =
        [&b"\xc0\x80"[..], b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80", b"caf\xc3", &all];
    let log = container_log(&bed);
    for line in odd {
        append(&log, &[format!("{TIME} stdout F ").as_bytes(), line, b"\n"].concat());
    }
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(odd.len());
    for (record, line) in records.iter().zip(odd) {
        assert_eq!(record["body.bytes"], serde_json::json!(line));
    }
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn b5_utf16_is_delivered_as_utf8_and_goes_on_over_a_restart() {
    for (encoding, order) in
        [("utf16le", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("utf16be", u16::to_be_bytes)]
    {
        let encode = |text: &str| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let bed = Bed::new();
        let config = files("files", "*.log", &format!("  encoding: {encoding}\n"));
        bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
        let log = bed.log("app.log");
        append(&log, &encode("\u{feff}one\r\nZürich 🦀\n"));
        let agent = Agent::start(&bed);
        let records = bed.wait_for_records(2);
        assert_eq!(records.iter().map(body).collect::<Vec<_>>(), ["one", "Zürich 🦀"]);
        assert_eq!((&records[0]["log.cursor"], &records[1]["log.cursor"]), (&2.into(), &12.into()));
        agent.kill();
        append(&log, &[encode("\u{a0d}x\n"), order(0xdc00).to_vec(), encode("\n")].concat());
        let agent = Agent::start(&bed);
        let records = bed.wait_for_records(4);
        assert_eq!((body(&records[2]), flags(&records[2])), ("\u{a0d}x".to_owned(), ""));
        assert_eq!((body(&records[3]), flags(&records[3])), ("\u{fffd}".to_owned(), "binary"));
        agent.stop();
        bed.assert_audit_clean();
    }
}

#[test]
fn b7_lines_that_no_runtime_wrote_are_delivered_raw() {
    let odd = ["", "not a runtime's", "2026-01-02T03:04:05Z stdout X tag", "{\"log\":\"torn"];
    let good = [
        format!("{TIME} stdout F good"),
        format!("{{\"log\":\"good\\n\",\"stream\":\"stdout\",\"time\":\"{TIME}\"}}"),
    ];
    for good in good {
        let bed = Bed::new();
        bed.configure_pods();
        let log = container_log(&bed);
        append(&log, format!("{good}\n").as_bytes());
        for line in odd {
            append(&log, format!("{line}\n{good}\n").as_bytes());
        }
        let agent = Agent::start(&bed);
        let records = bed.wait_for_records(1 + 2 * odd.len());
        for (number, record) in records.iter().enumerate() {
            let (text, flag) =
                if number % 2 == 0 { ("good", "") } else { (odd[number / 2], "malformed") };
            assert_eq!((body(record), flags(record)), (text.to_owned(), flag));
        }
        agent.stop();
        bed.assert_audit_clean();
    }
}

#[test]
fn b8_records_of_any_time_come_in_the_order_of_their_lines() {
    let bed = Bed::new();
    bed.configure_pods();
    let log = container_log(&bed);
    let times = [
        ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
        ("2026-01-02T03:04:04Z", Some("2026-01-02T03:04:04Z")),
        ("1970-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00.000000001Z", Some("1970-01-01T00:00:00.000000001Z")),
        ("9999-12-31T23:59:59.999999999Z", Some("2262-04-11T23:47:16.854775807Z")),
        ("1960-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
    ];
    for (number, (time, _)) in times.iter().enumerate() {
        append(&log, format!("{time} stdout F line {number}\n").as_bytes());
    }
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(times.len());
    for (number, (record, (written, shown))) in records.iter().zip(times).enumerate() {
        assert_eq!((body(record), flags(record)), (format!("line {number}"), ""));
        let time = record["time"].as_str().unwrap();
        // Where the wire has no such time, that of reading is shown.
        assert!(shown.map_or(time > "2026", |it| time == it), "{written} became {time}");
    }
    agent.stop();
    bed.assert_audit_clean();
    let run = Run::of(&["tail", "--queue", bed.queue_text(), "--all"]);
    assert_eq!(run.stdout.lines().count(), times.len(), "{run:?}");
}

#[test]
fn a10_parts_of_both_streams_join_over_rotation_and_the_last_is_flagged() {
    let bed = Bed::new();
    let config = containers("pods", "", "  line: {flushTimeout: 5s}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let log = container_log(&bed);
    let line = |stream: &str, tag: &str, text: &str| format!("{TIME} {stream} {tag} {text}\n");
    append(&log, (line("stdout", "P", "a1 ") + &line("stderr", "P", "b1 ")).as_bytes());
    let agent = Agent::start(&bed);
    fs::rename(&log, log.with_file_name("0.log.20260102-030405")).unwrap();
    let next = line("stderr", "P", "b2 ") + &line("stdout", "F", "a2") + &line("stderr", "F", "b3");
    append(&log, (next + &line("stdout", "P", "never ended")).as_bytes());
    let records = bed.wait_for_records(3);
    let got: Vec<(String, &str)> = records.iter().map(|it| (body(it), flags(it))).collect();
    let want = [("a1 a2", ""), ("b1 b2 b3", ""), ("never ended", "unterminated")];
    assert_eq!(got, want.map(|(text, flags)| (text.to_owned(), flags)));
    fs::remove_dir_all(bed.path("pods")).unwrap();
    wait_until("no source any more", || agent.metric("logferry_sources"), |it| *it == 0.0);
    agent.stop();
    bed.assert_audit_clean();
}
