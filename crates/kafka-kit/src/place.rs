//! Place: the address of a cluster, and a port on it for everything.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use anyhow::{Context, Result};
use test_kit::Places;

use crate::listener::Listener;

/// Most brokers of a cluster.
pub(crate) const BROKERS_MAX: u32 = 7;
/// Ports of one broker.
const BROKER_PORTS: u16 = 16;
/// Ports of one cluster.
const CLUSTER_PORTS: u16 = 128;
/// Clusters that one process can make in its life: their ports end at 32,032.
const CLUSTERS_MAX: u16 = 94;

static PLACES: Places = Places::new(64, CLUSTER_PORTS, CLUSTERS_MAX);

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
        PLACES.take().map(Place).context("clusters of Kafka")
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
        Ok(Place(test_kit::Place { address: *plain.ip(), first_port }))
    }

    /// The address of all brokers.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.0.address
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
        SocketAddrV4::new(self.0.address, self.0.first_port + node * BROKER_PORTS + index)
    }
}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.0.address, self.0.first_port)
    }
}
