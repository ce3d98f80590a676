//! Place: a loopback address that no other server of a test has, and a range of ports on it.
//!
//! Ports that are free now may be taken before a server binds them, or while it is down. So nothing is searched for: all
//! of 127.0.0.0/8 is local, and a process has an address to itself by its number.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, ensure};

/// The first port. Below those that Linux gives to outgoing connections (from 32768).
const FIRST_PORT: u16 = 20_000;

/// An address and a range of ports.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The address.
    pub address: Ipv4Addr,
    /// The first port of the range.
    pub first_port: u16,
}

/// The places of one kit in this process.
#[derive(Debug)]
pub struct Places {
    second_byte: u8,
    ports: u16,
    count_max: u16,
    next: AtomicU16,
}

impl Places {
    /// At most `count_max` places with so many ports each, at addresses whose second byte begins at `second_byte`: each
    /// kit has its own, 64 apart, and none has 0, which is 127.0.0.1's.
    #[must_use]
    pub const fn new(second_byte: u8, ports: u16, count_max: u16) -> Places {
        Places { second_byte, ports, count_max, next: AtomicU16::new(0) }
    }

    /// The next place.
    ///
    /// # Errors
    /// If there were too many.
    pub fn take(&self) -> Result<Place> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let count_max = self.count_max;
        ensure!(number < count_max, "a process can have {count_max} of them; this is one more");
        // Linux has at most 2^22 processes.
        let [_, high, middle, low] = process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, self.second_byte | (high & 0x3f), middle, low);
        Ok(Place { address, first_port: FIRST_PORT + number * self.ports })
    }
}
