//! What the kits of tests share: processes that end with ours, deadlines, certificates, and addresses.
//!
//! Not shipped.

#![forbid(unsafe_code)]

mod certificate;
mod child;
mod deadline;
mod place;

pub use certificate::{Authority, Identity, Validity};
pub use child::start;
pub use deadline::{Deadline, assert_within, wait_until, when};
pub use place::{Place, Places};
