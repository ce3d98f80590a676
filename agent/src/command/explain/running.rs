//! Running: what the running agent says of itself over its web port.

use std::io::Write;

use crd::Settings;
use serde_json::Value;

/// How long the agent may take to answer, in seconds.
const ANSWER_SECONDS: u64 = 5;

/// What the running agent says.
pub(super) struct Running {
    /// Where every source stands.
    pub(super) sources: Vec<Value>,
    /// Folders with files for which there is no memory.
    pub(super) short: Vec<Value>,
}

/// Asks the running agent where its sources stand; or says why it cannot be asked.
pub(super) fn ask(settings: &Settings) -> Result<Running, String> {
    let get = |page| get(settings, page);
    Ok(Running { sources: get("sources")?, short: get("short")? })
}

fn get(settings: &Settings, page: &str) -> Result<Vec<Value>, String> {
    let listen = settings.agent.listen;
    let url = format!("http://{listen}/debug/{page}");
    let answer = minreq::get(url).with_timeout(ANSWER_SECONDS).send();
    let answer =
        answer.map_err(|error| format!("no answer at {listen}: {error}; is it running?"))?;
    serde_json::from_slice(answer.as_bytes()).map_err(|_| format!("{listen} is not a logferry"))
}

/// Says that it waits for memory, and with whom.
pub(super) fn print_short(out: &mut impl Write, folders: &[Value]) -> std::io::Result<()> {
    writeln!(
        out,
        "agent: reads nothing of it now: it waits for memory to know it by; write more `memory` for the Agent (without it: \
         raise the limit of its control group), or select fewer files"
    )?;
    for folder in folders {
        let path = folder["path"].as_str().unwrap_or("?");
        for (tenant, files) in folder["waiting"].as_object().into_iter().flatten() {
            writeln!(out, "  {files} files or folders of tenant {tenant} wait in {path}")?;
        }
    }
    Ok(())
}

/// What holds the source back, if anything does.
fn print_waits(out: &mut impl Write, waits: &Value) -> std::io::Result<()> {
    match waits["what"].as_str() {
        Some("limit") => writeln!(
            out,
            "  waits for the limit of its {}, {} ms still",
            waits["level"].as_str().unwrap_or("?"),
            waits["for_ms"]
        ),
        Some("memory") => writeln!(
            out,
            "  waits for memory: {} bytes of its tenant are in flight, and are not acknowledged",
            waits["used_bytes"]
        ),
        Some("inFlightBytes") => writeln!(
            out,
            "  waits for its tenant's inFlightBytes: {} bytes are read, and are not acknowledged",
            waits["used_bytes"]
        ),
        Some("lane") => writeln!(out, "  waits for the sink, which takes less than is read"),
        Some("sink") => writeln!(
            out,
            "  waits for the sink, which has refused its payloads for {} ms; see the agent's log",
            waits["since_ms"]
        ),
        Some("spool") => writeln!(
            out,
            "  waits for the spool of its sink, which holds what goes first, and cannot be opened: {}",
            waits["why"].as_str().unwrap_or("?")
        ),
        Some("turn") => writeln!(out, "  waits for its turn"),
        _ => Ok(()),
    }
}

pub(super) fn print(out: &mut impl Write, source: &Value) -> std::io::Result<()> {
    let text = |name: &str| source[name].as_str().unwrap_or("?").to_owned();
    writeln!(
        out,
        "source {} (context {}, tenant {})",
        text("context"),
        text("context_id"),
        text("tenant")
    )?;
    writeln!(
        out,
        "  collected by LogConfig {}, cursor {}, {} bytes behind ({} at risk), {} failures in a row",
        text("log_config"),
        source["cursor"],
        source["lag_bytes"],
        source["at_risk_bytes"],
        source["failures"]
    )?;
    if source["log_disk_pressed"] == true {
        writeln!(
            out,
            "  its log disk is more than half used, or has kept bytes for a minute: the spool, if there is one, takes what the sink does not"
        )?;
    }
    print_waits(out, &source["waits_for"])?;
    for it in source["limits"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (level, unit) =
            (it["level"].as_str().unwrap_or("?"), it["unit"].as_str().unwrap_or("?"));
        writeln!(
            out,
            "  limit of its {level}: {} {unit} a second; {} may be read now, {} are owed",
            it["per_second"], it["tokens"], it["debt"]
        )?;
    }
    for it in source["generations"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let fate = match (it["gone"] == true, it["endangered"] == true) {
            (true, _) => ", removed",
            (false, true) => ", removed by the next rotation",
            (false, false) => "",
        };
        let path = it["path"].as_str().unwrap_or("?");
        let bytes = |name: &str| it[name].as_u64().unwrap_or(0);
        let (offset, size) = (bytes("offset"), bytes("size"));
        let unread = size.saturating_sub(offset);
        writeln!(out, "  {path}: read to {offset} of {size}, {unread} unread{fate}")?;
    }
    Ok(())
}
