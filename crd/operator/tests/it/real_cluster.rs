//! With a real API server.

mod aliyun;
mod leader;
mod scale;
mod status;
mod webhook;
