//! `logferry spool`: what the spools hold, of which tenant, and since when.
//!
//! Of sinks that the configuration does not have any more, too: what is theirs stays until they are back, or
//! until somebody removes the folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flow::{Clock, SystemClock};
use serde_json::json;
use sink::spool::{Held, survey};

use super::load;
use crate::cli::{Output, SpoolOptions};
use crate::exit::{Exit, Failure, Outcome};
use crate::plan;

/// The spool of one sink.
struct Spool {
    sink: String,
    path: PathBuf,
    is_configured: bool,
    held: Vec<Held>,
}

pub(crate) fn run(options: &SpoolOptions) -> Outcome {
    let settings = load(&options.config.paths)?;
    let mut all = Vec::new();
    for folder in plan::spool_folders(&settings) {
        let is_configured = |sink: &str| plan::is_drained(&settings, &folder, sink);
        all.extend(spools(&folder, is_configured).map_err(Failure::unusable)?);
    }
    let mut out = std::io::stdout();
    match options.output {
        Output::Text => text(&mut out, &all)?,
        Output::Json => all.iter().try_for_each(|it| json(&mut out, it))?,
    }
    Ok(Exit::Done)
}

fn spools(path: &Path, is_configured: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Spool>> {
    let mut spools = Vec::new();
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(spools),
        entries => entries.with_context(|| path.display().to_string())?,
    };
    for entry in entries {
        let entry = entry.with_context(|| path.display().to_string())?;
        let Ok(sink) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        let is_configured = is_configured(&sink);
        spools.push(Spool { held: survey(&path)?, sink, path, is_configured });
    }
    spools.sort_by(|one, other| one.sink.cmp(&other.sink));
    Ok(spools)
}

fn text(out: &mut impl Write, spools: &[Spool]) -> std::io::Result<()> {
    for spool in spools {
        let gone =
            if spool.is_configured { "" } else { ", which the configuration does not drain" };
        writeln!(out, "sink {}{gone}: {}", spool.sink, spool.path.display())?;
        for it in &spool.held {
            let Held { tenant, payloads, payload_bytes, disk_bytes, .. } = it;
            write!(out, "  tenant {tenant}: {payloads} payloads of {payload_bytes} bytes")?;
            if let Some(age_s) = age_s(it) {
                write!(out, ", the oldest read {age_s} s ago")?;
            }
            writeln!(out, "; {disk_bytes} bytes on the disk")?;
            if it.problems > 0 {
                writeln!(out, "    {} places cannot be read", it.problems)?;
            }
        }
    }
    Ok(())
}

fn json(out: &mut impl Write, spool: &Spool) -> std::io::Result<()> {
    for it in &spool.held {
        let line = json!({
            "sink": spool.sink,
            "configured": spool.is_configured,
            "tenant": it.tenant,
            "payloads": it.payloads,
            "payloadBytes": it.payload_bytes,
            "oldestSeconds": age_s(it),
            "diskBytes": it.disk_bytes,
            "problems": it.problems,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Since when the oldest of it is known, in seconds.
fn age_s(held: &Held) -> Option<i64> {
    held.oldest_unix_ns.map(|it| SystemClock.unix_ns().saturating_sub(it) / 1_000_000_000)
}
