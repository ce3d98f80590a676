//! Commands: one file each. They print to standard output; what goes wrong goes to standard error.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod context;
pub(crate) mod convert;
pub(crate) mod crds;
pub(crate) mod explain;
mod print;
mod queue;
pub(crate) mod run;
pub(crate) mod section;
pub(crate) mod spool;
pub(crate) mod tail;
mod topic;
pub(crate) mod version;

use std::path::PathBuf;

use crd::Settings;

use crate::exit::Failure;

/// Loads a configuration for a command; warnings go to standard error.
fn load(paths: &[PathBuf]) -> Result<Settings, Failure> {
    let settings =
        crd::load(paths).map_err(|problems| Failure::usage(anyhow::anyhow!("{problems}")))?;
    if !settings.warnings.is_empty() {
        eprintln!("{}", settings.warnings);
    }
    Ok(settings)
}
