//! fuzz: any bytes against the parts that read what others wrote.
//!
//! One module per target, with one plain function `run`: it makes something of the bytes, does it with
//! the real part, and panics if what comes out is not what it must be. What must come out is told by
//! an obvious implementation, by going there and back, or by doing the same in other pieces. `make
//! fuzz` drives the functions with libFuzzer; a test calls them with the whole corpus. Not shipped.

#![forbid(unsafe_code)]

pub mod checkpoint_load;
pub mod checkpoint_store;
pub mod config;
pub mod container_lines;
pub mod decoder;
pub mod docker_json;
pub mod encoders;
mod framing;
pub mod grammars;
pub mod gzip;
mod input;
pub mod multiline;
mod obvious;
pub mod queue;
pub mod tailer;
pub mod text_lines;

/// A target: its name, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    ("checkpoint_load", checkpoint_load::run),
    ("checkpoint_store", checkpoint_store::run),
    ("config", config::run),
    ("container_lines", container_lines::run),
    ("decoder", decoder::run),
    ("docker_json", docker_json::run),
    ("encoders", encoders::run),
    ("grammars", grammars::run),
    ("gzip", gzip::run),
    ("multiline", multiline::run),
    ("queue", queue::run),
    ("tailer", tailer::run),
    ("text_lines", text_lines::run),
];
