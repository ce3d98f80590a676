//! Deadline: a moment until which something may be waited for.

use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

/// Rest between two looks at what is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A moment of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Duration,
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::from_secs(now.tv_sec.unsigned_abs())
        + Duration::from_nanos(now.tv_nsec.unsigned_abs())
}

impl Deadline {
    /// The moment that is `wait` from now.
    #[must_use]
    pub fn after(wait: Duration) -> Deadline {
        Deadline { end: now() + wait }
    }

    /// What is left; `None` once it is over.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.end.checked_sub(now()).filter(|left| !left.is_zero())
    }
}

/// Looks again and again until `look` finds something, and returns that.
///
/// # Errors
///
/// What was last looked at, if `wait` is over before.
pub fn wait_until<T>(what: &str, wait: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Deadline::after(wait);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if deadline.left().is_none() => {
                return Err(error.context(format!("{what}: not within {wait:?}")));
            }
            Err(_) => thread::sleep(LOOK_INTERVAL),
        }
    }
}

/// Fails the test if something took `max` or longer.
///
/// In the words of a wait that ended: `scripts/test.sh` runs such a test once more, as a busy machine is late with
/// everything.
///
/// # Panics
///
/// If it took that long.
#[track_caller]
pub fn assert_within(what: &str, took: Duration, max: Duration) {
    assert!(took < max, "{what}: not within {max:?}, but {took:?}");
}

/// The value if it is as it should be.
///
/// # Errors
///
/// The value, if it is not.
pub fn when<T: Debug>(is_right: bool, value: T) -> Result<T> {
    if !is_right {
        bail!("it is {value:?}");
    }
    Ok(value)
}
