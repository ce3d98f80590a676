//! Place: a loopback address that no other server of a test has.
//!
//! Ports that are free now may be taken before a server binds them, or while it is down. So nothing is searched for: all
//! of 127.0.0.0/8 is local, and a process has a range of it to itself by its number.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, ensure};

/// The first port. Below those that Linux gives to outgoing connections (from 32768).
const FIRST_PORT: u16 = 20_000;
/// Ports of one place.
const PORTS: u16 = 8;
/// Places that one process can have in its life.
const PLACES_MAX: u16 = 1_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address and a range of ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    address: Ipv4Addr,
    first_port: u16,
}

impl Place {
    /// The next place of this process.
    ///
    /// # Errors
    ///
    /// If it had too many.
    pub(crate) fn new() -> Result<Place> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(number < PLACES_MAX, "a process can have {PLACES_MAX} API servers");
        // Linux has at most 2^22 processes. The second byte begins at 128, away from other kits.
        let [_, high, middle, low] = process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 128 | (high & 0x3f), middle, low);
        Ok(Place { address, first_port: FIRST_PORT + number * PORTS })
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        self.address
    }

    /// One of its ports, from 0.
    pub(crate) fn port(self, index: u16) -> SocketAddrV4 {
        assert!(index < PORTS, "a place has {PORTS} ports");
        SocketAddrV4::new(self.address, self.first_port + index)
    }
}
