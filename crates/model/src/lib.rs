//! model: the structures that threads share, built again so that every order of events can be tried.
//!
//! The files are those of the shipped crates, taken from where they are. Each of these crates has a
//! module `sync` with the locks and atomics of the standard library; here it is one of loom's, which
//! run a test once for each order in which its threads can meet, with each value that an atomic may
//! then have. Not shipped; the tests are in `tests/it`.

// The unit tests in these files belong to their own crates.
#![cfg(not(test))]
#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unfulfilled_lint_expectations,
    reason = "of each crate only some files are built here"
)]

pub mod sync;

// What these files find in their own crates.
pub use flow::{GapReason, Position, Span, is_mutant};

/// Of `crates/flow`.
#[path = "../../flow/src"]
pub mod vocabulary {
    pub mod budget;
    pub mod ticket;
}

/// Of `crates/pipeline`.
#[path = "../../pipeline/src"]
pub mod pipeline {
    pub mod buffers;
    pub mod doorbell;
    pub mod lane;
    pub mod meter;
    pub mod pins;

    /// Of the reader, its door to discovery.
    pub mod reader {
        pub mod door;

        /// A question, which the door only passes on.
        #[derive(Debug, PartialEq, Eq)]
        pub struct Ask(pub u32);
    }
}

/// Of `sink`.
#[path = "../../../sink/src"]
pub mod sink {
    pub mod queue;
}
