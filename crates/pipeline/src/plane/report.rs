//! Report: where every source stands, asked for apart from the plane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::bounded;
use flow::ContextId;

use super::run::Flags;
use crate::discovery::ReaderDoor;
use crate::lane::{LaneDirectory, LaneKey};
use crate::limits::Limits;
use crate::reader::{Ask, ChainsAsked, Command, DiscoveryDoor, ShortFolder};
use crate::source::{Resting, Source, SourceReport, StartAt};

/// How long a report waits for a reader, or for discovery.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sources at rest of which discovery is asked at a time: some 1 MiB of names.
const RESTING_PIECE: usize = 512;

/// Asks readers where their sources stand.
#[derive(Debug, Clone)]
pub struct Reporter {
    readers: Vec<ReaderDoor>,
    discovery: DiscoveryDoor,
    flags: Arc<Flags>,
    limits: Arc<Limits>,
    lanes: Arc<LaneDirectory>,
}

impl Reporter {
    pub(super) fn new(
        readers: Vec<ReaderDoor>,
        discovery: DiscoveryDoor,
        flags: Arc<Flags>,
        (limits, lanes): (Arc<Limits>, Arc<LaneDirectory>),
    ) -> Reporter {
        Reporter { readers, discovery, flags, limits, lanes }
    }

    /// Bytes that tenants owe to their limits, of those that have one.
    #[must_use]
    pub fn limit_debts(&self, now_ns: u64) -> Vec<(Arc<str>, u64)> {
        self.limits.debts(now_ns)
    }

    /// All lanes, and since when the sink refuses their payloads, if it does.
    #[must_use]
    pub fn lanes(&self) -> Vec<(LaneKey, Option<u64>)> {
        self.lanes.states()
    }

    /// Whether the first scan has been passed on to the readers.
    #[must_use]
    pub fn is_scanned(&self) -> bool {
        self.flags.is_scanned.load(Ordering::Acquire)
    }

    /// Where every source stands, one by one; without those of which nobody answers in time. Of very many sources, all
    /// reports would be more memory than all that is known of them.
    pub fn report_each(&self, mut each: impl FnMut(SourceReport)) {
        let mut resting = Vec::new();
        for reader in &self.readers {
            let (sender, receiver) = bounded(1);
            if reader.commands.try_send(Command::Report(sender)).is_err() {
                continue;
            }
            reader.unparker.unpark();
            let report = receiver.recv_timeout(TIMEOUT).unwrap_or_default();
            report.awake.into_iter().for_each(&mut each);
            resting.extend(report.resting.into_iter().map(|(context, it)| (context, Some(it))));
        }
        self.report_resting(resting, each);
    }

    /// Directories with files that wait for memory to know them by; none if discovery does not answer in time.
    #[must_use]
    pub fn short_folders(&self) -> Vec<ShortFolder> {
        let (sender, receiver) = bounded(1);
        self.discovery.ask(Ask::Short(sender));
        receiver.recv_timeout(TIMEOUT).unwrap_or_default()
    }

    /// What their reports would be if they were awake, and knew of their files.
    fn report_resting(
        &self,
        mut resting: Vec<(ContextId, Option<Resting>)>,
        mut each: impl FnMut(SourceReport),
    ) {
        resting.sort_unstable_by_key(|it| it.0);
        let contexts: Arc<[ContextId]> = resting.iter().map(|it| it.0).collect();
        let mut after = None;
        while !contexts.is_empty() {
            let (answer, receiver) = bounded(1);
            let contexts = Arc::clone(&contexts);
            let asked = ChainsAsked { contexts, after, max: RESTING_PIECE, answer };
            self.discovery.ask(Ask::Chains(Box::new(asked)));
            let Ok(shown) = receiver.recv_timeout(TIMEOUT) else { return };
            for (spec, files) in shown.chains {
                let index = resting.binary_search_by_key(&spec.context.id, |it| it.0);
                // Shown before, if its directory is a new one of the same name.
                let Some(rested) = index.ok().and_then(|it| resting[it].1.take()) else { continue };
                let fs = Arc::clone(&spec.fs);
                let mut source = Source::wake(rested, spec, &files, Arc::default(), Arc::default());
                source.open_max = 0;
                source.reconcile(&*fs, &files, u64::MAX, StartAt::Beginning, 0);
                each(source.report());
            }
            after = shown.next;
            if after.is_none() {
                return;
            }
        }
    }
}
