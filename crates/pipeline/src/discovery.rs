//! Discovery: finds the chains that the rules select, and tells the readers of every change.
//!
//! On the thread `lf-discover`. Directories are watched; a reconciling scan looks at what the watch
//! may have missed. A scan asks each known directory for its time of change and each known file for
//! its size, and lists a directory again only if it changed. It comes every second, or less often
//! where everything is watched and so much is there that scans would take processor time.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::Sender;
use crossbeam::sync::Unparker;
use flow::{Clock, Context, ContextId};

use crate::Tick;
use crate::fs::{Fs, LogFile, Printable};
use crate::meter::Meter;
use crate::reader::Command;
use crate::source::{SeenFile, SourceOptions, SourceSpec};
use crate::watch::{Changes, Watch};

mod directories;
mod files;
mod missed;
mod pods;
mod refusals;
pub mod rotation;
mod tenants;

use directories::Directories;
pub use files::FileSelection;
use missed::Missed;
pub use pods::{NameFilter, PodPath, PodSelection};
pub use tenants::TenantMap;

/// What a LogConfig selects.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Standard output of containers.
    Pods(PodSelection),
    /// Files of the host.
    Files(FileSelection),
}

/// A resolved LogConfig.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// What it selects.
    pub selection: Selection,
    /// Who owns the records.
    pub tenants: TenantMap,
    /// Which of the plan's sinks they go to.
    pub sink: usize,
    /// How to read.
    pub options: Arc<SourceOptions>,
    /// The file system, as far as it reaches.
    pub fs: Arc<dyn Fs>,
}

/// A scan of what is watched too is followed by so many times its length without one.
///
/// 10,000: scans take at most a ten-thousandth of a core. A scan of 100 sources takes a tenth of a
/// millisecond, so up to there it comes every second; one of 1,000 every ten seconds.
const SCAN_SHARE: u64 = 10_000;
/// As above, where something is there that no watch hears of: a right that is granted, or a write to a
/// file behind a link.
///
/// 100: at most a hundredth of a core, and up to some 500 links every second.
const SCAN_SHARE_UNHEARD: u64 = 100;
/// Longest time without a scan, in nanoseconds: what a watch missed is found after a minute.
pub const SCAN_PAUSE_MAX_NS: u64 = 60_000_000_000;

/// Where this agent runs: part of contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the cluster; may be empty.
    pub cluster: String,
    /// Name of the node; may be empty.
    pub node: String,
    /// Name of the host.
    pub host: String,
}

/// A reader's end for commands.
#[derive(Debug, Clone)]
pub struct ReaderDoor {
    /// Takes commands.
    pub commands: Sender<Command>,
    /// Wakes the reader.
    pub unparker: Unparker,
}

/// A chain as a selection found it.
#[derive(Debug)]
struct Found {
    /// Path of the live file, whether it is there now or not.
    live_path: PathBuf,
    context: Arc<Context>,
    files: Vec<SeenFile>,
}

/// Finds chains.
#[derive(Debug)]
pub struct Discovery {
    clock: Arc<dyn Clock>,
    watch: Option<Box<dyn Watch>>,
    rules: Vec<Rule>,
    place: Place,
    readers: Vec<ReaderDoor>,
    meter: Arc<Meter>,
    directories: Directories,
    chains: HashMap<ContextId, Chain>,
    by_path: HashMap<PathBuf, ContextId>,
    scan_interval_ns: u64,
    next_scan_ns: u64,
    is_initial: bool,
}

/// A chain that a reader was told of.
#[derive(Debug)]
struct Chain {
    rule: usize,
    live_path: PathBuf,
    /// Identity and size of each file, as last told.
    told: Vec<missed::Told>,
    missed: Missed,
    is_seen: bool,
}

impl Discovery {
    /// A discovery that has not looked at anything yet. Without a watch it only scans.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        watch: Option<Box<dyn Watch>>,
        rules: Vec<Rule>,
        place: Place,
        readers: Vec<ReaderDoor>,
        meter: Arc<Meter>,
        scan_interval_ns: u64,
    ) -> Discovery {
        Discovery {
            clock,
            watch,
            rules,
            place,
            readers,
            meter,
            directories: Directories::default(),
            chains: HashMap::new(),
            by_path: HashMap::new(),
            scan_interval_ns,
            next_scan_ns: 0,
            is_initial: true,
        }
    }

    /// Passes on what the watch heard; scans if it is time.
    pub fn tick(&mut self) -> Tick {
        let now_ns = self.clock.monotonic_ns();
        let changes = self.watch.as_mut().map_or_else(Changes::default, |watch| watch.take());
        // Before the looks: what was written to may have another name, or none, by then.
        for path in &changes.written {
            if let Some(context) = self.chain_of(path) {
                self.send(context, Command::Poke(context));
            }
        }
        if now_ns >= self.next_scan_ns || changes.is_incomplete {
            if changes.is_incomplete {
                tracing::warn!("watch events were lost; looking at everything");
                self.directories.forget_times();
            }
            let has_new = self.scan(None);
            let end_ns = self.clock.monotonic_ns();
            let pause_ns = if has_new { 0 } else { self.pause_after(end_ns - now_ns) };
            self.next_scan_ns = end_ns + pause_ns;
            self.meter.scan_ended_ns.set(end_ns);
            self.is_initial = false;
        } else if !changes.listed.is_empty() {
            self.directories.mark_changed(&changes.listed);
            if self.scan(Some(&changes.listed)) {
                self.next_scan_ns = now_ns;
            }
        }
        changes.removed.iter().for_each(|path| self.removed(path));
        Tick::Idle(Some(self.next_scan_ns))
    }

    /// Tells the reader if a file came and went that no look ever showed.
    fn removed(&mut self, path: &Path) {
        let live_path = missed::dated_of(path);
        let live_path = live_path.as_deref().unwrap_or(path);
        let Some(&context) = self.by_path.get(live_path) else { return };
        let Some(chain) = self.chains.get_mut(&context) else { return };
        // What was compressed is there still, under another name.
        let mut compressed = path.as_os_str().to_owned();
        compressed.push(".gz");
        let fs = &self.rules[chain.rule].fs;
        let is_there = |path: &Path| fs.stat(path).is_ok();
        if chain.missed.removed(path) && !is_there(Path::new(&compressed)) && !is_there(path) {
            tracing::warn!(path = %path.display(), "rotated and removed before it was seen");
            self.send(context, Command::Missed(context));
        }
    }

    /// The chain that a file belongs to: its live file, or a rotated one that is still written to.
    fn chain_of(&self, path: &Path) -> Option<ContextId> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        let (base, _) = rotation::split(path.file_name()?.as_bytes())?;
        self.by_path.get(&path.with_file_name(OsStr::from_bytes(base))).copied()
    }

    /// How long to wait after a scan that took so long.
    fn pause_after(&self, scan_ns: u64) -> u64 {
        let is_watched = self.watch.is_some() && self.meter.unwatched_directories.get() == 0;
        if !is_watched {
            return self.scan_interval_ns;
        }
        let refusals = &self.directories.refusals;
        let is_heard = refusals.count() == 0 && refusals.linked_files() == 0;
        let share = if is_heard { SCAN_SHARE } else { SCAN_SHARE_UNHEARD };
        let pause_ns = scan_ns.saturating_mul(share).min(SCAN_PAUSE_MAX_NS);
        pause_ns.max(self.scan_interval_ns)
    }

    /// Looks at everything, or only at what lies in or below the directories that changed.
    ///
    /// Returns whether there are directories that were not watched while they were listed: what
    /// appeared in them meanwhile is found by another scan.
    fn scan(&mut self, only: Option<&HashSet<PathBuf>>) -> bool {
        self.meter.scans.add(1);
        self.directories.begin(self.clock.unix_ns());
        self.chains.values_mut().for_each(|it| it.is_seen = false);
        for rule in 0..self.rules.len() {
            for found in self.select(rule, only) {
                self.found(rule, found);
            }
        }
        self.tell_gone(only);
        self.follow_directories(only.is_some())
    }

    fn select(&mut self, rule: usize, only: Option<&HashSet<PathBuf>>) -> Vec<Found> {
        let Rule { selection, tenants, fs, .. } = &self.rules[rule];
        let (fs, place) = (&**fs, &self.place);
        match selection {
            Selection::Pods(pods) => pods.find(fs, &mut self.directories, place, tenants, only),
            Selection::Files(files) => files.find(fs, &mut self.directories, place, tenants, only),
        }
    }

    fn found(&mut self, rule: usize, found: Found) {
        let id = found.context.id;
        let told: Vec<_> =
            found.files.iter().map(|it| (it.path.clone(), it.stat.id, it.stat.size)).collect();
        let mut opened = Vec::new();
        let fs = &*self.rules[rule].fs;
        match self.chains.get_mut(&id) {
            Some(chain) if chain.is_seen => {
                if chain.rule != rule && self.is_initial {
                    let (first, second) = (&self.rules[chain.rule].name, &self.rules[rule].name);
                    let path = Printable(&found.live_path);
                    tracing::warn!(%path, %first, %second, "selected twice; the first LogConfig has it");
                }
                return;
            }
            Some(chain) => {
                chain.is_seen = true;
                if chain.told == told {
                    return;
                }
                opened = open_new(fs, &found.files, &chain.told);
                chain.missed.compare(&chain.told, &told);
                chain.told = told;
            }
            None => {
                // At the start there are many files, and no hurry.
                if !self.is_initial {
                    opened = open_new(fs, &found.files, &[]);
                }
                self.by_path.insert(found.live_path.clone(), id);
                let live_path = found.live_path;
                let missed = Missed::default();
                self.chains.insert(id, Chain { rule, live_path, told, missed, is_seen: true });
            }
        }
        let rule = &self.rules[rule];
        let spec = SourceSpec {
            context: found.context,
            rule: Arc::clone(&rule.name),
            sink: rule.sink,
            options: Arc::clone(&rule.options),
            fs: Arc::clone(&rule.fs),
        };
        let is_initial = self.is_initial;
        self.send(id, Command::Look { spec, files: found.files, opened, is_initial });
    }

    /// Tells the readers of chains whose last file is gone.
    fn tell_gone(&mut self, only: Option<&HashSet<PathBuf>>) {
        let concerns = |path: &Path| {
            only.is_none_or(|only| {
                path.ancestors().skip(1).any(|directory| only.contains(directory))
            })
        };
        let gone: Vec<ContextId> = self
            .chains
            .iter()
            .filter(|(_, chain)| !chain.is_seen && concerns(&chain.live_path))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            let Some(chain) = self.chains.remove(&id) else { continue };
            self.by_path.remove(&chain.live_path);
            let rule = &self.rules[chain.rule];
            // Only the id matters: the reader knows the rest.
            let context = Context { id, tenant: Arc::from(""), attributes: Vec::new() };
            let spec = SourceSpec {
                context: Arc::new(context),
                rule: Arc::clone(&rule.name),
                sink: rule.sink,
                options: Arc::clone(&rule.options),
                fs: Arc::clone(&rule.fs),
            };
            let (files, opened) = (Vec::new(), Vec::new());
            self.send(id, Command::Look { spec, files, opened, is_initial: false });
        }
    }

    /// Watches the directories that were met, and no others; returns whether there are new ones.
    fn follow_directories(&mut self, is_partial: bool) -> bool {
        let (new, gone) = self.directories.end(is_partial);
        self.meter.refused_paths.set(self.directories.refusals.count() as u64);
        let Some(watch) = &mut self.watch else { return false };
        for directory in gone {
            watch.remove(&directory);
        }
        let has_new = !new.is_empty();
        for directory in new {
            if let Err(error) = watch.add(&directory) {
                self.meter.unwatched_directories.add(1);
                tracing::warn!(%error, "cannot be watched; it is looked at every scan instead");
            }
        }
        if has_new {
            self.directories.forget_times();
        }
        has_new
    }

    fn send(&self, context: ContextId, command: Command) {
        let readers = self.readers.len() as u128;
        let index = usize::try_from(context.0 % readers).expect("below the number of readers");
        let reader = &self.readers[index];
        // Waits for a reader that is behind; a dead one ends the data plane anyway.
        drop(reader.commands.send(command));
        reader.unparker.unpark();
    }
}

/// Opens the files that were not told of: their readers may come too late.
fn open_new(fs: &dyn Fs, files: &[SeenFile], told: &[missed::Told]) -> Vec<Box<dyn LogFile>> {
    let is_new = |it: &&SeenFile| !told.iter().any(|(_, id, _)| *id == it.stat.id);
    files.iter().filter(is_new).filter_map(|it| fs.open(&it.path).ok()).collect()
}

#[cfg(test)]
mod tests;
