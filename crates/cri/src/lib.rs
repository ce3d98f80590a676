//! cri: how one talks with a container runtime: a client of its socket, and the messages of the CRI (`runtime.v1`).
//!
//! Knows nothing of what is asked or why: the agent asks what there is, and tests ask for pods as the kubelet does.

#![forbid(unsafe_code)]

mod client;
pub mod message;

pub use client::Client;
