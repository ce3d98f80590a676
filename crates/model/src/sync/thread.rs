//! Thread: loom's, with a stack on which the queue has room.

use std::fmt;
use std::io;

/// Stack of a thread, in words: the queue formats paths and makes system calls.
const STACK_WORDS: usize = 1 << 15;

/// Begins a thread.
#[derive(Debug)]
pub struct Builder(loom::thread::Builder);

/// Waits for its end.
pub struct JoinHandle<T>(loom::thread::JoinHandle<T>);

impl Builder {
    /// Without a name.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "as the standard library has it")]
    pub fn new() -> Builder {
        Builder(loom::thread::Builder::new().stack_size(STACK_WORDS))
    }

    /// With a name.
    #[must_use]
    pub fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    /// Begins it.
    ///
    /// # Errors
    /// Never: loom's threads are no threads of the system.
    pub fn spawn<T: Send + 'static>(
        self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        self.0.spawn(body).map(JoinHandle)
    }
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end.
    ///
    /// # Errors
    /// If it panicked.
    pub fn join(self) -> std::thread::Result<T> {
        self.0.join()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinHandle")
    }
}

/// A thread without a name.
///
/// # Panics
/// Never: see [`Builder::spawn`].
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(body).expect("loom's threads are no threads of the system")
}
