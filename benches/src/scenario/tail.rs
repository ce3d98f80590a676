//! Tail: what was delivered, by the agent's own `tail`, against what was written.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::Settings;
use crate::check::{CheckOptions, Checker, Verdict};
use crate::truth::StreamTruth;

/// Compares the records that `tail` prints with these arguments with what was written.
pub(super) fn verdict<A: AsRef<OsStr>>(
    settings: &Settings,
    arguments: &[A],
    truth: Vec<StreamTruth>,
) -> anyhow::Result<Verdict> {
    let mut tail = Command::new(&settings.logferry)
        .args(["tail", "--all", "--output", "json"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(tail.stdout.take().context("its output is a pipe")?);
    let mut checker = Checker::new(truth, CheckOptions::default());
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        checker.take_line(&line);
        line.clear();
    }
    ensure!(tail.wait()?.success(), "what was delivered cannot be read");
    Ok(checker.finish())
}
