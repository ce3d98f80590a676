//! Place: the address and the ports of an API server.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result};
use test_kit::Places;

/// Ports of one place.
const PORTS: u16 = 8;

static PLACES: Places = Places::new(128, PORTS, 1_000);

/// An address and a range of ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(test_kit::Place);

impl Place {
    /// The next place of this process.
    ///
    /// # Errors
    ///
    /// If it had too many.
    pub(crate) fn new() -> Result<Place> {
        PLACES.take().map(Place).context("API servers")
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        self.0.address
    }

    /// One of its ports, from 0.
    pub(crate) fn port(self, index: u16) -> SocketAddrV4 {
        assert!(index < PORTS, "a place has {PORTS} ports");
        SocketAddrV4::new(self.0.address, self.0.first_port + index)
    }
}
