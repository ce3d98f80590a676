//! Home: where the programs of Kubernetes lie that `scripts/kubernetes.sh` has built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names the version, for `scripts/kubernetes.sh` and for us.
const MODULES: &str = include_str!("../../../scripts/kubernetes/go.mod");

/// The program of this name.
///
/// # Errors
///
/// If it was not built yet.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let version = MODULES.lines().find_map(|line| line.strip_prefix("\tk8s.io/kubernetes v"));
    let version = version.and_then(|rest| rest.split_whitespace().next());
    let version = version.context("scripts/kubernetes/go.mod: no k8s.io/kubernetes")?;
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let path = top.join(".cache/kubernetes").join(version).join(name);
    if !fs::exists(&path)? {
        bail!("{}: not there; run scripts/kubernetes.sh, which builds it", path.display());
    }
    Ok(path)
}
