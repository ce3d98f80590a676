//! Facts: what is known of objects, by a name of each, and told to who waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// What is known of one object.
pub trait Fact: Clone + PartialEq {
    /// What it is known by; no other object ever has it at the same time.
    fn key(&self) -> &str;
}

/// Told when anything is new.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// What is known of the objects of a kind.
pub struct Facts<T> {
    by_key: RwLock<HashMap<String, Arc<T>>>,
    /// Raised after each change.
    version: AtomicU64,
    listener: Mutex<Option<Listener>>,
}

impl<T> Default for Facts<T> {
    fn default() -> Facts<T> {
        Facts { by_key: RwLock::default(), version: AtomicU64::new(0), listener: Mutex::default() }
    }
}

impl<T> std::fmt::Debug for Facts<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").field("count", &self.by_key().len()).finish_non_exhaustive()
    }
}

impl<T> Facts<T> {
    /// What is known by that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<T>> {
        self.by_key().get(key).cloned()
    }

    /// Another number whenever something is new or has changed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Calls `listener`, and none from before, whenever something is new or has changed; on the thread of the
    /// watch, so that it must not wait for anything.
    pub fn listen(&self, listener: impl Fn() + Send + Sync + 'static) {
        *self.listener() = Some(Arc::new(listener));
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<T>> {
        self.by_key().values().cloned().collect()
    }

    fn by_key(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<T>>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, key: &str) {
        self.by_key.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<T: Fact> Facts<T> {
    /// Those known from before; whatever the API server says of one of them counts more.
    #[must_use]
    pub fn restored(all: Vec<T>) -> Facts<T> {
        let by_key = all.into_iter().map(|it| (it.key().to_owned(), Arc::new(it))).collect();
        Facts { by_key: RwLock::new(by_key), ..Facts::default() }
    }

    /// Keeps what is known of an object; returns whether anything of it is new.
    pub(crate) fn put(&self, fact: T) -> bool {
        if self.by_key().get(fact.key()).is_some_and(|it| **it == fact) {
            return false;
        }
        let fact = Arc::new(fact);
        let mut by_key = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        by_key.insert(fact.key().to_owned(), fact);
        drop(by_key);
        self.version.fetch_add(1, Ordering::Release);
        // Not called under the lock: it may ask for others.
        let listener = self.listener().clone();
        if let Some(listener) = listener {
            listener();
        }
        true
    }
}
