//! The programs as they are run: loggen until a signal, logcheck on what it wrote.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use benches::truth::read_truth;
use rustix::process::{Pid, Signal, kill_process};

/// Runs `loggen` on one file until the file holds something, then ends it by SIGTERM.
fn write_until_sigterm(folder: &Path, truth: &Path) {
    let mut loggen = Command::new(env!("CARGO_BIN_EXE_loggen"))
        .args(["--control", "--rate", "2MB", "--out"])
        .arg(folder)
        .arg("--truth")
        .arg(truth)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let file = folder.join("app-000000.log");
    while fs::metadata(&file).map_or(0, |metadata| metadata.len()) < 10_000 {
        assert!(loggen.try_wait().unwrap().is_none(), "it writes until it is told to stop");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&loggen), Signal::TERM).unwrap();
    assert!(loggen.wait().unwrap().success());
}

/// What an agent that loses nothing would print of the file.
fn deliver(folder: &Path) -> Vec<String> {
    let path = folder.join("app-000000.log").canonicalize().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut cursor = 0;
    text.lines()
        .map(|body| {
            let record = serde_json::json!({
                "body": body, "log.cursor": cursor, "log.context.id": "0", "log.file.path": path,
            });
            cursor += body.len() + 1;
            record.to_string()
        })
        .collect()
}

fn logcheck(truth: &Path, records: &[String], output: &str) -> Output {
    let mut logcheck = Command::new(env!("CARGO_BIN_EXE_logcheck"))
        .args(["--output", output, "--truth"])
        .arg(truth)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = logcheck.stdin.take().unwrap();
    // A program that gave up reads nothing; what it says then is the result.
    drop(stdin.write_all(records.join("\n").as_bytes()));
    drop(stdin);
    logcheck.wait_with_output().unwrap()
}

#[test]
fn a_load_ended_by_sigterm_is_whole_and_its_truth_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.jsonl");
    write_until_sigterm(folder.path(), &truth);
    let records = deliver(folder.path());
    let streams = read_truth(&truth).unwrap();
    assert_eq!(streams[0].lines, records.len() as u64);

    let good = logcheck(&truth, &records, "human");
    assert_eq!(good.status.code(), Some(0));
    assert!(String::from_utf8(good.stdout).unwrap().starts_with("ok: "));

    let bad = logcheck(&truth, &records[1..], "json");
    assert_eq!(bad.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(verdict["lost"], 1);
}

#[test]
fn a_missing_truth_is_no_verdict() {
    let output = logcheck(Path::new("/nonexistent/truth.jsonl"), &[], "human");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nonexistent/truth.jsonl"));
}

#[test]
fn a_bench_without_its_agent_says_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--logferry", "/nonexistent/logferry"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("build it or give --logferry"));
}
