//! With a real API server.

mod leader;
mod webhook;
