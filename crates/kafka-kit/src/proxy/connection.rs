//! Connection: what a client and a broker say to each other, frame by frame, on two threads.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::frame::{correlation, read_frame, request_head, write_frame};
use super::rule::{Api, Fault};
use super::state::{Refusal, State};
use super::{produce_request, produce_response};

/// What the thread of answers has to know of a request.
#[derive(Debug, Default)]
struct Asked {
    /// The version of a Produce request; `None` for all others.
    produce_version: Option<i16>,
    /// What the broker was not allowed to store.
    refused: Vec<Refusal>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    state: Arc<State>,
    /// By correlation number. Requests that are not answered (acks = 0) stay until the end.
    asked: Mutex<HashMap<i32, Asked>>,
    /// Nothing passes any more, and nobody is to hear of it.
    is_silenced: AtomicBool,
}

/// Passes everything on between two sockets, until one of them ends.
pub(crate) fn start(client: TcpStream, broker: TcpStream, state: &Arc<State>) -> io::Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let number = state.connect([client.try_clone()?, broker.try_clone()?]);
    let connection = Arc::new(Connection {
        number,
        state: Arc::clone(state),
        asked: Mutex::default(),
        is_silenced: AtomicBool::new(false),
    });
    let (to_client, to_broker) = (client.try_clone()?, broker.try_clone()?);
    let other = Arc::clone(&connection);
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
    };
    spawn("kit-request", Box::new(move || connection.run(|it| it.requests(client, to_broker))))?;
    spawn("kit-answer", Box::new(move || other.run(|it| it.answers(broker, to_client))))
}

impl Connection {
    fn run(&self, work: impl FnOnce(&Connection) -> io::Result<()>) {
        if let Err(error) = work(self)
            && error.kind() == io::ErrorKind::InvalidData
        {
            self.state.problem(error.to_string());
        }
        if self.is_silenced.load(Ordering::SeqCst) {
            self.state.rest_until_cut(self.number);
        }
        self.state.disconnect(self.number);
    }

    fn requests(&self, mut client: TcpStream, mut broker: TcpStream) -> io::Result<()> {
        while let Some(mut frame) = read_frame(&mut client)? {
            let head = request_head(&frame)?;
            let fault = self.state.request(head.api);
            match fault {
                Some(Fault::CutBefore) => return Ok(()),
                Some(Fault::BlackHole) => {
                    self.is_silenced.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                Some(Fault::HalfOpen) => {
                    self.is_silenced.store(true, Ordering::SeqCst);
                    return broker.shutdown(Shutdown::Both);
                }
                _ => {}
            }
            let produce_version = (head.api == Api::Produce as i16).then_some(head.version);
            if produce_version.is_some() || fault.is_some() {
                let refused = match produce_version {
                    Some(version) => self.refuse(&mut frame, version)?,
                    None => Vec::new(),
                };
                let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.insert(head.correlation, Asked { produce_version, refused, fault });
            }
            if !self.state.pass(self.number, false) {
                return Ok(());
            }
            write_frame(&mut broker, &frame)?;
        }
        Ok(())
    }

    fn answers(&self, mut broker: TcpStream, mut client: TcpStream) -> io::Result<()> {
        while let Some(mut frame) = read_frame(&mut broker)? {
            let number = correlation(&frame)?;
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            let Asked { produce_version, refused, fault } = asked.unwrap_or_default();
            match &fault {
                Some(Fault::CutAfter) => return Ok(()),
                Some(Fault::DropResponse) => continue,
                Some(Fault::Delay(delay)) if !self.state.rest(self.number, *delay) => return Ok(()),
                _ => {}
            }
            if let Some(version) = produce_version {
                self.put_error_codes(&mut frame, version)?;
                for Refusal { topic, partition, code } in &refused {
                    if let Some(at) = produce_response::find(&frame, version, topic, *partition)? {
                        produce_response::set_error(&mut frame, at, *code);
                    }
                }
            }
            if !self.state.pass(self.number, true) || self.is_silenced.load(Ordering::SeqCst) {
                return Ok(());
            }
            match fault {
                Some(Fault::Garble(garble)) => garble.write(&mut client, frame)?,
                _ => write_frame(&mut client, &frame)?,
            }
        }
        Ok(())
    }

    /// Spoils what the broker is not to store.
    fn refuse(&self, frame: &mut [u8], version: i16) -> io::Result<Vec<Refusal>> {
        let mut failed = None;
        let found = self.state.refusals(|topic, partition| {
            let found = produce_request::find(frame, version, topic, partition);
            found.map_err(|error| failed = Some(error)).ok().flatten()
        });
        let spoil = |(at, refusal)| {
            produce_request::spoil(frame, at);
            refusal
        };
        let refused = found.into_iter().map(spoil).collect();
        failed.map_or(Ok(refused), Err)
    }

    fn put_error_codes(&self, frame: &mut [u8], version: i16) -> io::Result<()> {
        let mut failed = None;
        let codes = self.state.error_codes(|topic, partition| {
            match produce_response::find(frame, version, topic, partition) {
                Ok(place) => place,
                Err(error) => {
                    failed = Some(error);
                    None
                }
            }
        });
        for (place, code) in codes {
            produce_response::set_error(frame, place, code);
        }
        failed.map_or(Ok(()), Err)
    }
}
