//! Producer: the one connection of a sink to its brokers, and what it is told of each message.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{Clock, Payload};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::access::{self, Link};
use super::config::KafkaConfig;
use super::header;
use super::in_flight::{Failure, Sent};
use super::offsets::Offsets;

/// How long a question to the brokers may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(super) holes: Arc<AtomicUsize>,
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

    fn generate_oauth_token(&self, path: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.link.token(path)
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let Sent { batch, section } = *sent;
        let reported = match result {
            Ok(message) => {
                let at = (Arc::from(message.topic()), message.partition(), message.offset());
                batch.delivered(section, at)
            }
            Err((error, message)) => {
                let why = format!("{}: {error}", message.topic());
                if Failure::of(error.rdkafka_error_code()) == Failure::Unknown {
                    self.shared.break_down(&why);
                }
                batch.refused(why)
            }
        };
        let Some(reported) = reported else { return };
        {
            // Their tickets are completed: a picture of these offsets is older than its checkpoint.
            let mut offsets = self.shared.offsets();
            for (topic, partition, offset) in &reported.stored {
                offsets.note(topic, *partition, *offset);
            }
        }
        batch.lanes.done(&batch, reported, self.shared.clock.monotonic_ns());
    }
}

/// The one producer of a sink.
pub struct KafkaProducer {
    producer: ThreadedProducer<Reports>,
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
        let offsets = Offsets::open(&config.offsets)
            .map_err(|source| KafkaError::Offsets { path: config.offsets.clone(), source })?;
        let shared = Arc::new(Shared {
            offsets: Mutex::new(offsets),
            broken: Mutex::default(),
            holes: Arc::default(),
            clock,
        });
        let reports = Reports { shared: Arc::clone(&shared), link: Link::default() };
        let producer = config
            .producer()
            .create_with_context(reports)
            .map_err(|error| KafkaError::config(&error))?;
        Ok(Arc::new(KafkaProducer { producer, shared, config }))
    }

    /// Hands one section to librdkafka.
    ///
    /// # Errors
    /// Why it cannot go to its topic now; it was not sent.
    pub(super) fn send(
        &self,
        payload: &Payload,
        section: usize,
        sent: Box<Sent>,
    ) -> Result<(), String> {
        let header = &payload.headers[section];
        let topic = self.config.topic.render(&header.context).map_err(|error| error.to_string())?;
        self.prepare(&topic)?;
        let range = header.range.start as usize..header.range.end as usize;
        let key = header.context.id.to_string();
        let record = BaseRecord::with_opaque_to(&topic, sent)
            .key(&key)
            .payload(&payload.block[range])
            .headers(header::encode(header, payload.encoding, payload.codec))
            .timestamp(header.observed_unix_ns / 1_000_000);
        self.producer.send(record).map_err(|(error, _)| {
            if Failure::of(error.rdkafka_error_code()) == Failure::Unknown {
                self.shared.break_down(&error.to_string());
            }
            format!("{topic}: {error}")
        })
    }

    /// Sees to it that a topic is in the file of offsets before anything is sent there.
    fn prepare(&self, topic: &str) -> Result<(), String> {
        if self.shared.offsets().has(topic) {
            return Ok(());
        }
        let link = &self.producer.context().link;
        let ends = self.ends(topic).map_err(|it| format!("{topic}: {}", link.explain(&it)))?;
        let stored = self.shared.offsets().begin(topic, ends);
        stored.map_err(|error| format!("{}: {error}", self.config.offsets.display()))
    }

    /// The next offset of each partition.
    fn ends(&self, topic: &str) -> Result<BTreeMap<i32, i64>, ClientError> {
        let client = self.producer.client();
        let metadata = client.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        if let Some(error) = found.and_then(|it| it.error()) {
            return Err(ClientError::MetadataFetch(error.into()));
        }
        let partitions = found.map(|it| it.partitions()).unwrap_or_default();
        let mut ends = BTreeMap::new();
        for partition in partitions {
            let (_, end) = client.fetch_watermarks(topic, partition.id(), ANSWER_TIMEOUT)?;
            ends.insert(partition.id(), end);
        }
        Ok(ends)
    }

    /// Moves the file of offsets on behind the checkpoint that was stored last.
    pub(super) fn advance(&self, stored_ns: u64) {
        let mut offsets = self.shared.offsets();
        if self.shared.holes.load(Ordering::Acquire) > 0 {
            return offsets.hold();
        }
        if let Err(error) = offsets.advance(self.shared.clock.monotonic_ns(), stored_ns) {
            let path = self.config.offsets.display();
            tracing::warn!(%path, %error, "more will be read back at the next start");
        }
    }
}
