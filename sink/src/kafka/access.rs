//! Access: whether the brokers let a client in, and what to do if they do not.
//!
//! librdkafka tries again for ever, and tells of refusals beside: a [`Link`] hears of them, says each once
//! in the log, and explains by them why a question got no answer. It also has the token when there is to be one.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::config::KafkaConfig;
use super::producer::KafkaError;
use super::token;

/// How long a client may take to get in, in steps of [`STEP`]: as long as any question.
const STEPS: u32 = 100;
/// One of them.
const STEP: Duration = Duration::from_millis(100);
/// Most events that are heard of after a failure: refusals of some brokers.
const EVENTS_MAX: u32 = 64;

/// Why the brokers are not spoken with: a refusal of theirs, or of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {cure}")]
pub(super) struct Refusal {
    /// Which broker, and what it or the encryption said.
    why: String,
    /// What to do.
    cure: &'static str,
}

impl Refusal {
    /// One that people have to mend; none for what passes by itself.
    fn of(code: Option<Code>, reason: &str) -> Option<Refusal> {
        let is_unverified =
            reason.contains("certificate verify failed") || reason.contains("0A000086");
        let cure = match code? {
            Code::Authentication | Code::SaslAuthenticationFailed if reason.contains("token") => {
                "see that the file of the token is renewed, and what the brokers ask of tokens"
            }
            Code::Authentication | Code::SaslAuthenticationFailed => {
                "check the user's name and password, and what the brokers know of the user"
            }
            Code::UnsupportedSASLMechanism => "write a mechanism that the brokers have",
            Code::SSL if is_unverified => {
                "the broker's certificate is not vouched for by caFile, or is out of its time, or is \
                 not for the host in `brokers`"
            }
            Code::SSL => {
                "check that the port speaks TLS, and whether the brokers want a certificate: \
                 certificateFile and keyFile"
            }
            Code::Resolve => "check the names of hosts in `brokers`",
            _ => return None,
        };
        Some(Refusal { why: first_sentence(reason).to_owned(), cure })
    }
}

/// Without the counts and times in brackets at its end, which are others each time, and without
/// librdkafka's own advice, which names its properties.
fn first_sentence(reason: &str) -> &str {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    reason.split(": broker certificate could not").next().unwrap_or(reason)
}

/// What a client hears of its connections.
#[derive(Debug, Default)]
pub(super) struct Link {
    refusal: Mutex<Option<Refusal>>,
    has_token: Mutex<bool>,
}

impl Link {
    /// Takes note of an error that librdkafka tells of.
    pub(super) fn note(&self, error: &ClientError, reason: &str) {
        let Some(refusal) = Refusal::of(error.rdkafka_error_code(), reason) else {
            return tracing::debug!(%error, reason, "Kafka");
        };
        let mut last = lock(&self.refusal);
        if last.as_ref() != Some(&refusal) {
            tracing::error!("Kafka: {refusal}");
            *last = Some(refusal);
        }
    }

    /// Says why a question got no answer.
    pub(super) fn explain(&self, error: &ClientError) -> String {
        let refusal = lock(&self.refusal).clone();
        let is_silence = matches!(
            error.rdkafka_error_code(),
            Some(Code::BrokerTransportFailure | Code::OperationTimedOut | Code::AllBrokersDown)
        );
        match refusal.filter(|_| is_silence) {
            Some(refusal) => refusal.to_string(),
            None => error.to_string(),
        }
    }

    /// The token in the file that `sasl.oauthbearer.config` names.
    pub(super) fn token(&self, path: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let path = path.ok_or("sasl.oauthbearer.config: missing; write the path of a file")?;
        let token = token::read(path.as_ref())?;
        *lock(&self.has_token) = true;
        Ok(token)
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What librdkafka logs, in the agent's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::warn!(facility, "Kafka: {text}"),
        _ => tracing::debug!(facility, "Kafka: {text}"),
    }
}

impl ClientContext for Link {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.note(&error, reason);
    }

    fn generate_oauth_token(&self, path: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.token(path)
    }
}

impl ConsumerContext for Link {}

/// Lets a consumer ask for its token, if it shows one: only who is polled asks.
pub(super) fn wait_for_token(consumer: &BaseConsumer<Link>, mechanism: Option<&str>) {
    let link = consumer.context();
    let is_done = || *lock(&link.has_token) || lock(&link.refusal).is_some();
    let mut steps = if mechanism == Some("OAUTHBEARER") { STEPS } else { 0 };
    while steps > 0 && !is_done() {
        // Nothing is subscribed to: there are no messages, and errors are noted.
        drop(consumer.poll(STEP));
        steps -= 1;
    }
}

/// Why a consumer's question got no answer, by all that it has heard.
pub(super) fn explain(consumer: &BaseConsumer<Link>, error: &ClientError) -> String {
    for _ in 0..EVENTS_MAX {
        if consumer.poll(Duration::ZERO).is_none() {
            break;
        }
    }
    consumer.context().explain(error)
}

/// Tries whether brokers let a client in that has this configuration; takes little more than `within`.
///
/// # Errors
/// If they refuse or do not answer, or librdkafka cannot use the configuration.
pub fn try_access(config: &KafkaConfig, within: Duration) -> Result<(), KafkaError> {
    let properties = config.consumer();
    let consumer: BaseConsumer<Link> = properties
        .create_with_context(Link::default())
        .map_err(|error| KafkaError::config(&error))?;
    let step_ms = STEP.as_millis().max(1);
    for _ in 0..within.as_millis().div_ceil(2 * step_ms) {
        drop(consumer.poll(STEP));
        if consumer.client().fetch_cluster_id(STEP).is_some() {
            return Ok(());
        }
        if lock(&consumer.context().refusal).is_some() {
            break;
        }
    }
    let error = ClientError::MetadataFetch(Code::OperationTimedOut);
    Err(KafkaError::Brokers {
        brokers: config.brokers.clone(),
        what: "getting in".to_owned(),
        why: explain(&consumer, &error),
    })
}
