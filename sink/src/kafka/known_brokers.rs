//! Known brokers: whether librdkafka has any left that it can ask, and if not, which to begin with again.
//!
//! An answer that names no broker, as one gives that its controller has fenced, makes librdkafka 2.12 forget all that it
//! knew. It would begin anew by itself, had the end of that same answer not called it off
//! (<https://github.com/confluentinc/librdkafka/issues/5301>): then it asks nobody any more, reports nothing, and says nothing.
//! Its statistics tell.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::{Client, ClientContext};
use serde::Deserialize;

/// What the statistics say of brokers; they say much more.
#[derive(Debug, Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    source: String,
}

/// Of one client, what its last statistics said.
#[derive(Debug, Default)]
pub(super) struct KnownBrokers {
    are_none: AtomicBool,
}

impl KnownBrokers {
    /// Takes note of statistics, in JSON.
    pub(super) fn note(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(it) => self.are_none.store(it.are_none(), Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "librdkafka's statistics cannot be read"),
        }
    }

    /// Gives a client that knows no broker those of its configuration again: `host:port`, comma-separated.
    pub(super) fn begin_again<C: ClientContext>(&self, client: &Client<C>, configured: &str) {
        if self.are_none.swap(false, Ordering::Relaxed) {
            tracing::warn!(configured, "librdkafka knows no broker any more: it gets these again");
            add(client, configured);
        }
    }
}

impl Statistics {
    fn are_none(&self) -> bool {
        // A "logical" one stands for one of these, an "internal" one for nobody.
        !self.brokers.values().any(|it| matches!(&*it.source, "configured" | "learned"))
    }
}

#[expect(unsafe_code, reason = "the crate rdkafka has no such call")]
fn add<C: ClientContext>(client: &Client<C>, brokers: &str) {
    let Ok(brokers) = CString::new(brokers) else { return };
    // SAFETY: the handle lives as long as the client, and the text, which is copied, for the call.
    unsafe { rdkafka::bindings::rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_none(brokers: &str) -> bool {
        let known = KnownBrokers::default();
        known.note(format!(r#"{{"name":"a","brokers":{brokers},"topics":{{}}}}"#).as_bytes());
        known.are_none.into_inner()
    }

    #[test]
    fn a_client_knows_a_broker_if_it_was_configured_or_learned() {
        assert!(are_none("{}"));
        assert!(are_none(r#"{":0/internal":{"nodeid":-1,"source":"internal","state":"UP"}}"#));
        assert!(!are_none(r#"{"a:1/1":{"source":"learned"},":0/internal":{"source":"internal"}}"#));
        assert!(!are_none(r#"{"a:1/bootstrap":{"source":"configured","state":"DOWN"}}"#));
    }

    #[test]
    fn statistics_that_cannot_be_read_say_nothing() {
        let known = KnownBrokers::default();
        known.note(b"{");
        assert!(!known.are_none.into_inner());
    }
}
