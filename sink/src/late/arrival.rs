//! Arrival: opens a sink that is not there, until it is. Shared by all shippers of the sink.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use flow::{AckSender, ContextId, ReadBack, Sink};

use super::Had;

/// First and longest pause before the sink is opened again, in nanoseconds.
///
/// 5 s: of an outage of minutes that is nothing, and brokers are asked by each node.
const PAUSE_NS: u64 = 500_000_000;
const PAUSE_NS_MAX: u64 = 5_000_000_000;
/// Time between two looks at whether it is open, in nanoseconds.
const LOOK_NS: u64 = 50_000_000;

/// Makes a shipper's own end of a sink.
pub type MakeSink = Arc<dyn Fn(AckSender) -> Box<dyn Sink> + Send + Sync>;
/// Opens a sink, or says why it cannot be opened now. Called on a thread of its own.
pub type OpenSink = Arc<dyn Fn() -> Result<Arrived, String> + Send + Sync>;

/// A sink that is there.
pub struct Arrived {
    /// Makes its ends.
    pub make: MakeSink,
    /// What its queue held when it was opened; none if it cannot be asked.
    pub read_back: Option<Box<dyn ReadBack>>,
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrived").field("read_back", &self.read_back).finish_non_exhaustive()
    }
}

/// A sink that is waited for.
pub struct Arrival {
    open: OpenSink,
    /// It is on this machine: opening it takes no time, and keeps others from it.
    is_local: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Why it is not there.
    why: String,
    pause_ns: u64,
    /// It is not opened before, by the monotonic clock.
    again_ns: u64,
    opening: Option<JoinHandle<()>>,
    there: Option<Arrived>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Arrival {
    /// A sink that is absent as `why` says, and that `open` opens. One that `is_local` is not left while it is
    /// being opened.
    #[must_use]
    pub fn new(why: String, open: OpenSink, is_local: bool) -> Arc<Arrival> {
        let (opening, there) = (None, None);
        let state = State { why, pause_ns: PAUSE_NS, again_ns: 0, opening, there };
        Arc::new(Arrival { open, is_local, state: Mutex::new(state) })
    }

    /// Whether it has come.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.lock().there.is_some()
    }

    /// Why it was not there when it was opened last.
    #[must_use]
    pub fn why(&self) -> String {
        self.lock().why.clone()
    }

    /// What its queue had of the context when it came.
    pub(super) fn had(&self, context: ContextId) -> Option<Had> {
        let mut state = self.lock();
        let read_back = state.there.as_mut()?.read_back.as_mut()?;
        Had::of(&read_back.persisted(context))
    }

    /// An end of it, once it is there.
    pub(super) fn make(&self, acks: AckSender) -> Option<Box<dyn Sink>> {
        let make = self.lock().there.as_ref().map(|it| Arc::clone(&it.make));
        make.map(|make| make(acks))
    }

    /// Opens it if it is time; returns when to ask again.
    pub(super) fn tend(self: &Arc<Arrival>, now_ns: u64) -> u64 {
        let mut state = self.lock();
        if let Some(opening) = &state.opening {
            if opening.is_finished() {
                state.opening = None;
                state.again_ns = now_ns.saturating_add(state.pause_ns);
                state.pause_ns = (state.pause_ns * 2).min(PAUSE_NS_MAX);
            }
        } else if state.there.is_none() && now_ns >= state.again_ns {
            let (open, arrival) = (Arc::clone(&self.open), Arc::downgrade(self));
            let body = move || opened(&arrival, open());
            let thread = std::thread::Builder::new().name("lf-late".to_owned()).spawn(body);
            match thread {
                Ok(thread) => state.opening = Some(thread),
                Err(error) => {
                    state.why = format!("no thread to open it: {error}");
                    state.again_ns = now_ns.saturating_add(PAUSE_NS_MAX);
                }
            }
        }
        if state.opening.is_some() { now_ns + LOOK_NS } else { state.again_ns }
    }

    /// A shipper ends: what is being opened on this machine is not in the way of who opens it next.
    pub(super) fn leave(&self) {
        let opening = self.lock().opening.take();
        if let Some(opening) = opening.filter(|_| self.is_local) {
            // It said nothing if it died.
            drop(opening.join());
        }
    }

    /// What is known stays right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of opening it; nobody may wait for it any more.
fn opened(arrival: &Weak<Arrival>, opened: Result<Arrived, String>) {
    let Some(arrival) = arrival.upgrade() else { return };
    let mut state = arrival.lock();
    match opened {
        Ok(there) => state.there = Some(there),
        Err(why) => state.why = why,
    }
}
