//! Arrival: opens what is not there, a sink or its spool, until it is. Shared by all shippers of the sink.

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
/// Opens it, or says why it cannot be opened now.
pub type Open<T> = Arc<dyn Fn() -> Result<T, String> + Send + Sync>;
/// Opens a sink.
pub type OpenSink = Open<Arrived>;

/// Where it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// On a thread of its own. It is on this machine: opening it takes no time, and keeps others from it; so it is
    /// waited for in the end.
    Local,
    /// On a thread of its own, which may be left alone.
    Remote,
    /// By who asks.
    Here,
}

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

/// A sink, or its spool, that is waited for.
pub struct Arrival<T = Arrived> {
    open: Open<T>,
    opening: Opening,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Why it is not there.
    why: String,
    pause_ns: u64,
    /// It is not opened before, by the monotonic clock.
    again_ns: u64,
    opening: Option<JoinHandle<()>>,
    there: Option<T>,
}

impl<T: fmt::Debug> fmt::Debug for Arrival<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Arrival<T> {
    /// What is absent as `why` says, and `open` opens.
    #[must_use]
    pub fn new(why: String, open: Open<T>, opening: Opening) -> Arc<Arrival<T>> {
        let thread = None;
        let state = State { why, pause_ns: PAUSE_NS, again_ns: 0, opening: thread, there: None };
        Arc::new(Arrival { open, opening, state: Mutex::new(state) })
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

    /// Looks at it once it is there.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().there.as_mut().map(look)
    }

    /// Opens it if it is time; returns when to ask again.
    pub(crate) fn tend(self: &Arc<Arrival<T>>, now_ns: u64) -> u64 {
        let mut state = self.lock();
        if let Some(opening) = &state.opening {
            if opening.is_finished() {
                state.opening = None;
                state.rest(now_ns);
            }
        } else if state.there.is_none() && now_ns >= state.again_ns {
            if self.opening == Opening::Here {
                state.take((self.open)());
                state.rest(now_ns);
                return state.again_ns;
            }
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
    pub(crate) fn leave(&self) {
        let opening = self.lock().opening.take();
        if let Some(opening) = opening.filter(|_| self.opening == Opening::Local) {
            // It said nothing if it died.
            drop(opening.join());
        }
    }

    /// What is known stays right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival<Arrived> {
    /// What its queue had of the context when it came.
    pub(super) fn had(&self, context: ContextId) -> Option<Had> {
        self.look(|it| Had::of(&it.read_back.as_mut()?.persisted(context))).flatten()
    }

    /// An end of it, once it is there.
    pub(super) fn make(&self, acks: AckSender) -> Option<Box<dyn Sink>> {
        let make = self.look(|it| Arc::clone(&it.make));
        make.map(|make| make(acks))
    }
}

impl<T> State<T> {
    /// It was opened, or was not.
    fn take(&mut self, opened: Result<T, String>) {
        match opened {
            Ok(there) => self.there = Some(there),
            Err(why) => self.why = why,
        }
    }

    /// It is not opened again for a while.
    fn rest(&mut self, now_ns: u64) {
        self.again_ns = now_ns.saturating_add(self.pause_ns);
        self.pause_ns = (self.pause_ns * 2).min(PAUSE_NS_MAX);
    }
}

/// What came of opening it; nobody may wait for it any more.
fn opened<T: Send + 'static>(arrival: &Weak<Arrival<T>>, opened: Result<T, String>) {
    let Some(arrival) = arrival.upgrade() else { return };
    arrival.lock().take(opened);
}
