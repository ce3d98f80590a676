//! Containers: what the runtime said last of all containers of the node.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::Container;

/// Told when there is another table.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// All containers of the node; empty as long as the runtime never answered.
#[derive(Default)]
pub struct Containers {
    all: RwLock<Arc<[Arc<Container>]>>,
    /// Raised after each change.
    version: AtomicU64,
    is_answered: AtomicBool,
    listener: Mutex<Option<Listener>>,
}

impl std::fmt::Debug for Containers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Containers").field("count", &self.all().len()).finish_non_exhaustive()
    }
}

impl Containers {
    /// All of them, by id.
    #[must_use]
    pub fn all(&self) -> Arc<[Arc<Container>]> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another number whenever one is new, has changed or is gone.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether the runtime answered when it was asked last.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_answered(&self, is_answered: bool) {
        self.is_answered.store(is_answered, Ordering::Relaxed);
    }

    /// Calls `listener`, and none from before, after each change; on the thread of the watch, so that it must not wait
    /// for anything.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(listener));
    }

    /// Takes what the runtime says now.
    pub(crate) fn set(&self, all: Vec<Arc<Container>>) {
        if *self.all() == *all {
            return;
        }
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all.into();
        self.version.fetch_add(1, Ordering::Release);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener();
        }
    }
}
