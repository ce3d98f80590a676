//! Lock: of those that may have a volume, one at a time has it.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Name of the lock of supervisors, in the volume's folder.
pub const SUPERVISOR: &str = "lock";
/// Name of the lock of daemons. One that is killed with its supervisor may answer on for some milliseconds after that has let go
/// of its own: what it still does would be unknown to the next one.
pub const DAEMON: &str = "daemon.lock";

/// Takes the lock `name` of the volume in `folder`, for as long as what is returned lives; who has it may be at its end, and
/// is waited for so long.
///
/// # Errors
/// If somebody has it all the time, or it cannot be made.
pub fn take(folder: &Path, name: &str, longest: Duration) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let lock = rustix::fs::open(folder.join(name), flags, Mode::RUSR | Mode::WUSR)?;
    let mut looks = longest.as_millis() / LOOK.as_millis();
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if looks == 0 {
            return Err(error.into());
        }
        looks -= 1;
        thread::sleep(LOOK);
    }
    Ok(lock)
}
