//! The border between the data plane and the queues: encode, compress, submit, read back.
//!
//! Readers encode and compress, shippers submit. Nothing here is called per record.

use std::fmt::Debug;

use crate::{Codec, ContextId, Encoding, Payload, PersistedSpan, Section};

/// Writes a section's records as bytes.
pub trait Encode: Send + Debug {
    /// What it writes.
    fn encoding(&self) -> Encoding;

    /// Appends the section's payload to `out`. Never fails: any bytes can be encoded.
    ///
    /// A gap is encoded as one record that names range and reason; an empty section as nothing.
    fn encode(&mut self, section: &Section, out: &mut Vec<u8>);
}

/// Compression failed; with a buffer in memory that means a defect or no memory.
#[derive(Debug, thiserror::Error)]
#[error("{codec}: {bytes} bytes were not compressed: {why}")]
pub struct CompressError {
    /// The codec's name.
    pub codec: &'static str,
    /// Bytes given.
    pub bytes: usize,
    /// What the library said.
    pub why: String,
}

/// Compresses a block.
pub trait Compress: Send + Debug {
    /// What it makes.
    fn codec(&self) -> Codec;

    /// Whether it is given each section by itself, so that a sink can hand on one of them as it is.
    fn is_by_section(&self) -> bool {
        false
    }

    /// Compresses cheaper from now on, as CPU is short: 0 is as configured, 1 half of it, 2 as cheap as there is. What it
    /// makes is of the same codec. Without effect where there is but one level.
    fn ease(&mut self, _levels: u8) {}

    /// Replaces `out` by the compressed form of `raw`.
    ///
    /// # Errors
    /// If the library fails; `out` is then of no meaning.
    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError>;
}

/// Why a sink did not take a payload, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// In-flight limit reached: try again after the next completion.
    #[error("as much is in flight as may be")]
    Busy,
    /// Likely to pass (no space, broker away): try again after a back-off.
    #[error("{0}")]
    Retry(String),
    /// The sink is in an unknown state: all that is not acknowledged must be read again.
    #[error("{0}")]
    Broken(String),
}

/// A hand-over that failed gives the thing back.
#[derive(Debug)]
pub struct Refused {
    /// What was not taken, whole.
    pub payload: Payload,
    /// Why not.
    pub why: SinkError,
}

/// A queue that takes payloads in the order of one lane.
///
/// Acknowledgement is apart from taking: a sink completes the payload's tickets through its
/// [`crate::AckSender`] once the bytes are as safe as it promises, from whatever thread. A sink that
/// cannot keep the promise for something it took drops the tickets, which says so.
pub trait Sink: Send + Debug {
    /// Takes the payload, or gives it back whole. Blocks at most for one write.
    ///
    /// `Ok` carries the block's buffer if the sink is done with it, so that it can be reused.
    ///
    /// # Errors
    /// See [`SinkError`]: what the shipper does next depends on the variant.
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>>;

    /// Does what is due apart from any payload, such as sending again; asked between payloads. Returns when
    /// it wants to be asked again, by the monotonic clock.
    fn tend(&mut self, _now_ns: u64) -> Option<u64> {
        None
    }

    /// Makes all that was taken safe and acknowledged, as far as possible before `deadline_ns` of
    /// the monotonic clock. Called at shutdown.
    ///
    /// # Errors
    /// If something taken is not safe; its tickets were dropped or will be.
    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError>;

    /// Whether the sink has failed for good since the last call, and what it said.
    fn health(&self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Whether nothing of the tenant that this sink took waits for its acknowledgement. True of a sink that
    /// acknowledges what it takes at once.
    fn is_clear(&self, _tenant: &str) -> bool {
        true
    }

    /// Offers `keep` a copy of each payload of the tenant that waits for its acknowledgement, in order, with
    /// its tickets, until one is refused; the sink goes on delivering all of them. Sections whose ticket
    /// another payload has come without. Returns whether all were kept.
    fn copy_unacknowledged(&self, tenant: &str, _keep: &mut KeepCopy<'_>) -> bool {
        self.is_clear(tenant)
    }
}

/// Keeps a copy of a payload safe and completes its tickets, or gives them back with why not.
pub type KeepCopy<'a> = dyn FnMut(Payload) -> Result<(), Box<Refused>> + 'a;

/// Since when a queue tells of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldSince {
    /// As far back as it still has it: what came before was delivered, too.
    Retention,
    /// Since a checkpoint was stored: a context that is not in that began later.
    Checkpoint,
    /// Since ever.
    Ever,
}

/// Tells what the queue already holds of a context, so that a restart doubles nothing.
pub trait ReadBack: Send + Debug {
    /// The sections of `context` that the queue holds, in queue order, as far back as is known.
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan>;

    /// Since when it tells.
    fn told_since(&self) -> ToldSince {
        ToldSince::Retention
    }

    /// Contexts whose sections the next start will not be told of any more: what is known of them has to be
    /// in the first checkpoint, whether or not their files turn up before.
    fn passing(&self) -> Vec<ContextId> {
        Vec::new()
    }

    /// Tells no more of a context, which is forgotten and may begin anew: what it held at the start is not where that
    /// stands. Returns whether nothing is told of it from now on.
    fn forget(&mut self, context: ContextId) -> bool {
        self.persisted(context).is_empty()
    }
}
