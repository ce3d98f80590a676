//! Hold: what a supervisor has of the holder: the name of its connection, and a way to say so again.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::wire::{self, Message, NAME_BYTES_MAX, Verb};

/// Longest wait for the holder, which only keeps numbers.
const PATIENCE: Duration = Duration::from_millis(500);

/// One connection at the holder. It is attended to as long as this lives.
#[derive(Debug)]
pub struct Hold {
    holder: PathBuf,
    name: Vec<u8>,
    link: Option<OwnedFd>,
}

impl Hold {
    /// That of the volume in `folder` when it is mounted at `target`, with the holder that listens at `holder`.
    ///
    /// # Errors
    /// If the paths are too long.
    pub fn new(holder: &Path, folder: &Path, target: &Path) -> io::Result<Hold> {
        let mut name = OsString::from(folder).into_vec();
        name.push(0);
        name.extend_from_slice(target.as_os_str().as_bytes());
        if name.len() > NAME_BYTES_MAX {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        Ok(Hold { holder: holder.to_path_buf(), name, link: None })
    }

    /// Has the connection held, also if that was said before: the holder may have been started anew.
    ///
    /// # Errors
    /// If nobody holds it.
    pub fn hold(&mut self, connection: impl AsFd) -> io::Result<()> {
        let answer = self.ask(Verb::Hold, Some(connection.as_fd()))?;
        if answer.verb == Verb::Yes { Ok(()) } else { Err(io::Error::other("it has no room")) }
    }

    /// The connection that is held.
    ///
    /// # Errors
    /// If the holder does not answer.
    pub fn held(&mut self) -> io::Result<Option<OwnedFd>> {
        Ok(self.ask(Verb::Give, None)?.descriptor)
    }

    /// Has it let go: the mount is gone.
    ///
    /// # Errors
    /// If the holder does not answer.
    pub fn let_go(&mut self) -> io::Result<()> {
        self.ask(Verb::LetGo, None).map(drop)
    }

    fn ask(&mut self, verb: Verb, descriptor: Option<BorrowedFd<'_>>) -> io::Result<Message> {
        if let Some(link) = self.link.take()
            && let Ok(answer) = self.ask_by(link, verb, descriptor)
        {
            return Ok(answer);
        }
        // The holder was started anew, or this is the first question.
        let link = connect(&self.holder)?;
        self.ask_by(link, verb, descriptor)
    }

    fn ask_by(
        &mut self,
        link: OwnedFd,
        verb: Verb,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<Message> {
        wire::send(&link, verb, &self.name, descriptor)?;
        let answer = wire::receive(&link)?.ok_or(io::ErrorKind::ConnectionReset)?;
        self.link = Some(link);
        Ok(answer)
    }
}

fn connect(holder: &Path) -> io::Result<OwnedFd> {
    let link = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    for way in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(&link, way, Some(PATIENCE))?;
    }
    rustix::net::connect(&link, &SocketAddrUnix::new(holder)?)?;
    Ok(link)
}
