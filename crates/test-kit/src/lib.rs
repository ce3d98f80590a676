//! What the kits of tests share: processes that end with ours, deadlines, and certificates.
//!
//! Not shipped.

#![forbid(unsafe_code)]

mod certificate;
mod child;
mod deadline;

pub use certificate::{Authority, Identity, Validity};
pub use child::start;
pub use deadline::{Deadline, wait_until, when};
