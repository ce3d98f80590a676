//! Files of lines: which, and what is a line.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::kit::{
    Agent, Bed, append, body, files, now_ns, queue_sink, resource, sleep_ms, wait_for,
};

#[test]
fn files_are_chosen_by_globs() {
    let bed = Bed::new();
    let chosen = "  source:\n    files:\n      \
         include: ['{dir}/logs/*.log', '{dir}/logs/**/deep.txt']\n      \
         exclude: ['{dir}/logs/secret*', '{dir}/logs/a/**']\n";
    bed.configure(&[&bed.agent(""), &queue_sink(""), &resource("LogConfig", "files", chosen)]);
    for name in ["one.log", "b/c/deep.txt", "secret.log", "a/deep.txt", "b/two.log", "x.txt"] {
        fs::create_dir_all(bed.log(name).parent().unwrap()).unwrap();
        append(&bed.log(name), format!("{name}\n").as_bytes());
    }
    let agent = Agent::start(&bed);
    bed.wait_for_records(2);
    agent.stop();
    let mut bodies = bed.bodies();
    bodies.sort();
    assert_eq!(bodies, ["b/c/deep.txt", "one.log"]);
}

#[test]
fn line_ends_and_byte_order_mark_are_no_part_of_a_line() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("crlf.log"), b"\xef\xbb\xbfone\r\ntwo\n\r\n\nfive\r\r\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one", "two", "", "", "five\r"]);
    agent.stop();
}

#[test]
fn all_bytes_arrive_as_they_are() {
    let bed = Bed::new();
    bed.configure_files();
    let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let text = "\u{0}\t\u{1b}[31m\u{7f}\u{9b}Zürich \u{1f980}";
    append(&bed.log("bytes.log"), &[&bytes, &b"\n"[..], text.as_bytes(), b"\n"].concat());
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2);
    assert_eq!(records[0]["body.bytes"], serde_json::json!(bytes));
    assert_eq!(body(&records[1]), text);
    assert!(records[1].get("body.bytes").is_none(), "what is UTF-8 is text: {}", records[1]);
    agent.stop();
}

#[test]
fn a_line_without_its_end_is_delivered_after_the_timeout() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 200ms}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    append(&bed.log("app.log"), b"whole\nunfinished");
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2);
    assert_eq!(body(&records[1]), "unfinished");
    assert_eq!(records[1]["log.flags"], "unterminated");
    append(&bed.log("app.log"), b" business\nnext\n");
    let records = bed.wait_for_records(4);
    assert_eq!(body(&records[2]), " business");
    assert_eq!(records[2]["log.flags"], "continued");
    assert_eq!(body(&records[3]), "next");
    agent.stop();
}

#[test]
fn an_unfinished_line_waits_for_its_end_within_the_timeout() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 5m}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let agent = Agent::start(&bed);
    append(&bed.log("app.log"), b"first\nbe");
    bed.wait_for_bodies(&["first"]);
    sleep_ms(300);
    append(&bed.log("app.log"), b"gun\n");
    bed.wait_for_bodies(&["first", "begun"]);
    agent.stop();
}

#[test]
fn a_line_of_ten_mebibytes_comes_in_ordered_parts_within_bounded_memory() {
    const PEAK_KIB_MAX: u64 = 48 << 10;
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    let line = long_line(10 << 20);
    let records = deliver_long_line(&bed, &line);
    let peak = agent.peak_memory_kib();
    agent.assert_running();
    assert_eq!(body(&records[0]), "before");
    let parts = &records[1..records.len() - 1];
    let joined: String = parts.iter().map(body).collect();
    assert!(joined.as_bytes() == line, "{} parts, {} bytes", parts.len(), joined.len());
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(flags(part).contains("continued"), number > 0, "part {number}");
        assert!(part["body"].as_str().unwrap().len() <= 256 << 10, "part {number}");
    }
    println!("peak memory: {peak} KiB");
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB resident at most");
    agent.stop();
}

#[test]
fn parts_say_whether_more_parts_follow() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {maxBytes: 64KiB}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let agent = Agent::start(&bed);
    assert_parts_are_flagged(&deliver_long_line(&bed, &long_line(1 << 20)));
    agent.stop();
}

/// By default a part is as long as a chunk, so that its line's rest is never seen together with it.
#[test]
fn parts_as_long_as_a_chunk_say_whether_more_parts_follow() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    assert_parts_are_flagged(&deliver_long_line(&bed, &long_line(1 << 20)));
    agent.stop();
}

/// All parts but the last are flagged as parts, and none as delivered for want of a line end.
fn assert_parts_are_flagged(records: &[Value]) {
    let parts = &records[1..records.len() - 1];
    let flags: Vec<&str> = parts.iter().map(flags).collect();
    let (last, others) = flags.split_last().unwrap();
    assert_eq!(*last, "continued", "{flags:?}");
    assert_eq!(others[0], "part", "{flags:?}");
    assert!(others[1..].iter().all(|it| *it == "part,continued"), "{flags:?}");
}

fn flags(record: &Value) -> &str {
    record["log.flags"].as_str().unwrap_or("")
}

fn long_line(bytes: usize) -> Vec<u8> {
    (0..bytes / 8).flat_map(|number| format!("{number:08x}").into_bytes()).collect()
}

/// Writes the line between two others; returns all records.
fn deliver_long_line(bed: &Bed, line: &[u8]) -> Vec<Value> {
    append(&bed.log("long.log"), &[&b"before\n"[..], line, b"\nafter\n"].concat());
    wait_for("the line after", || {
        let records = bed.records();
        let is_there = records.last().is_some_and(|it| it["body"] == "after");
        if is_there { Ok(records) } else { Err(format!("{} records", records.len())) }
    })
}

#[test]
fn files_with_odd_names_are_read_and_their_names_made_readable() {
    let bed = Bed::new();
    bed.configure_files();
    let names: [(&[u8], &str); 5] = [
        (b"not utf8 \xff.log", "not utf8 \\xff.log"),
        (b"back\\slash.log", "back\\x5cslash.log"),
        (b"new\nline.log", "new\\x0aline.log"),
        ("Zürich 🦀.log".as_bytes(), "Zürich 🦀.log"),
        (b"quote\"'{a}*.log", "quote\"'{a}*.log"),
    ];
    for (name, _) in names {
        append(&bed.log(OsStr::from_bytes(name)), b"here\n");
    }
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(names.len());
    let prefix = format!("{}/", bed.path("logs").display());
    let mut paths: Vec<&str> = records
        .iter()
        .map(|it| it["log.file.path"].as_str().unwrap().strip_prefix(&prefix).unwrap())
        .collect();
    paths.sort_unstable();
    let mut want = names.map(|(_, shown)| shown);
    want.sort_unstable();
    assert_eq!(paths, want);
    agent.stop();
}

#[test]
fn a_new_file_is_found_by_itself() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    let start_ns = now_ns();
    append(&bed.log("new.log"), b"first\n");
    bed.wait_for_bodies(&["first"]);
    // No limit is asserted: the machine is shared.
    println!(
        "a new file's first line was in the queue within {} ms",
        (now_ns() - start_ns) / 1_000_000
    );
    agent.stop();
}

#[test]
fn start_at_end_leaves_out_what_was_there_and_takes_new_files_whole() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  startAt: end\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    append(&bed.log("old.log"), b"before\n");
    let agent = Agent::start(&bed);
    append(&bed.log("old.log"), b"after\n");
    append(&bed.log("new.log"), b"new\n");
    bed.wait_for_records(2);
    agent.stop();
    let mut bodies = bed.bodies();
    bodies.sort();
    assert_eq!(bodies, ["after", "new"]);
}

#[test]
fn start_at_end_holds_over_a_restart_before_the_first_line() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  startAt: end\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    append(&bed.log("old.log"), b"before\n");
    let agent = Agent::start(&bed);
    agent.stop();
    append(&bed.log("old.log"), b"while no agent ran\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["while no agent ran"]);
    agent.stop();
}

#[test]
fn rotated_generations_that_were_there_before_are_read_oldest_first() {
    let bed = Bed::new();
    bed.configure_files();
    for (name, text) in
        [("app.log.2", "one\ntwo\n"), ("app.log.1", "three\n"), ("app.log", "four\n")]
    {
        append(&bed.log(name), text.as_bytes());
    }
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one", "two", "three", "four"]);
    agent.stop();
}
