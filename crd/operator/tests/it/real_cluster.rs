//! With a real API server.

mod leader;
mod scale;
mod status;
mod webhook;
