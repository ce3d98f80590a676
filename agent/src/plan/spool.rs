//! Spool: from the agent's settings to where each sink's payloads are kept that it does not take.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crd::{Settings, TenantSettings};
use flow::{AckSender, Clock, ReadBack, Sink};
use pipeline::shipper::{DrainPace, SpoolParts};
use sink::spool::{Held, SpoolEnd, SpoolRoom, SpoolStore, TenantRooms, survey};

/// What the spools of all sinks share.
#[derive(Debug)]
pub(super) struct Spools {
    path: PathBuf,
    room: Arc<SpoolRoom>,
    pace: Arc<DrainPace>,
    shards: usize,
}

impl Spools {
    /// None if the agent has no spool.
    pub(super) fn of(settings: &Settings) -> Option<Spools> {
        let spool = settings.agent.spool.as_ref()?;
        let own = |it: &TenantSettings| Some((Arc::from(&*it.name), it.spool_bytes_max?));
        let priority = |it: &TenantSettings| (Arc::from(&*it.name), it.priority);
        let tenants = TenantRooms {
            bytes_max: settings.tenants.iter().filter_map(own).collect(),
            priorities: settings.tenants.iter().map(priority).collect(),
        };
        Some(Spools {
            path: spool.path.clone(),
            room: SpoolRoom::with_tenants(spool.bytes_max, spool.bytes_per_tenant_max, tenants),
            pace: DrainPace::new(spool.drain_bytes_per_second),
            shards: settings.agent.shippers,
        })
    }

    /// Whether the spool of a sink holds anything, or that cannot be told.
    pub(super) fn owes(&self, sink: &str) -> bool {
        let is_empty = |it: &Held| it.payloads + it.problems == 0;
        !survey(&self.path.join(sink)).is_ok_and(|all| all.iter().all(is_empty))
    }

    /// Opens the spool of a sink. One that cannot be used is said, and the sink goes on without.
    pub(super) fn open(
        &self,
        sink: &Arc<str>,
        is_by_section: bool,
        clock: &Arc<dyn Clock>,
        read_back: &mut Option<Box<dyn ReadBack>>,
    ) -> Option<OpenSpool> {
        let dir = self.path.join(&**sink);
        let opened = flow::make_folder(&dir).map_err(anyhow::Error::from);
        let opened = opened.and_then(|()| self.open_store(&dir, sink, clock, read_back));
        match opened {
            Ok(store) => {
                let (pace, clock) = (Arc::clone(&self.pace), Arc::clone(clock));
                Some(OpenSpool { store, is_by_section, pace, clock })
            }
            Err(error) => {
                let (sink, path) = (&**sink, dir.display());
                tracing::error!(sink, %path, "no spool: {error:#}; what the sink does not take waits in the files");
                None
            }
        }
    }

    fn open_store(
        &self,
        dir: &Path,
        sink: &Arc<str>,
        clock: &Arc<dyn Clock>,
        read_back: &mut Option<Box<dyn ReadBack>>,
    ) -> anyhow::Result<Arc<SpoolStore>> {
        let (store, both) = SpoolStore::open(dir, sink, &self.room, self.shards, clock, read_back)?;
        *read_back = Some(Box::new(both));
        Ok(store)
    }
}

/// The spool of one sink.
#[derive(Debug, Clone)]
pub(super) struct OpenSpool {
    pub(super) store: Arc<SpoolStore>,
    /// The sink takes sections that are compressed one by one.
    is_by_section: bool,
    pace: Arc<DrainPace>,
    clock: Arc<dyn Clock>,
}

impl OpenSpool {
    /// The parts of a shipper, and what its sink completes tickets through. `make` makes the sink once more.
    pub(super) fn parts(
        &self,
        shard: usize,
        acks: AckSender,
        make: impl FnOnce(AckSender) -> Box<dyn Sink>,
    ) -> (SpoolParts, AckSender) {
        let store = Arc::clone(&self.store);
        let (end, drained) = SpoolEnd::new(store, shard, Arc::clone(&self.clock), acks.clone());
        let end = if self.is_by_section { end.by_section() } else { end };
        let parts =
            SpoolParts { spool: Box::new(end), sink: make(drained), pace: Arc::clone(&self.pace) };
        (parts, acks.beside(self.store.noted()))
    }
}
