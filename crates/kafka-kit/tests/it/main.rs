//! The kit with real brokers and a real client: one shared broker for what can share it, and few others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod audit;
mod leaders;
mod life;
mod listeners;
mod producer;
mod proxy;
mod rules;
mod shared;
mod topics;
