//! Producer: the one connection of a sink to its brokers, and what it is told of each message.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{Clock, PayloadHeader, is_mutant};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::access::{self, Link};
use super::bounds;
use super::brokers::{Brokers, Headers, KeepOffsets, Outgoing, Report};
use super::config::KafkaConfig;
use super::header;
use super::in_flight::{Batch, Failure, Rejection, Reported, Sent};
use super::known_brokers::KnownBrokers;
use super::offset_file::OffsetFile;
use super::offsets::Offsets;

/// How long a question to the brokers may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why Kafka cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// librdkafka refuses its configuration.
    #[error("librdkafka refuses its configuration: {0}")]
    Config(String),
    /// The brokers do not answer, or refuse.
    #[error("{brokers}: {what}: {why}")]
    Brokers {
        /// Which were asked.
        brokers: String,
        /// What for.
        what: String,
        /// What was said, and what to do.
        why: String,
    },
    /// The file of offsets cannot be used.
    #[error("{path}: {source}; without it doubles cannot be told", path = path.display())]
    Offsets {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl KafkaError {
    /// Without the value of a property, which may be a secret.
    pub(super) fn config(error: &ClientError) -> KafkaError {
        KafkaError::Config(match error {
            ClientError::ClientConfig(_, why, key, _) => format!("{key}: {why}"),
            other => other.to_string(),
        })
    }
}

/// What the producer is told.
struct Reports {
    shared: Arc<Shared>,
    link: Link,
}

/// What all shippers of a sink share.
#[derive(Debug)]
pub(super) struct Shared {
    offsets: Mutex<Offsets>,
    broken: Mutex<Option<String>>,
    known: KnownBrokers,
    pub(super) clock: Arc<dyn Clock>,
}

impl Shared {
    pub(super) fn offsets(&self) -> MutexGuard<'_, Offsets> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing may be sent any more.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All reports of a batch are there.
    pub(super) fn reported(&self, batch: &Arc<Batch>, reported: Reported) {
        if !reported.acked.is_empty() {
            batch.acks.complete(reported.acked);
        }
        // Their tickets are completed: a picture of these offsets is older than its checkpoint.
        for (topic, partition, offset) in &reported.stored {
            self.offsets().note(topic, *partition, *offset);
        }
        if batch.lanes.done(batch, reported.rejection, self.clock.monotonic_ns()) {
            self.offsets().complete(batch.number);
        }
    }

    /// What became of a message: where it is, or why it is not there.
    pub(super) fn report(
        &self,
        Sent { batch, message }: Sent,
        topic: &str,
        result: Result<(i32, i64), &ClientError>,
    ) {
        let reported = match result {
            // librdkafka concludes it from a later acknowledgement of the partition. A broker that knew
            // nothing of this producer, and took the later request for its first, never had it.
            Ok((_, ..0)) if !is_mutant("conclusion_counted_as_delivery") => {
                batch.refused(self.unknown(topic, "acknowledged without an offset"))
            }
            Ok((partition, offset)) => batch.delivered(message, (topic, partition, offset)),
            Err(error) => batch.refused(self.failed(topic, error)),
        };
        if let Some(reported) = reported {
            self.reported(&batch, reported);
        }
    }

    /// What a failure means for the message; if nobody knows what became of it, for all.
    fn failed(&self, topic: &str, error: &ClientError) -> Rejection {
        let why = format!("{topic}: {error}");
        let failure = Failure::of(error.rdkafka_error_code());
        if failure == Failure::Unknown {
            self.break_down(&why);
        }
        Rejection { why, is_too_large: failure == Failure::TooLarge }
    }

    /// Nobody knows what became of a message, and so of all.
    fn unknown(&self, topic: &str, why: &str) -> Rejection {
        let why = format!("{topic}: {why}");
        self.break_down(&why);
        Rejection { why, is_too_large: false }
    }

    fn break_down(&self, why: &str) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert_with(|| why.to_owned());
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        access::log(level, facility, text);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.link.note(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.shared.known.note(statistics);
    }

    fn generate_oauth_token(&self, path: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.link.token(path)
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        match result {
            Ok(it) => self.shared.report(*sent, it.topic(), Ok((it.partition(), it.offset()))),
            Err((error, it)) => self.shared.report(*sent, it.topic(), Err(error)),
        }
    }
}

/// Who takes messages to the brokers.
enum Client {
    Librdkafka(Box<ThreadedProducer<Reports>>),
    Other(Arc<dyn Brokers>),
}

/// The one producer of a sink.
pub struct KafkaProducer {
    client: Client,
    /// By which this agent knows its own messages.
    agent: String,
    pub(super) shared: Arc<Shared>,
    pub(super) config: KafkaConfig,
}

impl std::fmt::Debug for KafkaProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProducer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl KafkaProducer {
    /// A producer. Connections are made when they are needed.
    ///
    /// # Errors
    /// If librdkafka refuses the configuration, or the file of offsets cannot be used.
    pub fn open(
        config: KafkaConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<KafkaProducer>, KafkaError> {
        let keeper = OffsetFile::at(&config.offsets);
        KafkaProducer::with(config, keeper, clock, |config, shared| {
            let reports = Reports { shared: Arc::clone(shared), link: Link::default() };
            let producer = config.producer().create_with_context(reports);
            let producer = producer.map_err(|error| KafkaError::config(&error))?;
            Ok(Client::Librdkafka(Box::new(producer)))
        })
    }

    /// The same, that sends to `brokers`, and keeps its offsets with `keeper`.
    ///
    /// # Errors
    /// If the offsets cannot be used.
    pub fn over(
        brokers: Arc<dyn Brokers>,
        keeper: Box<dyn KeepOffsets>,
        config: KafkaConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<KafkaProducer>, KafkaError> {
        KafkaProducer::with(config, keeper, clock, |_, _| Ok(Client::Other(brokers)))
    }

    fn with(
        config: KafkaConfig,
        keeper: Box<dyn KeepOffsets>,
        clock: Arc<dyn Clock>,
        client: impl FnOnce(&KafkaConfig, &Arc<Shared>) -> Result<Client, KafkaError>,
    ) -> Result<Arc<KafkaProducer>, KafkaError> {
        let failed = |source| KafkaError::Offsets { path: config.offsets.clone(), source };
        let mut offsets = Offsets::open(keeper).map_err(failed)?;
        offsets.set_clean(false).map_err(failed)?;
        let agent = offsets.agent();
        let (broken, known) = (Mutex::default(), KnownBrokers::default());
        let shared = Arc::new(Shared { offsets: Mutex::new(offsets), broken, known, clock });
        let client = client(&config, &shared)?;
        Ok(Arc::new(KafkaProducer { client, shared, agent, config }))
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// Whether the topics hold nothing of it that it has not acknowledged, nor will.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.shared.broken().is_none() && self.shared.offsets().is_at_rest()
    }

    /// Where a section of that payload goes, in `topic`, where the last one went.
    ///
    /// # Errors
    /// Why nothing can go there now.
    pub(super) fn topic(
        &self,
        header: &PayloadHeader,
        number: u64,
        topic: &mut String,
    ) -> Result<(), Rejection> {
        let rejection = |why| Rejection { why, is_too_large: false };
        let name = self.config.topic.render(&header.context);
        let name = name.map_err(|error| rejection(error.to_string()))?;
        if name != *topic {
            self.prepare(&name).map_err(rejection)?;
            self.shared.offsets().sends(&name, number);
            *topic = name;
        }
        Ok(())
    }

    /// Hands a message of a batch to librdkafka.
    ///
    /// # Errors
    /// Why it cannot go to its topic now; it was not sent.
    pub(super) fn send(
        &self,
        topic: &str,
        (batch, message): (&Batch, usize),
        sent: Box<Sent>,
    ) -> Result<(), Rejection> {
        let message = &batch.messages[message];
        let (value, codec) = batch.value(message);
        let header = &batch.payload.headers[message.section];
        let key = header.context.id.to_string();
        let headers = header::encode(&self.agent, header, message, batch.payload.encoding, codec);
        let producer = match &self.client {
            Client::Librdkafka(producer) => producer,
            Client::Other(brokers) => {
                let (headers, observed_unix_ns) = (Headers(headers), header.observed_unix_ns);
                let shared = Arc::clone(&self.shared);
                let report = Report { sent, shared, topic: topic.to_owned() };
                let message = Outgoing { topic, key: &key, value, headers, observed_unix_ns };
                let failed =
                    |code| self.shared.failed(topic, &ClientError::MessageProduction(code));
                return brokers.send(message, report).map_err(failed);
            }
        };
        let record = BaseRecord::with_opaque_to(topic, sent)
            .key(&key)
            .payload(value)
            .headers(headers)
            // Not the line's own time: by this one brokers judge what is too old to keep, or too new to take.
            .timestamp(header.observed_unix_ns / 1_000_000);
        producer.send(record).map_err(|(error, _)| self.shared.failed(topic, &error))
    }

    /// Sees to it that a topic is in the file of offsets before anything is sent there.
    fn prepare(&self, topic: &str) -> Result<(), String> {
        if self.shared.offsets().has(topic) {
            return Ok(());
        }
        let bounds = match &self.client {
            Client::Librdkafka(producer) => bounds::of(producer.client(), topic, ANSWER_TIMEOUT)
                .and_then(|it| it.map_err(ClientError::MetadataFetch))
                .map_err(|error| format!("{topic}: {}", producer.context().link.explain(&error)))?,
            Client::Other(brokers) => {
                brokers.bounds(topic)?.map_err(|code| format!("{topic}: {code}"))?
            }
        };
        let ends = bounds.into_iter().map(|(partition, it)| (partition, it.end)).collect();
        let stored = self.shared.offsets().begin(topic, ends);
        stored.map_err(|error| format!("{}: {error}", self.config.offsets.display()))
    }

    /// Sees to it that librdkafka has somebody to ask.
    pub(super) fn keep_asking(&self) {
        if let Client::Librdkafka(producer) = &self.client {
            self.shared.known.begin_again(producer.client(), &self.config.brokers);
        }
    }

    /// Moves the file of offsets on behind the checkpoint that was stored last.
    pub(super) fn advance(&self, stored_ns: u64) {
        let mut offsets = self.shared.offsets();
        if let Err(error) = offsets.advance(self.shared.clock.monotonic_ns(), stored_ns) {
            let path = self.config.offsets.display();
            tracing::warn!(%path, %error, "more will be read back at the next start");
        }
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        let in_flight = match &self.client {
            Client::Librdkafka(producer) => {
                usize::try_from(producer.in_flight_count()).unwrap_or(1)
            }
            Client::Other(brokers) => brokers.in_flight(),
        };
        let is_clean = in_flight == 0 && self.shared.broken().is_none();
        if !is_clean && !is_mutant("clean_whatever_is_on_its_way") {
            return;
        }
        if let Err(error) = self.shared.offsets().set_clean(true) {
            tracing::debug!(%error, "the next start waits for what may be on its way");
        }
    }
}
