//! Spool: from the agent's settings to where each sink's payloads are kept that it does not take.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crd::{Settings, TenantSettings};
use flow::{AckSender, Clock, ReadBack, Sink};
use pipeline::shipper::{DrainPace, SpoolParts};
use sink::late::Opening;
use sink::spool::{
    Held, HeldFor, LateEnds, LateSpool, MakeEnd, OpenedSpool, SharedReadBack, SpoolEnd, SpoolRoom,
    SpoolStore, TenantRooms, survey,
};

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

    /// Opens the spool of a sink. One that cannot be opened is opened later.
    pub(super) fn open(
        &self,
        sink: &Arc<str>,
        is_by_section: bool,
        clock: &Arc<dyn Clock>,
        read_back: &mut Option<Box<dyn ReadBack>>,
    ) -> SinkSpool {
        let open = {
            let (dir, sink) = (self.path.join(&**sink), Arc::clone(sink));
            let (room, shards, clock) = (Arc::clone(&self.room), self.shards, Arc::clone(clock));
            move |read_back: &mut Option<Box<dyn ReadBack>>| {
                open_store(&dir, &sink, &room, shards, &clock, read_back)
            }
        };
        let state = match open(read_back) {
            Ok((store, both)) => {
                *read_back = Some(Box::new(both));
                State::Open(store)
            }
            Err(why) => {
                let of_sink = read_back.take().map(SharedReadBack::new);
                let own: Option<Box<dyn ReadBack>> =
                    of_sink.clone().map(|it| Box::new(it) as Box<dyn ReadBack>);
                *read_back = own;
                let open =
                    move || open(&mut of_sink.clone().map(|it| Box::new(it) as Box<dyn ReadBack>));
                let held_for = HeldFor::by_survey(&self.path.join(&**sink));
                State::Late(LateSpool::new(why, held_for, Arc::new(open), Opening::Local))
            }
        };
        SinkSpool { state, is_by_section, pace: Arc::clone(&self.pace), clock: Arc::clone(clock) }
    }
}

fn open_store(
    dir: &Path,
    sink: &Arc<str>,
    room: &Arc<SpoolRoom>,
    shards: usize,
    clock: &Arc<dyn Clock>,
    read_back: &mut Option<Box<dyn ReadBack>>,
) -> Result<OpenedSpool, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", dir.display());
    flow::make_folder(dir).map_err(|it| told(&it))?;
    SpoolStore::open(dir, sink, room, shards, clock, read_back).map_err(|it| told(&it))
}

/// The spool of one sink.
#[derive(Debug, Clone)]
pub(super) struct SinkSpool {
    pub(super) state: State,
    /// The sink takes sections that are compressed one by one.
    is_by_section: bool,
    pace: Arc<DrainPace>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Open(Arc<SpoolStore>),
    /// It cannot be opened yet.
    Late(Arc<LateSpool>),
}

impl SinkSpool {
    /// A shipper's parts, and its sink, of which these make ends: for what is drained, and for what goes past the spool.
    pub(super) fn parts(
        &self,
        shard: usize,
        acks: AckSender,
        (drain, direct): (MakeEnd<'_>, MakeEnd<'_>),
    ) -> (SpoolParts, Box<dyn Sink>) {
        let (clock, pace) = (Arc::clone(&self.clock), Arc::clone(&self.pace));
        match &self.state {
            State::Open(store) => {
                let (end, drained) = SpoolEnd::new(Arc::clone(store), shard, clock, acks.clone());
                let end = if self.is_by_section { end.by_section() } else { end };
                let parts = SpoolParts { spool: Box::new(end), sink: drain(drained), pace };
                (parts, direct(acks.beside(store.noted())))
            }
            State::Late(late) => {
                let of = (shard, self.is_by_section);
                let make = (drain, direct);
                let LateEnds { spool, drain, direct } = LateEnds::new(late, of, clock, acks, make);
                (SpoolParts { spool, sink: drain, pace }, direct)
            }
        }
    }
}
