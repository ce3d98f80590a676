//! Resume: a session on a connection to the kernel that may have been in use before.
//!
//! The kernel says `FUSE_INIT` once in the life of a connection, and fuser begins with nothing else. So every session is
//! begun on a socket, to which the request that the kernel sent to the first daemon is written; the connection takes the
//! place of the socket then. What the daemon before was given and did not answer, the kernel is asked to send again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use fuser::{Config, Filesystem, Session, SessionACL};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Name of the file with the kernel's first request.
const INIT_NAME: &str = "init";
/// Room for the first request and its answer, in bytes: the kernel gives none to less than 8 KiB.
const INIT_BYTES_MAX: usize = 64 << 10;
/// Asks the kernel to send again what was not answered (`FUSE_NOTIFY_RESEND`, since Linux 6.9).
const RESEND: i32 = 7;

/// Forgets the first request of the connection before, for a new one.
///
/// # Errors
/// As `unlink`.
pub fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(INIT_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a daemon has begun with the connection.
#[must_use]
pub fn is_begun(folder: &Path) -> bool {
    folder.join(INIT_NAME).try_exists().unwrap_or(false)
}

/// What the kernel offered with its first request (`flags` and `flags2` of `fuse_init_in`, linux/fuse.h).
///
/// # Errors
/// If no daemon has begun.
pub fn offered(folder: &Path) -> io::Result<u64> {
    let init = std::fs::read(folder.join(INIT_NAME))?;
    let word = |at: usize| init.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    // The header has 40 bytes; version and readahead come before.
    let (low, high) = (word(52).unwrap_or(0), word(56).unwrap_or(0));
    Ok(u64::from(low) | u64::from(high) << 32)
}

/// Begins a session on `connection`, or goes on with it; `folder` is the volume's, which keeps the first request.
///
/// # Errors
/// If the kernel or fuser refuse.
pub fn session<F: Filesystem>(
    front: F,
    connection: OwnedFd,
    folder: &Path,
    threads: usize,
) -> io::Result<Session<F>> {
    let mut connection = File::from(connection);
    let is_resumed = is_begun(folder);
    let init = if is_resumed {
        std::fs::read(folder.join(INIT_NAME))?
    } else {
        let mut init = vec![0; INIT_BYTES_MAX];
        let len = connection.read(&mut init)?;
        init.truncate(len);
        init
    };
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::send(&ours, &init, SendFlags::empty())?;
    let mut config = Config::default();
    // One descriptor for all: requests that a thread has taken by one of its own would end with it.
    (config.n_threads, config.clone_fd) = (Some(threads), false);
    let session = Session::from_fd(front, theirs, SessionACL::All, config)?;
    if !is_resumed {
        let mut answer = vec![0; INIT_BYTES_MAX];
        let (len, _) = rustix::net::recv(&ours, answer.as_mut_slice(), RecvFlags::empty())?;
        connection.write_all(&answer[..len])?;
        let unfinished = folder.join("init.tmp");
        std::fs::write(&unfinished, &init)?;
        std::fs::rename(&unfinished, folder.join(INIT_NAME))?;
    }
    replace(&session, &connection)?;
    if is_resumed {
        let mut resend = Vec::with_capacity(16);
        resend.extend_from_slice(&16_u32.to_ne_bytes());
        resend.extend_from_slice(&RESEND.to_ne_bytes());
        resend.extend_from_slice(&0_u64.to_ne_bytes());
        match connection.write_all(&resend) {
            // An older kernel: what the daemon before had taken and not answered fails when the mount ends.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                tracing::warn!("this kernel cannot send requests again; it can from 6.9 on");
            }
            other => other?,
        }
    }
    Ok(session)
}

/// Has the session use the connection from now on.
fn replace<F: Filesystem>(session: &Session<F>, connection: &File) -> io::Result<()> {
    let number = session.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "fuser cannot begin with a connection that is in use")]
    // SAFETY: the number is that of the descriptor which `session` owns and keeps open over this call, whatever it
    // refers to; it is not closed here, since the value is never dropped. No thread uses it yet.
    let mut socket = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup3(connection, &mut socket, rustix::io::DupFlags::CLOEXEC)?;
    Ok(())
}
