//! Parker: a thread sleeps until a token is there, and takes it. It never wakes by itself.

use std::sync::{Arc, PoisonError};

use super::{Condvar, Mutex, MutexGuard};

#[derive(Debug, Default)]
struct Token {
    is_there: Mutex<bool>,
    changed: Condvar,
}

impl Token {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the one who sleeps.
#[derive(Debug, Default)]
pub struct Parker {
    unparker: Unparker,
}

/// The end of those who wake.
#[derive(Debug, Clone, Default)]
pub struct Unparker(Arc<Token>);

impl Parker {
    /// Without a token.
    #[must_use]
    pub fn new() -> Parker {
        Parker::default()
    }

    /// Whoever has it can wake this one.
    #[must_use]
    pub fn unparker(&self) -> &Unparker {
        &self.unparker
    }

    /// Sleeps until the token is there, and takes it.
    pub fn park(&self) {
        let token = &self.unparker.0;
        let mut is_there = token.lock();
        while !*is_there {
            is_there = token.changed.wait(is_there).unwrap_or_else(PoisonError::into_inner);
        }
        *is_there = false;
    }
}

impl Unparker {
    /// Puts the token there.
    pub fn unpark(&self) {
        *self.0.lock() = true;
        self.0.changed.notify_all();
    }
}
