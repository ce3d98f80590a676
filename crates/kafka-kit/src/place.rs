//! Place: a loopback address that no other cluster has, and a port on it for everything.
//!
//! Ports that are free now may be taken before a broker binds them, or while it is down. So nothing is
//! searched for: all of 127.0.0.0/8 is local, and a process has an address to itself by its number.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};

use crate::listener::Listener;

/// Most brokers of a cluster.
pub(crate) const BROKERS_MAX: u32 = 7;
/// Ports of one broker.
const BROKER_PORTS: u16 = 16;
/// Ports of one cluster.
const CLUSTER_PORTS: u16 = 128;
/// The first port. Below those that Linux gives to outgoing connections (from 32768).
const FIRST_PORT: u16 = 20_000;
/// Clusters that one process can make in its life: their ports end at 32,032.
const CLUSTERS_MAX: u16 = 94;

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
        ensure!(
            number < CLUSTERS_MAX,
            "a process can make {CLUSTERS_MAX} clusters; this is one more"
        );
        // Linux has at most 2^22 processes. The second byte begins at 64, away from 127.0.0.1.
        let [_, high, middle, low] = process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low);
        Ok(Place { address, first_port: FIRST_PORT + number * CLUSTER_PORTS })
    }

    /// The place whose first broker listens in plain text at `plain`.
    ///
    /// # Errors
    ///
    /// If somebody listens there, or the port is too low or too high for the others.
    pub(crate) fn at(plain: SocketAddrV4) -> Result<Place> {
        drop(TcpListener::bind(plain).with_context(|| format!("{plain}: it must be free"))?);
        let first_port = plain.port().checked_sub(BROKER_PORTS + Listener::Plain as u16);
        let first_port = first_port.filter(|it| it.checked_add(CLUSTER_PORTS).is_some());
        let first_port = first_port.with_context(|| format!("{plain}: too low or too high"))?;
        Ok(Place { address: *plain.ip(), first_port })
    }

    /// The address of all brokers.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where a broker listens.
    pub(crate) fn listens(&self, node: u32, listener: Listener) -> SocketAddrV4 {
        self.port(node, listener as u16)
    }

    /// Where clients are told that it listens: at the proxy, if there is one before the listener.
    pub(crate) fn advertised(&self, node: u32, listener: Listener) -> SocketAddrV4 {
        match listener {
            Listener::Proxied => self.port(node, BROKER_PORTS - 1),
            _ => self.listens(node, listener),
        }
    }

    fn port(&self, node: u32, index: u16) -> SocketAddrV4 {
        assert!((1..=BROKERS_MAX).contains(&node), "there is no broker {node}");
        let node = u16::try_from(node).expect("at most BROKERS_MAX");
        SocketAddrV4::new(self.address, self.first_port + node * BROKER_PORTS + index)
    }
}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.address, self.first_port)
    }
}
