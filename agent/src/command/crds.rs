//! `logferry crds`: the resources as a cluster is to know them.

use std::io::Write;

use crate::exit::{Exit, Outcome};

pub(crate) fn run() -> Outcome {
    let mut out = std::io::stdout();
    for (_, definition) in crd::custom_resource_definitions() {
        write!(out, "---\n{definition}")?;
    }
    Ok(Exit::Done)
}
