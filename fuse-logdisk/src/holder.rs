//! Holder: has a second descriptor of each connection, so that a mount outlives its supervisor.
//!
//! The kernel ends a connection of FUSE with its last descriptor. While this process has one, applications wait instead of
//! failing until the next supervisor asks for it: over a crash, or over an upgrade of the whole container. It
//! asks nothing of the kernel but to keep numbers, so that there is no reason to ever upgrade it. It cannot know whether a next
//! supervisor will come: what nobody attends to for some minutes is let go, and applications are told.
//!
//! One thread, which waits for all of them at once.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use flow::{Clock, SystemClock, nanoseconds};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

mod hold;
mod wire;

pub use hold::Hold;
use wire::{Message, Verb};

/// Most connections to this process, and most descriptors that are held.
const GUESTS_MAX: usize = 4096;
/// Longest wait for anything, after which it is looked whose time is over.
const LOOK: Duration = Duration::from_secs(1);

/// Holds what it is given until told to let it go, or until nobody has attended to it for `longest`.
///
/// # Errors
/// If nobody can be heard at `socket`.
pub fn run(socket: &Path, longest: Duration) -> anyhow::Result<()> {
    let listener = listen(socket).with_context(|| format!("{}", socket.display()))?;
    tracing::info!(socket = %socket.display(), "holding connections");
    let longest_ns = nanoseconds(longest);
    let mut holder = Holder { listener, guests: Vec::new(), held: HashMap::new(), longest_ns };
    loop {
        holder.step()?;
    }
}

/// A socket at a path, in place of what a process that has ended left there.
fn listen(path: &Path) -> io::Result<OwnedFd> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
    // Whoever gets in gets the descriptors.
    rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR)?;
    rustix::net::listen(&listener, 64)?;
    Ok(listener)
}

struct Holder {
    listener: OwnedFd,
    guests: Vec<Guest>,
    held: HashMap<Vec<u8>, Held>,
    longest_ns: u64,
}

/// A supervisor that is there.
struct Guest {
    socket: OwnedFd,
    /// What it attends to.
    name: Option<Vec<u8>>,
}

struct Held {
    connection: OwnedFd,
    /// Since when nobody attends to it.
    since_ns: Option<u64>,
}

impl Holder {
    /// Waits for something, and does it.
    fn step(&mut self) -> io::Result<()> {
        let ready = self.ready()?;
        // From behind, so that those that leave move nobody who is still to be looked at.
        for at in (0..self.guests.len()).rev() {
            if ready[at + 1] && !self.serve(at).unwrap_or(false) {
                self.leave(at);
            }
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if ready[0]
            && let Ok(socket) = rustix::net::accept_with(&self.listener, flags)
        {
            // One that is beyond the limit is told by the end of its connection.
            if self.guests.len() < GUESTS_MAX {
                self.guests.push(Guest { socket, name: None });
            }
        }
        self.let_go_of_what_is_over();
        Ok(())
    }

    /// Who has something to say: the listener, then the guests.
    fn ready(&self) -> io::Result<Vec<bool>> {
        let sockets =
            std::iter::once(&self.listener).chain(self.guests.iter().map(|it| &it.socket));
        let mut polled: Vec<_> =
            sockets.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)).collect();
        let limit = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        rustix::event::poll(&mut polled, Some(&limit))?;
        Ok(polled.iter().map(|it| !it.revents().is_empty()).collect())
    }

    /// Does what a guest asks; false if it has left.
    fn serve(&mut self, at: usize) -> io::Result<bool> {
        let guest = &mut self.guests[at];
        let Some(Message { verb, name, descriptor }) = wire::receive(&guest.socket)? else {
            return Ok(false);
        };
        let has_room = self.held.len() < GUESTS_MAX || self.held.contains_key(&name);
        match (verb, self.held.get_mut(&name), descriptor) {
            (Verb::Hold, None, Some(_)) if !has_room => {
                wire::send(&guest.socket, Verb::No, &[], None)?;
            }
            (Verb::Hold, _, Some(connection)) => {
                guest.name = Some(name.clone());
                if self.held.insert(name.clone(), Held { connection, since_ns: None }).is_none() {
                    tracing::info!(name = %String::from_utf8_lossy(&name), "held");
                }
                wire::send(&guest.socket, Verb::Yes, &[], None)?;
            }
            (Verb::Give, Some(held), _) => {
                (held.since_ns, guest.name) = (None, Some(name));
                wire::send(&guest.socket, Verb::Yes, &[], Some(held.connection.as_fd()))?;
            }
            (Verb::LetGo, Some(_), _) => {
                self.held.remove(&name);
                guest.name = None;
                wire::send(&guest.socket, Verb::Yes, &[], None)?;
            }
            _ => wire::send(&guest.socket, Verb::No, &[], None)?,
        }
        Ok(true)
    }

    /// A guest is gone; what it attended to waits for another.
    fn leave(&mut self, at: usize) {
        let guest = self.guests.swap_remove(at);
        let Some(name) = guest.name else { return };
        let is_attended = self.guests.iter().any(|it| it.name.as_ref() == Some(&name));
        if let Some(held) = self.held.get_mut(&name).filter(|_| !is_attended) {
            held.since_ns = Some(SystemClock.monotonic_ns());
        }
    }

    fn let_go_of_what_is_over(&mut self) {
        let now_ns = SystemClock.monotonic_ns();
        self.held.retain(|name, held| {
            let is_over = held.since_ns.is_some_and(|it| now_ns.saturating_sub(it) >= self.longest_ns);
            if is_over {
                let name = String::from_utf8_lossy(name);
                tracing::error!(%name, "nobody has come for it: what is written there fails from now on");
            }
            !is_over
        });
    }
}
