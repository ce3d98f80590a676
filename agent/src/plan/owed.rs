//! Owed: what spools hold for sinks, and the configuration does not drain any more.
//!
//! Where spools were is remembered in the state directory, as long as anything is owed there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use crd::Settings;
use sink::queue::SystemDisk;
use sink::small_file;
use sink::spool::survey;

/// The file in the state directory with the folders of spools.
const FOLDERS_NAME: &str = "spools.json";

/// A sink's spool that nobody drains.
#[derive(Debug)]
pub(crate) struct Undrained {
    sink: String,
    spool: PathBuf,
    payloads: u64,
    tenants: Vec<String>,
}

impl fmt::Display for Undrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Undrained { sink, spool, payloads, tenants } = self;
        let (spool, tenants) = (spool.display(), tenants.join(", "));
        write!(
            f,
            "{spool}: {payloads} payloads of {tenants} are kept for LogSink {sink}, and nobody delivers them: write \
             `spool: {{path: {spool}}}` for the Agent and have that LogSink until `logferry spool` shows none, or \
             remove {spool}/{sink}"
        )
    }
}

/// Folders in which spools are or were.
pub(crate) fn folders(settings: &Settings) -> BTreeSet<PathBuf> {
    let mut folders = remembered(&settings.agent.state_directory);
    folders.insert(match &settings.agent.spool {
        Some(spool) => spool.path.clone(),
        None => settings.agent.state_directory.join(crd::defaults::SPOOL_FOLDER),
    });
    folders
}

/// Whether what is kept in `folder` for that sink is drained.
pub(crate) fn is_drained(settings: &Settings, folder: &Path, sink: &str) -> bool {
    let is_used = settings.agent.spool.as_ref().is_some_and(|it| it.path == folder);
    is_used && settings.sinks.iter().any(|it| it.name == sink)
}

/// What is kept, and not drained. What cannot be looked at is left out.
pub(crate) fn undrained(settings: &Settings) -> Vec<Undrained> {
    let mut all = Vec::new();
    for spool in folders(settings) {
        for sink in sinks_in(&spool) {
            if is_drained(settings, &spool, &sink) {
                continue;
            }
            let mut held = survey(&spool.join(&sink)).unwrap_or_default();
            held.retain(|it| it.payloads + it.problems > 0);
            if !held.is_empty() {
                let payloads = held.iter().map(|it| it.payloads).sum();
                let tenants = held.into_iter().map(|it| it.tenant).collect();
                all.push(Undrained { sink, spool: spool.clone(), payloads, tenants });
            }
        }
    }
    all
}

/// Remembers where the spool is, and those of which something is still owed.
///
/// # Errors
/// If that cannot be stored.
pub(super) fn remember(settings: &Settings, undrained: &[Undrained]) -> anyhow::Result<()> {
    let state = &settings.agent.state_directory;
    let mut folders: BTreeSet<PathBuf> = undrained.iter().map(|it| it.spool.clone()).collect();
    folders.extend(settings.agent.spool.iter().map(|it| it.path.clone()));
    if folders == remembered(state) {
        return Ok(());
    }
    let path = state.join(FOLDERS_NAME);
    flow::make_folder(state)
        .and_then(|()| small_file::replace(&path, &serde_json::to_vec(&folders)?, &SystemDisk))
        .with_context(|| path.display().to_string())
}

/// Nothing, if that is not known.
fn remembered(state: &Path) -> BTreeSet<PathBuf> {
    let bytes = std::fs::read(state.join(FOLDERS_NAME)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Names of the sinks that have a folder there.
fn sinks_in(spool: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(spool).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().into_string().ok()).collect()
}
