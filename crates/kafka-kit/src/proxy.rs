//! Proxy: stands before one broker's listener, and injects faults into Kafka's requests and answers.
//!
//! Two threads for each connection: one passes requests on, one answers. Both take whole frames (a length, then as
//! many bytes), so that a fault meets the very request that it is meant for. The broker's metadata name the proxy's
//! port, so that clients come back to it after every reconnection. Plain text only: in TLS there are no frames to see.

mod connection;
mod cursor;
mod frame;
mod garble;
mod produce_request;
mod produce_response;
mod rule;
mod state;

use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

pub use garble::Garble;
pub use rule::{Api, Fault, Line, Rule};

use state::State;
use test_kit::{wait_until, when};

/// A listener of its own that leads to a broker's.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddrV4,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at `address`, and passes on to `broker`, which may come later.
    ///
    /// # Errors
    ///
    /// If something else listens at the address.
    pub fn start(address: SocketAddrV4, broker: SocketAddrV4) -> Result<Proxy> {
        let listener = TcpListener::bind(address).with_context(|| format!("proxy at {address}"))?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let acceptor = thread::Builder::new()
            .name("kit-accept".to_owned())
            .spawn(move || accept(&listener, broker, &shared))?;
        Ok(Proxy { address, state, acceptor: Some(acceptor) })
    }

    /// Adds a rule. Where several are about the same request, the first has its turn.
    pub fn add(&self, rule: Rule) {
        self.state.add(rule);
    }

    /// Removes all rules, and lets everything pass. What is cut or silenced stays so.
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Sets what becomes of all connections, those that are and those that come.
    pub fn set_line(&self, line: Line) {
        self.state.set_line(line);
    }

    /// Closes all connections, also silenced ones. New ones pass, if the line lets them.
    pub fn cut(&self) {
        self.state.cut();
    }

    /// How many requests of this kind clients have sent since the start.
    #[must_use]
    pub fn requests(&self, api: Api) -> u64 {
        self.state.requests(api)
    }

    /// How often a rule had its turn since the start.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.state.fired()
    }

    /// Waits until rules had their turn so often.
    ///
    /// # Errors
    ///
    /// How often they had, if `wait` is over before.
    pub fn wait_fired(&self, times: u64, wait: Duration) -> Result<()> {
        wait_until("turns of rules", wait, || {
            let fired = self.fired();
            when(fired >= times, fired).map(drop)
        })
    }

    /// What was not understood, such as an answer in a format that is not known here. Its connection was cut.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.state.problems()
    }
}

fn accept(listener: &TcpListener, broker: SocketAddrV4, state: &Arc<State>) {
    for client in listener.incoming() {
        if state.is_closed() {
            return;
        }
        // A client that has gone again is none; nor is one that is not to come in.
        let Ok(client) = client else { continue };
        if state.line() == Line::Refuse {
            continue;
        }
        // The broker may be down: to the client, its connection ends.
        let Ok(upstream) = TcpStream::connect(broker) else { continue };
        if let Err(error) = connection::start(client, upstream, state) {
            state.problem(format!("connection not passed on: {error}"));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.close();
        // Wakes the acceptor, which then ends.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
        {
            eprintln!("proxy at {}: its acceptor has panicked", self.address);
        }
    }
}
