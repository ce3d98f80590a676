//! flow: the vocabulary of logferry, shared by the data plane and the sinks.
//!
//! A *context* names where records come from, a *cursor* is a byte's place in that context, a
//! *chunk* holds bytes as they were read, a *record* is one line as an index into its chunk, and
//! a *section* is the next span of one context. A *payload* is a batch of sections of one tenant, encoded and
//! compressed, and a *ticket* the duty to say whether a span of cursors reached the queue. The traits [`Encode`], [`Compress`] and [`Sink`] are where
//! `pipeline` and `sink`, which do not know each other, meet.

#![forbid(unsafe_code)]

mod budget;
mod checksum;
mod chunk;
mod clock;
mod context;
mod cursor;
mod fingerprint;
mod folder;
mod gap;
mod mutant;
mod payload;
mod persisted;
mod rate;
mod recall;
mod record;
mod section;
mod sink;
mod spool;
mod sync;
mod ticket;

pub use budget::{Budget, NodeBudget, Permit, SharedReserve};
pub use checksum::checksum;
pub use chunk::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunk};
pub use clock::{Clock, SystemClock, nanoseconds};
pub use context::{Attribute, AttributeValue, Context, ContextId, ParseContextIdError, attribute};
pub use cursor::{Position, Span};
pub use fingerprint::{HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Place};
pub use folder::make_folder;
pub use gap::{Gap, GapReason};
pub use mutant::is_mutant;
pub use payload::{Codec, Encoding, Payload, PayloadHeader, own_positions};
pub use persisted::{PersistedSpan, Reached};
pub use rate::{Bucket, Rate};
pub use recall::{RECALL_BYTES_MAX, RecallAnswer, RecallQuestion, recall_socket};
pub use record::{Record, RecordFlags, Stream, Streams};
pub use section::{Content, Marks, Section};
pub use sink::{
    Compress, CompressError, Encode, KeepCopy, ReadBack, Refused, Sink, SinkError, ToldSince,
};
pub use spool::{Released, Spool};
pub use ticket::{AckSender, Acked, Ledger, SourceId, StoredMark, Ticket, ack_channel};
