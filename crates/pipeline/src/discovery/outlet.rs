//! Outlet: what all LogConfigs' walks have in common: the watch, and the way to the readers.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Attribute, Clock, Context, ContextId, attribute};

use super::ahead::Ahead;
use super::awaiting::Awaiting;
use super::refusals::Refusals;
use super::standing::Standing;
use super::{Denial, Place, ReaderDoor, Rule, Selection, TenantMap};
use crate::fs::{Fs, Printable};
use crate::meter::{Count, Meter};
use crate::reader::{Command, Opened};
use crate::source::{SeenFile, SourceSpec};
use crate::watch::Watch;

/// Most denials that are said: who makes more namespaces is not to fill the agent's log.
const DENIALS_SAID_MAX: usize = 1000;

/// Most open files that are on the way to their readers at a time.
const OPENED_MAX: u64 = 64;

/// The watch, and the way to the readers.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Option<Box<dyn Watch>>,
    pub(super) place: Place,
    pub(super) readers: Vec<ReaderDoor>,
    pub(super) meter: Arc<Meter>,
    /// What was refused.
    pub(super) refusals: Refusals,
    /// What waits to be known.
    pub(super) awaiting: Awaiting,
    /// Who pays for what is known.
    pub(super) standing: Standing,
    /// How far the first scan is ahead of readers.
    pub(super) ahead: Ahead,
    /// Above this many open log files, those on the way to their readers among them, none is opened here.
    pub(super) open_files_max: u64,
    /// Open files on the way to any reader.
    pub(super) on_the_way: Arc<Count>,
    /// What is looked at is of the first scan.
    pub(super) is_initial: bool,
    /// Directories that could not be watched are tried again in this look.
    pub(super) is_retry: bool,
    /// How many walks have each watched directory.
    watched: HashMap<PathBuf, u32>,
    /// Which rule has a chain; not kept if there is but one rule.
    owners: Option<HashMap<ContextId, usize>>,
    /// Directories that could not be watched, since all were.
    refused: u64,
    /// Whose the chains are that readers were told of, where labels say whose: what is begun goes on to the same
    /// tenant until the data plane starts anew.
    tenants: HashMap<ContextId, Arc<str>>,
    /// Numbers of rules that select the same, of which that was said.
    contests: BTreeSet<(usize, usize)>,
    /// Denials that were said, by LogConfig.
    denials: BTreeSet<(Arc<str>, String)>,
}

impl Outlet {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        watch: Option<Box<dyn Watch>>,
        place: Place,
        readers: Vec<ReaderDoor>,
        meter: Arc<Meter>,
        rules: &[Rule],
        open_files_max: u64,
    ) -> Outlet {
        Outlet {
            clock,
            watch,
            place,
            readers,
            meter,
            refusals: Refusals::default(),
            awaiting: Awaiting::new(rules),
            standing: Standing::default(),
            ahead: Ahead::default(),
            open_files_max,
            on_the_way: Arc::default(),
            is_initial: true,
            is_retry: false,
            watched: HashMap::new(),
            owners: (rules.len() > 1).then(HashMap::new),
            refused: 0,
            tenants: HashMap::new(),
            contests: BTreeSet::new(),
            denials: BTreeSet::new(),
        }
    }

    /// Opens a new file for its reader, if that is possible and may be.
    ///
    /// At the start there are many files, and no hurry; and where descriptors are short, those that
    /// are on their way must not take what readers have left.
    pub(super) fn open(&self, fs: &dyn Fs, path: &Path, opened: &mut Opened) {
        let on_the_way = self.on_the_way.get();
        let in_use = self.meter.open_files.get() + on_the_way;
        let may_open = !self.is_initial && on_the_way < OPENED_MAX && in_use < self.open_files_max;
        if may_open && let Ok(file) = fs.open(path) {
            opened.push(file);
        }
    }

    /// No files, before any is opened.
    pub(super) fn none_opened(&self) -> Opened {
        Opened::new(Arc::clone(&self.on_the_way))
    }

    /// Hears of changes in `directory` from now on, if that is possible.
    pub(super) fn watch(&mut self, directory: &Path) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        match watch.add(directory) {
            Ok(()) => {
                *self.watched.entry(directory.to_path_buf()).or_default() += 1;
                true
            }
            Err(error) => {
                self.refused += 1;
                if self.refused.is_power_of_two() {
                    let refused = self.refused;
                    tracing::warn!(%error, refused, "cannot be watched; looked at every scan instead");
                }
                false
            }
        }
    }

    /// One walk has no interest in `directory` any more.
    pub(super) fn unwatch(&mut self, directory: &Path) {
        let Some(count) = self.watched.get_mut(directory) else { return };
        *count -= 1;
        if *count == 0 {
            self.watched.remove(directory);
            if let Some(watch) = &mut self.watch {
                watch.remove(directory);
            }
        }
    }

    /// So many directories are there and cannot be watched.
    pub(super) fn count_unwatched(&mut self, count: usize) {
        self.meter.unwatched_directories.set(count as u64);
        if count == 0 && self.refused > 0 {
            self.refused = 0;
            tracing::info!("all directories are watched again");
        }
    }

    /// Says once for each LogConfig and tenant that the pod at `path` is not read, and why.
    pub(super) fn denied(&mut self, rule: &Rule, path: &Path, denial: &Denial) {
        let why = denial.to_string();
        let is_new = self.denials.len() < DENIALS_SAID_MAX
            && self.denials.insert((Arc::clone(&rule.name), why.clone()));
        if is_new {
            let (config, path) = (&rule.name, Printable(path));
            tracing::warn!(%config, %path, why, "not read");
        }
    }

    /// The chain of that live file; none if nobody's, or of somebody whose records may not go there.
    pub(super) fn spec(&mut self, rule: &Rule, live_path: &Path) -> Option<SourceSpec> {
        let told = match rule.selection {
            Selection::Files(_) => rule.fs.volume_context(live_path),
            Selection::Pods(_) | Selection::Inside(_) => None,
        };
        let is_on_log_disk = told.is_some();
        let told = told.unwrap_or_default();
        let mut context = match self.context(rule, live_path, namespace(&told)) {
            Ok(context) => context?,
            Err(denial) => {
                self.denied(rule, live_path, &denial);
                return None;
            }
        };
        add(&mut context, told);
        let topic = rule.topic.as_deref();
        context.attributes.extend(topic.map(|it| Attribute::text(attribute::LOG_TOPIC, it)));
        Some(SourceSpec {
            context: Arc::new(context),
            rule: Arc::clone(&rule.name),
            sink: rule.sink,
            options: Arc::clone(&rule.options),
            fs: Arc::clone(&rule.fs),
            is_on_log_disk,
        })
    }

    /// Who it is, and whose: of a file in a volume of a log disk, its pod's, if that is of a `namespace`.
    fn context(
        &self,
        rule: &Rule,
        live_path: &Path,
        namespace: Option<&str>,
    ) -> Result<Option<Context>, Denial> {
        let context = |tenants: &TenantMap| rule.selection.context(&self.place, tenants, live_path);
        let told = |tenant: &Arc<str>| self.context_of(rule, live_path, tenant);
        if !self.tenants.is_empty() && rule.tenants.by_labels.is_some() {
            let Some(id) = self.id(rule, live_path) else { return Ok(None) };
            if let Some(tenant) = self.tenants.get(&id) {
                return Ok(told(tenant));
            }
        }
        Ok(match namespace {
            Some(namespace) => told(&rule.tenants.of_namespace(namespace)?),
            None => context(&rule.tenants),
        })
    }

    /// Which context the chain of that live file is: that does not depend on whose it is.
    pub(super) fn id(&self, rule: &Rule, live_path: &Path) -> Option<ContextId> {
        self.context_of(rule, live_path, &Arc::from("")).map(|it| it.id)
    }

    fn context_of(&self, rule: &Rule, live_path: &Path, tenant: &Arc<str>) -> Option<Context> {
        let tenants = TenantMap { fixed: Some(Arc::clone(tenant)), ..TenantMap::default() };
        rule.selection.context(&self.place, &tenants, live_path)
    }

    /// Tells a reader of the files of a chain; returns whether the chain is this rule's.
    pub(super) fn found(
        &mut self,
        (number, rules): (usize, &[Rule]),
        spec: SourceSpec,
        files: &[SeenFile],
        seen_ns: u64,
        opened: Opened,
    ) -> bool {
        let id = spec.context.id;
        if let Some(owners) = &mut self.owners {
            let owner = *owners.entry(id).or_insert(number);
            if owner != number {
                self.contested(owner, number, rules, &spec);
                return false;
            }
        }
        if rules[number].tenants.by_labels.is_some() {
            self.tenants.insert(id, Arc::clone(&spec.context.tenant));
        }
        let initial = self.is_initial.then(|| self.ahead.look(&spec.context.tenant));
        self.send(id, Command::Look { spec, files: files.to_vec(), seen_ns, opened, initial });
        true
    }

    /// Says once of two LogConfigs that they select the same, and who has it.
    fn contested(&mut self, owner: usize, number: usize, rules: &[Rule], spec: &SourceSpec) {
        if self.contests.len() < DENIALS_SAID_MAX && self.contests.insert((owner, number)) {
            let (context, has_it, second) = (&spec.context, &rules[owner].name, &spec.rule);
            tracing::warn!(%second, %has_it, %context, "selected twice; the other LogConfig has it");
        }
    }

    /// Tells a reader of a chain whose last file is gone.
    pub(super) fn gone(&mut self, rule: &Rule, live_path: &Path) {
        let Some(spec) = self.spec(rule, live_path) else { return };
        let id = spec.context.id;
        self.tenants.remove(&id);
        if let Some(owners) = &mut self.owners {
            owners.remove(&id);
        }
        let seen_ns = self.clock.monotonic_ns();
        let (files, opened) = (Vec::new(), self.none_opened());
        self.send(id, Command::Look { spec, files, seen_ns, opened, initial: None });
    }

    pub(super) fn send(&self, context: ContextId, command: Command) {
        let readers = self.readers.len() as u128;
        let index = usize::try_from(context.0 % readers).expect("below the number of readers");
        let reader = &self.readers[index];
        // Waits for a reader that is behind; a dead one ends the data plane anyway.
        drop(reader.commands.send(command));
        reader.unparker.unpark();
    }
}

/// Of which namespace the pod is that a log disk says it belongs to. Only who administers the machine has it say so.
pub(super) fn namespace(told: &[(String, String)]) -> Option<&str> {
    let fact = told.iter().find(|it| it.0 == attribute::K8S_NAMESPACE_NAME);
    fact.map(|it| it.1.as_str()).filter(|it| !it.is_empty())
}

/// Adds what a log disk says; what is known without it stays as it is.
fn add(context: &mut Context, told: Vec<(String, String)>) {
    for (key, value) in told {
        if context.get(&key).is_none() {
            context.attributes.push(Attribute::text(key, value));
        }
    }
}
