//! Logging: to standard error, as the agent's.

use tracing_subscriber::EnvFilter;

use crate::flags::{Level, LogFormat};

/// Sends the log to standard error.
pub(crate) fn start(level: Level, format: LogFormat) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let log = tracing_subscriber::fmt()
        // What the client of the API server calls errors is tried again, and said once by us.
        .with_env_filter(EnvFilter::new(format!("{level},kube_client=off,kube_runtime=off")))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
