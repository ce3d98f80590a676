//! Lock: of those that may have a volume, or all of them, one at a time has it.

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

/// A lock that this process may have, or get; let go when it is dropped.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// The lock at `path`, which nobody has by that.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn at(path: &Path) -> io::Result<Lock> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(Lock(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// Takes it, if nobody else has it.
    ///
    /// # Errors
    /// If somebody has it.
    pub fn try_take(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive)?)
    }
}

/// Takes the lock `name` of the volume in `folder`; who has it may be at its end, and is waited for so long.
///
/// # Errors
/// If somebody has it all the time, or it cannot be made.
pub fn take(folder: &Path, name: &str, longest: Duration) -> io::Result<Lock> {
    let lock = Lock::at(&folder.join(name))?;
    let mut looks = longest.as_millis() / LOOK.as_millis();
    while let Err(error) = lock.try_take() {
        if looks == 0 {
            return Err(error);
        }
        looks -= 1;
        thread::sleep(LOOK);
    }
    Ok(lock)
}
