//! Discovery: finds the chains that the rules select, and tells the readers of every change.
//!
//! On the thread `lf-discover`. Directories are watched: what is heard costs a look at the chain that
//! it is of, whatever else is in the directory. Scans find what the watch may have missed, as often
//! as the timetable allows: all files and directories, all directories, or those that cannot be
//! watched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender};
use crossbeam::sync::Unparker;
use flow::{Attribute, Clock, Context, NodeBudget};

use crate::Tick;
use crate::fs::Fs;
use crate::meter::Meter;
use crate::reader::{Ask, Command, Shown};
use crate::source::SourceOptions;
use crate::watch::{Changes, Watch};

mod agenda;
mod ahead;
mod awaiting;
mod count;
mod files;
mod folder;
mod inside;
mod knowing;
mod look;
mod missed;
mod outlet;
mod pods;
mod refusals;
mod role;
pub mod rotation;
mod scan;
mod standing;
mod tenants;
mod timetable;
mod walk;
mod way;

pub use files::FileSelection;
pub use inside::{Container, Containers, InsideSelection};
use outlet::Outlet;
pub use pods::{Asked, NameFilter, PodFacts, PodPath, PodSelection};
use role::Role;
use scan::{Progress, UnderWay};
pub use standing::KnownRoom;
use standing::Standing;
pub use tenants::{Denial, Labelled, NamespaceTenants, TenantMap};
pub use timetable::SCAN_PAUSE_MAX_NS;
use timetable::Timetable;
use walk::{Around, Stale, Walk};

/// What a LogConfig selects.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Standard output of containers.
    Pods(Box<PodSelection>),
    /// Files of the host.
    Files(FileSelection),
    /// Files inside of containers.
    Inside(Box<InsideSelection>),
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
    /// The topic there that the LogConfig names; its records bear it.
    pub topic: Option<Arc<str>>,
    /// How to read.
    pub options: Arc<SourceOptions>,
    /// The file system, as far as it reaches.
    pub fs: Arc<dyn Fs>,
}

impl Rule {
    /// Which facts decide; another number when they changed.
    fn facts_version(&self) -> u64 {
        self.selection.facts_version().wrapping_add(self.tenants.version())
    }

    /// Why what is at or below `path` is selected, but not read.
    fn denial(&self, path: &Path) -> Option<Denial> {
        match &self.selection {
            Selection::Pods(pods) => pods.denial(path, &self.tenants),
            Selection::Files(_) => self.tenants.of_files().err(),
            // Their roots are none.
            Selection::Inside(_) => None,
        }
    }
}

impl Selection {
    fn roots(&self) -> Vec<PathBuf> {
        match self {
            Selection::Pods(pods) => vec![pods.root.clone()],
            Selection::Files(files) => files.roots(),
            Selection::Inside(inside) => inside.roots(),
        }
    }

    /// Whether looking begins there.
    fn is_root(&self, directory: &Path) -> bool {
        match self {
            Selection::Pods(pods) => pods.root == directory,
            Selection::Files(files) => files.roots().iter().any(|it| it == directory),
            Selection::Inside(inside) => inside.is_root(directory),
        }
    }

    fn facts(&self) -> Option<&dyn PodFacts> {
        match self {
            Selection::Pods(pods) => pods.facts.as_deref(),
            Selection::Files(_) => None,
            Selection::Inside(inside) => inside.pods.facts.as_deref(),
        }
    }

    fn is_pods(&self) -> bool {
        matches!(self, Selection::Pods(_))
    }

    fn facts_version(&self) -> u64 {
        match self {
            Selection::Inside(inside) => inside.version(),
            Selection::Pods(_) | Selection::Files(_) => self.facts().map_or(0, PodFacts::version),
        }
    }

    fn asked(&self) -> Asked {
        self.facts().map_or(Asked::Nothing, PodFacts::asked)
    }

    /// Whether what is known beside names selects what is in the directory; `None` as long as that is too little.
    fn is_selected(&self, directory: &Path) -> Option<bool> {
        match self {
            Selection::Pods(pods) => pods.is_selected(directory),
            // What is not selected has no root.
            Selection::Files(_) | Selection::Inside(_) => Some(true),
        }
    }

    fn takes_any_depth(&self) -> bool {
        match self {
            Selection::Pods(_) => false,
            Selection::Files(files) => files.takes_any_depth(),
            Selection::Inside(inside) => inside.files.takes_any_depth(),
        }
    }

    /// What a directory can hold that may be selected, by names.
    fn role(&self, directory: &Path) -> Role {
        match self {
            Selection::Pods(pods) => pods.role(directory),
            Selection::Files(files) => files.role(directory),
            Selection::Inside(inside) => inside.role(directory),
        }
    }

    /// Name of the live file of the chain that a file of a leaf directory is of.
    fn chain<'a>(&self, directory: &Path, name: &'a OsStr) -> Option<&'a OsStr> {
        match self {
            Selection::Pods(pods) => pods::chain(name).filter(|_| pods.role(directory).is_leaf),
            Selection::Files(files) => files.chain(directory, name),
            Selection::Inside(inside) => inside.chain(directory, name),
        }
    }

    fn context(&self, place: &Place, tenants: &TenantMap, live_path: &Path) -> Option<Context> {
        match self {
            Selection::Pods(pods) => pods.context(place, tenants, live_path),
            Selection::Files(files) => files.context(place, tenants, live_path),
            Selection::Inside(inside) => inside.context(place, tenants, live_path),
        }
    }
}

/// Where this agent runs: part of contexts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the cluster; may be empty.
    pub cluster: String,
    /// Name of the node; may be empty.
    pub node: String,
    /// Name of the host.
    pub host: String,
    /// The pod whose files these are, if the agent is its sidecar.
    pub pod: Option<PodPath>,
    /// What records of this pod bear beside its names.
    pub pod_attributes: Vec<Attribute>,
}

/// A reader's end for commands.
#[derive(Debug, Clone)]
pub struct ReaderDoor {
    /// Takes commands.
    pub commands: Sender<Command>,
    /// Wakes the reader.
    pub unparker: Unparker,
}

/// What discovery works with.
#[derive(Debug)]
pub struct DiscoveryParts {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Hears of changes; without one, all is found by scans.
    pub watch: Option<Box<dyn Watch>>,
    /// What to look for.
    pub rules: Vec<Rule>,
    /// Where this agent runs.
    pub place: Place,
    /// Who reads what is found.
    pub readers: Vec<ReaderDoor>,
    /// From readers, and from who wants to know of chains.
    pub asks: Receiver<Ask>,
    /// Counts.
    pub meter: Arc<Meter>,
    /// How far scans are apart, in nanoseconds.
    pub scan_interval_ns: u64,
    /// Above this many open log files, none is opened here.
    pub open_files_max: u64,
}

/// Finds chains.
#[derive(Debug)]
pub struct Discovery {
    asks: Receiver<Ask>,
    rules: Vec<Rule>,
    /// By rule.
    walks: Vec<Walk>,
    outlet: Outlet,
    timetable: Timetable,
    /// The scan that is not over.
    under_way: Option<UnderWay>,
    /// There was a tick.
    has_begun: bool,
    /// A scan is over.
    has_scanned: bool,
    /// Whose turn it is to look at something: the number of a LogConfig.
    turn: usize,
    slice_ns: u64,
    /// Nobody wants to know any more.
    stop: Arc<AtomicBool>,
}

impl Discovery {
    /// A discovery that has not looked at anything yet.
    #[must_use]
    pub fn new(parts: DiscoveryParts) -> Discovery {
        let rules = parts.rules;
        Discovery {
            asks: parts.asks,
            walks: rules.iter().map(|_| Walk::default()).collect(),
            outlet: Outlet::new(
                parts.clock,
                parts.watch,
                parts.place,
                parts.readers,
                parts.meter,
                &rules,
                parts.open_files_max,
            ),
            rules,
            timetable: Timetable::new(parts.scan_interval_ns),
            under_way: None,
            has_begun: false,
            has_scanned: false,
            turn: 0,
            slice_ns: scan::SLICE_NS,
            stop: Arc::default(),
        }
    }

    /// What is known beyond as many chains as may be open, which have a part of their own, stands in the pool; where
    /// there is a `room`, what goes beyond that waits.
    #[must_use]
    pub fn standing_in(mut self, pool: Arc<NodeBudget>, room: Option<KnownRoom>) -> Discovery {
        self.outlet.standing = Standing::new(pool, self.outlet.open_files_max, room);
        self
    }

    /// What is under way ends after the directory that it is at, once `stop` is set: nobody waits for the end of a scan.
    #[must_use]
    pub fn until(self, stop: Arc<AtomicBool>) -> Discovery {
        Discovery { stop, ..self }
    }

    /// Passes on what the watch heard, and what it is asked for; scans for a while if it is time. Busy until all is
    /// looked at that is due.
    pub fn tick(&mut self) -> Tick {
        let begin_ns = self.outlet.clock.monotonic_ns();
        let changes = self.outlet.watch.as_mut().map_or_else(Changes::default, |it| it.take());
        if changes.is_incomplete {
            self.outlet.meter.watch_overflows.add(1);
            tracing::warn!("watch events were lost; looking at everything");
            self.timetable.hurry(begin_ns);
            self.under_way.iter_mut().for_each(|it| it.is_overtaken = true);
        }
        // What comes while the first scan goes on was not there before.
        self.outlet.is_initial = false;
        let mut is_changed = self.heed(&changes);
        self.outlet.awaiting.renew(&self.rules);
        self.outlet.is_initial = !self.has_begun;
        self.walk(|walk, around| is_changed |= walk.heed_facts(around));
        if self.under_way.is_none()
            && let Some(scan) = self.timetable.due(begin_ns)
        {
            self.begin_scan(scan);
        }
        self.has_begun = true;
        is_changed |= self.under_way.is_some() || self.walks.iter().any(Walk::has_pieces);
        match self.scan_on() {
            Progress::All => {}
            Progress::Some => return Tick::Busy,
            Progress::Held => return Tick::Idle(Some(begin_ns + ahead::REST_NS)),
        }
        if self.timetable.is_heard && !self.outlet.refusals.is_heard() {
            self.timetable.unheard(begin_ns);
        }
        // Counting goes over all directories: not for each question.
        if is_changed {
            self.count();
        }
        self.outlet.watch.iter_mut().for_each(|it| it.settle());
        let next_ns = self.timetable.next_ns();
        Tick::Idle(Some(changes.halfway_until_ns.map_or(next_ns, |until_ns| until_ns.min(next_ns))))
    }

    /// Does what it is asked for, and nothing else.
    pub fn answer(&mut self) {
        self.heed(&Changes::default());
    }

    /// Takes what was asked for, and no more: readers go on asking. Returns whether what is known may have changed.
    fn heed(&mut self, changes: &Changes) -> bool {
        let (mut looks, mut questions) = (Vec::new(), Vec::new());
        for ask in self.asks.try_iter().take(self.asks.len()) {
            match ask {
                Ask::Look(path) => looks.push(path),
                Ask::Chains(asked) => questions.push(asked),
                Ask::Short(sender) => drop(sender.try_send(self.short_folders())),
            }
        }
        let mut is_changed = self.hear(changes, &looks);
        // What was heard of comes first: new files are opened then.
        for asked in questions {
            let mut shown = Shown::default();
            self.walk(|walk, around| walk.show(around, &asked, &mut shown));
            is_changed |= shown.is_changed;
            // The asker may have gone; then nobody misses the answer.
            drop(asked.answer.try_send(shown));
        }
        is_changed
    }

    /// Looks at what changed and at what was asked for, and at nothing else.
    fn hear(&mut self, changes: &Changes, asked: &[PathBuf]) -> bool {
        if changes.named.is_empty() && changes.written.is_empty() && asked.is_empty() {
            return false;
        }
        self.walk(|walk, around| {
            let mut stale = Stale::default();
            // What was written to first: it may have another name, or none, by what was heard later.
            changes.written.iter().for_each(|path| walk.written(around, path, &mut stale));
            asked.iter().for_each(|path| walk.asked(around, path, &mut stale));
            changes.named.iter().for_each(|path| walk.changed(around, path, &mut stale));
            walk.refresh(around, stale, &changes.removed);
        });
        true
    }

    fn walk(&mut self, mut each: impl FnMut(&mut Walk, &mut Around<'_>)) {
        let rules = &self.rules[..];
        for (number, (walk, rule)) in self.walks.iter_mut().zip(rules).enumerate() {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let (fs, outlet) = (&*rule.fs, &mut self.outlet);
            each(walk, &mut Around { fs, rule, rules, number, outlet });
        }
    }
}

#[cfg(test)]
mod tests;
