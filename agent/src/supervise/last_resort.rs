//! Last resort: ends the process when a stop takes longer than it may.
//!
//! The supervisor hears a signal between two things that it does. One of them, to start a data plane, asks
//! disks and brokers, and they take as long as they like. So a thread of its own hears the signal as well,
//! and counts. To end at once is what a kill does: nothing is lost or doubled.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow::nanoseconds;
use tokio::runtime::Builder;

use super::Signals;
use crate::exit::Exit;

/// How much longer than the grace a stop may take: a data plane leaves threads that hang behind two seconds
/// after it, and then says what became of all.
const BEYOND: Duration = Duration::from_secs(3);

/// How long a stop may take, by the configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct Grace(Arc<AtomicU64>);

impl Grace {
    pub(crate) fn new(grace: Duration) -> Grace {
        let new = Grace(Arc::default());
        new.set(grace);
        new
    }

    /// Another configuration is in force.
    pub(crate) fn set(&self, grace: Duration) {
        self.0.store(nanoseconds(grace), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// From the first signal to end on, the process has so long.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn watch(&self) -> io::Result<()> {
        let grace = self.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(async {
                let Ok(mut signals) = Signals::listen() else { return };
                signals.end().await;
                tokio::time::sleep(grace.get() + BEYOND).await;
                tracing::error!("the stop takes longer than `shutdownGrace`; ending at once");
                std::process::exit(Exit::Unfinished as i32);
            });
        };
        std::thread::Builder::new()
            .name("lf-end".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(body)?;
        Ok(())
    }
}

/// Stack of the thread, in bytes.
const STACK_BYTES: usize = 256 << 10;
