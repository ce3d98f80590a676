//! Library: librdkafka without an agent, producing messages that are in memory already.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::{DeliveryResult, Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};

use crate::clocks::{monotonic_ns, process_cpu_ns};

/// Messages that are sent first, so that connections and topic are there when time is taken.
const WARM_UP: usize = 8;
/// Bytes of values that may be on their way: more than the agent has, as this is what is aimed for.
const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

/// Longest wait for the next report.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it took to have messages acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Time, in nanoseconds.
    pub elapsed_ns: u64,
    /// CPU of this process, user and system, in nanoseconds.
    pub cpu_ns: u64,
}

/// Sends `messages` to `topic`, with keys, headers and times as they are, and waits for the broker to have
/// them. The first few are sent twice: once before time is taken.
///
/// Nothing else may run in this process meanwhile.
///
/// # Errors
/// If the broker refuses one.
pub fn produce(
    config: &ClientConfig,
    topic: &str,
    messages: &[OwnedMessage],
) -> anyhow::Result<Produced> {
    let room = Arc::new(Room::default());
    let producer: ThreadedProducer<Reports> =
        config.create_with_context(Reports(Arc::clone(&room)))?;
    let send = |message: &OwnedMessage| -> anyhow::Result<()> {
        let bytes = message.payload().map_or(0, <[u8]>::len);
        room.take(bytes)?;
        let mut record = BaseRecord::with_opaque_to(topic, bytes);
        record.key = message.key();
        record.payload = message.payload();
        record.headers = message.headers().cloned();
        record.timestamp = message.timestamp().to_millis();
        producer.send(record).map_err(|(error, _)| anyhow!("{topic}: {error}"))
    };
    messages.iter().take(WARM_UP).try_for_each(send)?;
    room.wait_empty()?;
    let (start_ns, start_cpu_ns) = (monotonic_ns(), process_cpu_ns());
    messages.iter().try_for_each(send)?;
    room.wait_empty()?;
    Ok(Produced { elapsed_ns: monotonic_ns() - start_ns, cpu_ns: process_cpu_ns() - start_cpu_ns })
}

/// Bytes on their way.
#[derive(Default)]
struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: usize,
    failed: Option<String>,
}

impl Room {
    fn take(&self, bytes: usize) -> anyhow::Result<()> {
        self.wait(|state| state.bytes == 0 || state.bytes + bytes <= IN_FLIGHT_BYTES_MAX)?.bytes +=
            bytes;
        Ok(())
    }

    fn wait_empty(&self) -> anyhow::Result<()> {
        self.wait(|state| state.bytes == 0).map(drop)
    }

    fn wait(&self, is_enough: impl Fn(&State) -> bool) -> anyhow::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        loop {
            if let Some(why) = &state.failed {
                bail!("not taken by Kafka: {why}");
            }
            if is_enough(&state) {
                return Ok(state);
            }
            let (next, waited) =
                self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            ensure!(!waited.timed_out(), "Kafka is silent");
            state = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reports(Arc<Room>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, bytes: usize) {
        let mut state = self.0.lock();
        state.bytes -= bytes;
        if let Err((error, _)) = result {
            state.failed.get_or_insert_with(|| error.to_string());
        }
        self.0.changed.notify_all();
    }
}
