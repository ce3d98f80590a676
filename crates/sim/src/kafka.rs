//! Kafka: brokers in memory, and the client of the producer that lives, for the real sink to be stepped with.
//!
//! Nothing is stored before a broker is told to. A request is what the client has of one partition, oldest
//! first; its fate is one that a real request has ([`KafkaStep`]). All that was ever stored is kept, also
//! of topics that are gone, so that it can be held against the files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{AckSender, Clock, Encode, Encoding, PayloadHeader, ReadBack, Sink};
use sink::kafka::{
    ErrorCode, KafkaConfig, KafkaError, KafkaProducer, KafkaReadBack, KafkaSink, Report,
};

use crate::{Encoded, Stored};

mod client;
mod config;
mod once;
mod request;
mod topic;

use client::Keeper;
pub use config::KafkaSetting;
pub use request::{Fate, KafkaStep};
use topic::Topic;

/// Kafka. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimKafka {
    state: Arc<Mutex<State>>,
    setting: KafkaSetting,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    /// All that was ever stored, in order; the topics have the numbers.
    stored: Vec<Stored>,
    /// By number of a stored message: the first life of the agent that cannot know of it, and may send it
    /// again.
    gone: Vec<Option<u32>>,
    /// What the client was given, oldest first.
    queued: VecDeque<Message>,
    /// Stored, and the client was not told.
    untold: Vec<Told>,
    /// Requests of a producer that is dead, which a broker has and did not store yet.
    late: Vec<Message>,
    /// The offsets that the agent keeps.
    kept: Option<Vec<u8>>,
    /// Which life of the agent this is.
    life: u32,
    /// A producer lives.
    is_running: bool,
    /// It was killed: nothing that it does reaches anything.
    is_dead: bool,
    /// Lives in which the brokers themselves left a hole behind which something is stored.
    holed: Vec<u32>,
    refused: u64,
    conduct: Conduct,
}

/// How the brokers behave.
#[derive(Debug, Default, Clone)]
struct Conduct {
    /// What is given to the client is not stored before a step says so.
    is_slow: bool,
    /// No broker answers.
    is_away: bool,
    /// The client's queue is full.
    is_full: bool,
    /// Every request is refused.
    refuses: bool,
    /// Those of this tenant are.
    stuck: Option<Arc<str>>,
    /// The agent cannot keep its offsets.
    keeps_nothing: bool,
    /// They store what they have of the dead behind the read-back.
    is_tardy: bool,
    /// Most bytes of values that a request has.
    request_bytes_max: Option<u64>,
}

/// A message on its way.
#[derive(Debug)]
struct Message {
    topic: String,
    partition: i32,
    stored: Stored,
    value_bytes: u64,
    headers: sink::kafka::Headers,
    /// Where it is: it was sent before, and the broker knows it again.
    place: Option<(usize, i64)>,
    /// None once it was told that it failed.
    report: Option<Report>,
}

/// A stored message whose acknowledgement is on its way.
#[derive(Debug)]
struct Told {
    message: Message,
    number: usize,
    offset: i64,
}

impl SimKafka {
    /// Brokers without topics; each is made when it is first asked for.
    #[must_use]
    pub fn new(setting: KafkaSetting) -> SimKafka {
        SimKafka { state: Arc::default(), setting }
    }

    /// Looks at all that was ever stored, in order.
    pub fn look<T>(&self, look: impl FnOnce(&[Stored]) -> T) -> T {
        look(&self.lock().stored)
    }

    /// All that was ever stored of a tenant, without what it was promised may come again.
    ///
    /// # Errors
    /// At the first double that was not.
    pub fn once(&self, tenant: &str) -> Result<Vec<Stored>, String> {
        let state = self.lock();
        let own = state.stored.iter().zip(&state.gone);
        let own = own.filter(|(it, _)| *it.header.context.tenant == *tenant);
        once::once(own.map(|(it, gone)| (it, *gone)).collect(), &state.holed, state.life)
    }

    /// How much was refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// From now on brokers answer at once, or when told to.
    pub fn set_slow(&self, is_slow: bool) {
        self.lock().conduct.is_slow = is_slow;
    }

    /// From now on every request is refused, or only as they deserve.
    pub fn set_refuses(&self, refuses: bool) {
        self.lock().conduct.refuses = refuses;
    }

    /// From now on the requests of this tenant are refused; `None`: of nobody.
    pub fn refuse(&self, tenant: Option<&str>) {
        self.lock().conduct.stuck = tenant.map(Arc::from);
    }

    /// Nothing fails any more, and topics that are gone are made anew.
    pub fn lift_faults(&self) {
        let mut state = self.lock();
        state.conduct = Conduct::default();
        state.topics.values_mut().for_each(|it| it.create(0));
    }

    /// The agent is killed: what it does while it is taken apart reaches nobody.
    pub fn die(&self) {
        self.lock().is_dead = true;
    }

    /// Who wrote to it is gone. Of what the client had of each partition, a broker has so many messages, and
    /// stores them before anybody reads.
    pub fn lose(&self, kept: usize) {
        let mut state = self.lock();
        let mut lost = state.end_client(kept);
        lost.extend(state.untold.drain(..).map(|it| it.message));
        state.life += 1;
        (state.is_running, state.is_dead) = (false, false);
        drop(state);
        // What they hold on to may ask us something while it is taken apart.
        drop(lost);
    }

    /// A sink that sends to it.
    ///
    /// # Errors
    /// If the agent cannot keep its offsets.
    pub fn sink(
        &self,
        acks: AckSender,
        clock: Arc<dyn Clock>,
    ) -> Result<Box<dyn Sink>, KafkaError> {
        let (brokers, keeper) = (Arc::new(self.clone()), Box::new(Keeper(self.clone())));
        let producer = KafkaProducer::over(brokers, keeper, self.config(), clock)?;
        self.lock().is_running = true;
        Ok(Box::new(KafkaSink::new(producer, acks)))
    }

    /// Tells what it holds.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn read_back(&self) -> Result<Box<dyn ReadBack>, KafkaError> {
        let read_back = KafkaReadBack::over(self, Box::new(Keeper(self.clone())), &self.config())?;
        // A broker that was not waited for stores it now.
        self.lock().store_late();
        Ok(Box::new(read_back))
    }

    /// An encoder for it.
    #[must_use]
    pub fn encoder(&self) -> Box<dyn Encode> {
        sink::encode::make(self.setting.encoding)
    }

    fn config(&self) -> KafkaConfig {
        self.setting.config()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A broker stores a message; returns its number and offset.
    fn store(&mut self, message: &Message) -> Option<(usize, i64)> {
        if let Some((number, _)) = message.place {
            if self.gone[number].is_none() {
                return message.place;
            }
            // Its topic was deleted since, and a broker knows a producer again by what a topic has of it.
            self.comes_again(number, self.life);
        }
        let number = self.stored.len();
        let topic = self.topics.get_mut(&message.topic)?;
        let offset =
            topic.append(message.partition, number, message.value_bytes, &message.headers)?;
        self.stored.push(message.stored.clone());
        self.gone.push(None);
        Some((number, offset))
    }

    /// From this life of the agent on, or an earlier one, it does not know of a stored message.
    fn comes_again(&mut self, number: usize, life: u32) {
        let first = self.gone[number].get_or_insert(life);
        *first = life.min(*first);
    }

    /// Brokers store what they have of dead producers.
    fn store_late(&mut self) {
        for message in std::mem::take(&mut self.late) {
            self.store(&message);
        }
    }

    /// Why a broker refuses a request, if it does.
    fn refusal(&self, request: &[Message]) -> Option<ErrorCode> {
        let first = request.first()?;
        let is_there = self.topics.get(&first.topic).is_some_and(Topic::is_there);
        let bytes: u64 = request.iter().map(|it| it.value_bytes).sum();
        let tenant = &first.stored.header.context.tenant;
        if !is_there {
            Some(ErrorCode::UnknownTopicOrPartition)
        } else if self.conduct.refuses || self.conduct.stuck.as_ref() == Some(tenant) {
            Some(ErrorCode::TopicAuthorizationFailed)
        } else if self.conduct.request_bytes_max.is_some_and(|most| bytes > most) {
            Some(ErrorCode::MessageSizeTooLarge)
        } else {
            None
        }
    }

    /// The client is no more; returns what it had.
    fn end_client(&mut self, kept: usize) -> Vec<Message> {
        let mut received: BTreeMap<(String, i32), usize> = BTreeMap::new();
        let mut lost = Vec::new();
        for message in std::mem::take(&mut self.queued) {
            let count = received.entry((message.topic.clone(), message.partition)).or_default();
            *count += 1;
            if *count <= kept && message.place.is_none() && !self.conduct.is_away {
                self.late.push(Message { report: None, ..message.copy() });
            }
            lost.push(message);
        }
        lost
    }
}

impl Message {
    /// The same, that nobody waits for.
    fn copy(&self) -> Message {
        Message {
            topic: self.topic.clone(),
            partition: self.partition,
            stored: self.stored.clone(),
            value_bytes: self.value_bytes,
            headers: self.headers.clone(),
            place: self.place,
            report: None,
        }
    }
}

/// The records of a message.
fn records(header: &PayloadHeader, encoding: Encoding, value: &[u8]) -> Vec<Encoded> {
    if header.gap.is_some() || header.records == 0 {
        return Vec::new();
    }
    let decoded = sink::decode::decode(encoding, value).expect("what the encoder wrote");
    let record = |it: sink::decode::DecodedRecord<'_>| {
        let flags = it.stream.map_or(it.flags, |stream| it.flags.with(stream.into()));
        (it.cursor, flags, it.body.into_owned())
    };
    decoded.into_iter().map(record).collect()
}
