//! `tail` and `context`: finding records in the queue.

use std::fs;

use serde_json::Value;

use crate::kit::{Agent, Bed, Following, Run, append, body};

/// Three containers, the third with a rotated generation.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.configure_pods();
    for (container, name, numbers) in [
        ("shop_web-0_u1/app", "0.log", 0..10),
        ("shop_web-1_u2/sidecar", "0.log", 10..20),
        ("bank_db-0_u3/app", "0.log.20260101-000000", 20..25),
        ("bank_db-0_u3/app", "0.log", 25..30),
    ] {
        let folder = bed.path("pods").join(container);
        fs::create_dir_all(&folder).unwrap();
        for number in numbers {
            let line = format!("2026-01-02T03:04:{number:02}Z stdout F line {number}\n");
            append(&folder.join(name), line.as_bytes());
        }
    }
    bed
}

fn numbers(records: &[Value]) -> Vec<u32> {
    let mut numbers: Vec<u32> =
        records.iter().map(|it| body(it).strip_prefix("line ").unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn tail_shows_what_its_filters_take() {
    let bed = bed();
    let agent = Agent::start(&bed);
    bed.wait_for_records(30);
    agent.stop();
    let path = bed.path("pods/bank_db-0_u3/app/0.log");
    let context = bed.records().iter().find(|it| it["body"] == "line 25").cloned().unwrap();
    let context = context["log.context.id"].as_str().unwrap().to_owned();
    for (filter, want) in [
        (&["--namespace", "shop"][..], (0..20).collect::<Vec<u32>>()),
        (&["--pod", "web-1"], (10..20).collect()),
        (&["--container", "app"], (0..10).chain(20..30).collect()),
        (&["--namespace", "shop", "--container", "app"], (0..10).collect()),
        (&["--tenant", "bank"], (20..30).collect()),
        (&["--path", path.to_str().unwrap()], (20..30).collect()),
        (&["--context", &context], (20..30).collect()),
        (&["--grep", "line 1"], [1].into_iter().chain(10..20).collect()),
        (&["--grep", "line 1", "--namespace", "bank"], vec![]),
        (&["--namespace", "nobody"], vec![]),
    ] {
        let run = bed.tail(&[filter, &["--all"]].concat());
        assert_eq!(run.code, Some(0), "{filter:?}: {run:?}");
        assert_eq!(numbers(&run.json_lines()), want, "{filter:?}");
    }
    let last = bed.tail(&["-n", "3", "--namespace", "bank"]).json_lines();
    assert_eq!(numbers(&last), [27, 28, 29]);
    assert_eq!(bed.tail(&[]).json_lines().len(), 10, "ten by default");
    // The queue can be named by the configuration, too.
    let config = bed.config();
    let run = Run::of(&["tail", "--file", config.to_str().unwrap(), "--grep", "line 29"]);
    assert_eq!(run.stdout, "2026-01-02T03:04:29Z bank/db-0/app/0 stdout line 29\n");
}

#[test]
fn a_followed_queue_is_shown_as_it_grows() {
    let bed = bed();
    let agent = Agent::start(&bed);
    bed.wait_for_records(30);
    let following = Following::start(&bed, ["--queue", bed.queue_text()]);
    assert_eq!(following.wait(2).len(), 2);
    let log = bed.path("pods/shop_web-0_u1/app/0.log");
    append(&log, b"2026-01-02T03:05:00Z stdout F line 100\n");
    // A tenant that is new, too.
    let folder = bed.path("pods/new_web-0_u4/app");
    fs::create_dir_all(&folder).unwrap();
    append(&folder.join("0.log"), b"2026-01-02T03:05:00Z stdout F line 101\n");
    let records = following.wait(4);
    assert_eq!(numbers(&records[2..]), [100, 101]);
    following.interrupt();
    agent.stop();
}

#[test]
fn context_shows_the_records_around_one_across_a_rotation() {
    let bed = bed_of_many_sections();
    for (line, count, want) in [
        (25, "3", 22..29),
        (24, "2", 22..27),
        (20, "3", 20..24),
        (31, "2", 29..34),
        (3, "100", 0..10),
        (15, "0", 15..16),
    ] {
        let run = around(&bed, line, count, "json");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(numbers(&run.json_lines()), want.collect::<Vec<u32>>(), "{line} {count}");
    }
    let run = around(&bed, 25, "1", "text");
    let marks: Vec<&str> = run.stdout.lines().map(|line| &line[..2]).collect();
    assert_eq!(marks, ["  ", "> ", "  "], "{run:?}");
}

#[test]
fn context_at_the_end_of_the_queue_shows_all_that_comes_before() {
    let bed = bed_of_many_sections();
    for (line, count, want) in [(35, "3", 32..36), (34, "4", 30..36), (31, "6", 25..36)] {
        let run = around(&bed, line, count, "json");
        assert_eq!(numbers(&run.json_lines()), want.collect::<Vec<u32>>(), "{line} {count}");
    }
}

/// `context` of a line of which nothing but its number is known.
fn around(bed: &Bed, line: u32, count: &str, output: &str) -> Run {
    let records = bed.records();
    let record = records.iter().find(|it| it["body"] == format!("line {line}")).unwrap();
    let (id, cursor) = (&record["log.context.id"], &record["log.cursor"]);
    let arguments = ["context", "--queue", bed.queue_text(), "--output", output, "-n", count];
    let (id, cursor) = (id.as_str().unwrap(), cursor.to_string());
    Run::of(&[&arguments[..], &["--context", id, "--cursor", &cursor]].concat())
}

/// As `bed`, delivered, and six more lines of a section each.
fn bed_of_many_sections() -> Bed {
    let bed = bed();
    let agent = Agent::start(&bed);
    bed.wait_for_records(30);
    // One section each: context has to gather them.
    let log = bed.path("pods/bank_db-0_u3/app/0.log");
    for number in 30..36 {
        let line = format!("2026-01-02T03:04:{number:02}Z stdout F line {number}\n");
        append(&log, line.as_bytes());
        bed.wait_for_records(number + 1);
    }
    agent.stop();
    bed
}

#[test]
fn context_of_what_is_not_there_says_so() {
    let bed = bed();
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(30);
    agent.stop();
    let id = records[0]["log.context.id"].as_str().unwrap();
    let run = Run::of(&["context", "--queue", bed.queue_text(), "--context", id, "--cursor", "1"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("no record begins there"), "{run:?}");
    let nobody = "0".repeat(32);
    let run =
        Run::of(&["context", "--queue", bed.queue_text(), "--context", &nobody, "--cursor", "0"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("holds nothing of this context"), "{run:?}");
}

#[test]
fn a_terminal_is_shown_no_control_bytes() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("evil.log"), b"\x1b[31mred\x07 \xff\n");
    let agent = Agent::start(&bed);
    bed.wait_for_records(1);
    agent.stop();
    let run = Run::of(&["tail", "--queue", bed.queue_text()]);
    assert!(run.stdout.ends_with("- \\x1b[31mred\\x07 \\xff\n"), "{run:?}");
}
