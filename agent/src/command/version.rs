//! `logferry version`.

use std::io::Write;

use crate::cli::{Output, VersionOptions};
use crate::exit::{Exit, Outcome};

/// Version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run(options: &VersionOptions) -> Outcome {
    let mut out = std::io::stdout();
    match options.output {
        Output::Text => writeln!(out, "logferry {VERSION}")?,
        Output::Json => {
            let formats = serde_json::json!({
                "version": VERSION,
                "queue_format": sink::queue::FORMAT_VERSION,
                "checkpoint_format": pipeline::checkpoint::FORMAT_VERSION,
            });
            writeln!(out, "{formats}")?;
        }
    }
    Ok(Exit::Done)
}
