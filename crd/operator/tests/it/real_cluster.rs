//! With a real API server.

mod aliyun;
mod leader;
mod log_disk;
mod scale;
mod status;
mod webhook;
