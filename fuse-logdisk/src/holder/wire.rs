//! Wire: what a supervisor and the holder say to each other: packets of a verb and a name, some with a descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Longest name, in bytes: two paths.
pub(super) const NAME_BYTES_MAX: usize = 8192;

/// What is asked, and what is answered. These bytes never change: one side may be years older than the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verb {
    /// Hold this descriptor.
    Hold = b'h',
    /// Give what is held.
    Give = b'g',
    /// Let go of what is held.
    LetGo = b'l',
    /// Done; with the descriptor that was asked for.
    Yes = b'y',
    /// There is none, or no room for one more.
    No = b'n',
}

impl Verb {
    const ALL: [Verb; 5] = [Verb::Hold, Verb::Give, Verb::LetGo, Verb::Yes, Verb::No];

    fn of(byte: u8) -> io::Result<Verb> {
        let known = Verb::ALL.into_iter().find(|it| *it as u8 == byte);
        known.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown verb"))
    }
}

/// One packet.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) verb: Verb,
    pub(super) name: Vec<u8>,
    pub(super) descriptor: Option<OwnedFd>,
}

pub(super) fn send(
    socket: impl AsFd,
    verb: Verb,
    name: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let verb = [verb as u8];
    let parts = [IoSlice::new(&verb), IoSlice::new(name)];
    rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next packet; `None` if there will be no more.
pub(super) fn receive(socket: impl AsFd) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 1 + NAME_BYTES_MAX];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|it| match it {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let Some((verb, name)) = bytes[..received.bytes].split_first() else { return Ok(None) };
    Ok(Some(Message { verb: Verb::of(*verb)?, name: name.to_vec(), descriptor }))
}
