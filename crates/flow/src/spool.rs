//! Spool: where a shipper keeps payloads that its sink does not take, on the node's own disk.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{Payload, Refused, SinkError};

/// What a tenant lost so that something else may be kept: its name, and bytes of its sources.
pub type Released = (Arc<str>, u64);

/// A shipper's end of its sink's spool. Asked per payload, never per record.
///
/// What is kept is acknowledged once it is safe on the disk, and is then owed to the sink: in the order in
/// which it was kept, and before anything newer of the same tenant.
pub trait Spool: Send + Debug {
    /// Whether anything of the tenant is kept for this shipper that the sink has not acknowledged.
    fn holds(&self, tenant: &str) -> bool;

    /// Keeps the payload, and completes its tickets once it is safe; or gives it back whole.
    ///
    /// # Errors
    /// As [`crate::Sink::submit`]. What is refused may be offered again.
    fn keep(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>>;

    /// As [`Spool::keep`], of a payload that the sink goes on delivering: it is not drained, but let go by
    /// [`Spool::forget_copies`].
    ///
    /// # Errors
    /// As [`Spool::keep`].
    fn keep_copy(&mut self, payload: Payload) -> Result<(), Box<Refused>>;

    /// Makes room for so many bytes more of the tenant, if it is that which it lacks: the oldest payloads of tenants
    /// of lower priority, in the spool of any sink, or its own are let go, and gaps in their place are owed. Adds to
    /// `released` whose, and how many bytes of the sources they cover; also if it fails afterwards.
    ///
    /// # Errors
    /// As [`Spool::keep`]. Then nothing is let go without a gap that is safe.
    fn make_room(
        &mut self,
        tenant: &str,
        bytes: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError>;

    /// The sink has acknowledged all that there are copies of.
    fn forget_copies(&mut self, tenant: &str);

    /// Tenants of which something is kept for this shipper.
    fn tenants(&self) -> Vec<Arc<str>>;

    /// The next payload for the sink, if there is one and not too much is on its way. Its tickets are the
    /// spool's own: what they cover is let go once the sink completes them.
    fn next(&mut self, tenant: &str) -> Option<Payload>;

    /// The sink did not take what [`Spool::next`] gave.
    fn give_back(&mut self, payload: Payload);

    /// Lets go of what the sink has acknowledged, and notes durably how far that is.
    ///
    /// # Errors
    /// [`SinkError::Broken`] if it is unknown what is safe, or tickets were dropped.
    fn tend(&mut self, now_ns: u64) -> Result<(), SinkError>;

    /// When [`Spool::tend`] is to be called again, by the monotonic clock, though nothing comes in or goes out; none
    /// if it would do nothing.
    fn due_ns(&self, now_ns: u64) -> Option<u64>;

    /// Makes what is kept safe before `deadline_ns` of the monotonic clock, as far as possible.
    ///
    /// # Errors
    /// If not all is safe; its tickets were dropped or will be.
    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError>;
}
