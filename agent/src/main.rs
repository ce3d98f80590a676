//! logferry: the log collection agent, and the commands that look into its queue.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;
mod cluster;
mod command;
mod configuration;
mod exit;
mod log_node;
mod memory_plan;
mod metrics;
mod place;
mod plan;
mod recall;
mod status;
mod supervise;
mod web;

use cli::{Cli, Command};
use exit::Failure;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => command::run::run(&options),
        Command::Check(options) => command::check::run(&options),
        Command::Tail(options) => command::tail::run(&options),
        Command::Context(options) => command::context::run(&options),
        Command::Audit(options) => command::audit::run(&options),
        Command::Explain(options) => command::explain::run(&options),
        Command::Spool(options) => command::spool::run(&options),
        Command::Crds => command::crds::run(),
        Command::Convert(options) => command::convert::run(&options),
        Command::Version(options) => command::version::run(&options),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => exit::Exit::Done.into(),
        Err(failure) => {
            eprintln!("logferry: {}", failure.error_text());
            failure.exit.into()
        }
    }
}

impl Failure {
    /// The error and its causes, but none that the text before it has said already.
    fn error_text(&self) -> String {
        let mut text = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if !text.contains(&cause) {
                text.push_str(if text.is_empty() { "" } else { ": " });
                text.push_str(&cause);
            }
        }
        text
    }
}
