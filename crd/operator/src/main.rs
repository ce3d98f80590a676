//! logferry-operator: what a cluster needs once, beside the agents on its nodes.
//!
//! Two or more replicas run, of which one leads ([`leader`]). What only the leader does are the [`controllers`]; what
//! every replica does is to answer: whoever watches it ([`web`]), and the API server ([`webhook`]). It collects
//! nothing: without it all logs are delivered as before.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod certificate;
mod cluster;
mod controllers;
mod flags;
mod inject;
mod leader;
mod logging;
mod metrics;
mod operator;
mod pace;
mod signals;
mod watch;
mod web;
mod webhook;
mod work_queue;

use flags::Flags;

/// The configuration or the command line is wrong; clap uses 2 as well.
const EXIT_USAGE: u8 = 2;
/// The API server, the address or the lease cannot be used.
const EXIT_UNUSABLE: u8 = 3;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Err(problem) = flags.check() {
        eprintln!("logferry-operator: {problem}");
        return EXIT_USAGE.into();
    }
    logging::start(flags.log_level, flags.logging_format);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.map_err(anyhow::Error::from).and_then(|it| it.block_on(operator::run(flags)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ended");
            EXIT_UNUSABLE.into()
        }
    }
}
