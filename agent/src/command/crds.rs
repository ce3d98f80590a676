//! `logferry crds`: the resources as a cluster is to know them.

use std::io::Write;

use crate::exit::{Exit, Outcome};

pub(crate) fn run() -> Outcome {
    let mut out = std::io::stdout();
    for kind in crd::custom_resource_kinds() {
        write!(out, "---\n{}", crd::custom_resource_definition(kind))?;
    }
    Ok(Exit::Done)
}
