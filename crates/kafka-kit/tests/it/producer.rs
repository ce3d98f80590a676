//! A producer that tells what became of each record, in the order in which it was told.

use std::error::Error;
use std::mem;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use kafka_kit::{Deadline, unsecured_token};
use rdkafka::client::OAuthToken;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, error::KafkaError};

/// Longest wait for a test's records, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test does not wait long for. A Produce request without an answer is given up after `socket.timeout.ms`.
const DEFAULTS: [(&str, &str); 9] = [
    ("allow.auto.create.topics", "false"),
    ("enable.idempotence", "true"),
    ("linger.ms", "0"),
    ("message.timeout.ms", "30000"),
    ("reconnect.backoff.max.ms", "200"),
    ("reconnect.backoff.ms", "50"),
    ("request.timeout.ms", "2000"),
    ("retry.backoff.ms", "50"),
    ("socket.timeout.ms", "2000"),
];

/// The number of a record, and its offset or why it has none.
pub(crate) type Report = (usize, Result<i64, RDKafkaErrorCode>);

/// Reports of deliveries, and what else the client says.
#[derive(Debug, Default)]
pub(crate) struct Told {
    reports: Mutex<Vec<Report>>,
    errors: Mutex<Vec<KafkaError>>,
    throttled_ms: Mutex<i64>,
    /// Begin and end of its tokens, in seconds from now.
    token: Option<(i64, i64)>,
}

impl ClientContext for Told {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, _reason: &str) {
        self.errors.lock().unwrap().push(error);
    }

    fn stats(&self, statistics: Statistics) {
        let all = statistics.brokers.values().filter_map(|it| it.throttle.as_ref());
        let longest = all.map(|it| it.max).max().unwrap_or(0);
        let mut throttled_ms = self.throttled_ms.lock().unwrap();
        *throttled_ms = longest.max(*throttled_ms);
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        let (begin, end) = self.token.ok_or("no token was asked for")?;
        let at = |seconds: i64| now.saturating_add_signed(seconds);
        Ok(OAuthToken {
            token: unsecured_token("alice", at(begin), at(end)),
            principal_name: "alice".to_owned(),
            // What the client believes: it would not use a token that it knows to be old.
            lifetime_ms: i64::try_from(at(3600) * 1000)?,
        })
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
        };
        self.reports.lock().unwrap().push((number, result));
    }
}

pub(crate) struct Producer {
    producer: BaseProducer<Told>,
}

impl Producer {
    /// Idempotent, and with short waits, unless `config` says otherwise.
    pub(crate) fn new(config: &ClientConfig) -> Producer {
        Producer::with(config, Told::default())
    }

    /// One that shows tokens, which begin and end so many seconds from now.
    pub(crate) fn with_token(config: &ClientConfig, begin_s: i64, end_s: i64) -> Producer {
        Producer::with(config, Told { token: Some((begin_s, end_s)), ..Told::default() })
    }

    fn with(config: &ClientConfig, told: Told) -> Producer {
        let mut all = config.clone();
        for (key, value) in DEFAULTS {
            if config.get(key).is_none() {
                all.set(key, value);
            }
        }
        Producer { producer: all.create_with_context(told).unwrap() }
    }

    pub(crate) fn inner(&self) -> &BaseProducer<Told> {
        &self.producer
    }

    /// Hands a record over for partition 0.
    pub(crate) fn send(&self, topic: &str, number: usize, value: &[u8]) {
        let record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, number).partition(0).payload(value);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// The reports of the next `count` records.
    pub(crate) fn reports(&self, count: usize) -> Vec<Report> {
        let deadline = Deadline::after(PATIENCE);
        while self.producer.context().reports.lock().unwrap().len() < count {
            assert!(deadline.left().is_some(), "no {count} reports within {PATIENCE:?}");
            self.producer.poll(Duration::from_millis(20));
        }
        mem::take(&mut *self.producer.context().reports.lock().unwrap())
    }

    /// Sends one record, and waits for what becomes of it.
    pub(crate) fn deliver(&self, topic: &str, value: &[u8]) -> Result<i64, RDKafkaErrorCode> {
        self.send(topic, 0, value);
        self.reports(1).remove(0).1
    }

    /// Waits for `wait`: how many reports have come since the last were taken.
    pub(crate) fn reports_within(&self, wait: Duration) -> usize {
        let deadline = Deadline::after(wait);
        while let Some(left) = deadline.left() {
            self.producer.poll(left);
        }
        self.producer.context().reports.lock().unwrap().len()
    }

    /// Waits until the client tells this error.
    pub(crate) fn wait_error(&self, code: RDKafkaErrorCode) {
        let deadline = Deadline::after(PATIENCE);
        let is_told = || {
            let errors = self.producer.context().errors.lock().unwrap();
            errors.iter().any(|it| it.rdkafka_error_code() == Some(code))
        };
        while !is_told() {
            let errors = self.producer.context().errors.lock().unwrap().clone();
            assert!(deadline.left().is_some(), "no {code:?} within {PATIENCE:?}: {errors:?}");
            self.producer.poll(Duration::from_millis(20));
        }
    }

    /// For how long the broker had it wait at most, in milliseconds, by its statistics.
    pub(crate) fn throttled_ms(&self) -> i64 {
        *self.producer.context().throttled_ms.lock().unwrap()
    }
}
