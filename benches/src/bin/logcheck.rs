//! `logcheck`: compares delivered records with what `loggen` wrote.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use benches::check::{CheckOptions, Checker};
use benches::truth::read_truth;
use clap::{Parser, ValueEnum};

/// Input is read in pieces of this size.
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A summary, and the faulty streams
    Human,
    /// One JSON object
    Json,
}

/// Proves from delivered records alone that every line of a load arrived once, whole and in order.
///
/// Reads records from standard input, one JSON object a line, as `logferry tail --output json`
/// prints them: `body`, `log.cursor`, `log.context.id`, and where it comes from. Exit code 0 if all
/// is as it must be, 1 if not, 2 if it could not be checked.
#[derive(Debug, Parser)]
#[command(name = "logcheck", version)]
struct Args {
    /// File that loggen --truth wrote; may be given several times for several loads
    #[arg(long, value_name = "FILE", required = true)]
    truth: Vec<PathBuf>,
    /// Leave out records whose cursor is not above the last one of their context, as consumers do
    #[arg(long)]
    dedup: bool,
    /// Lines that arrive again are no fault
    #[arg(long)]
    allow_doubled: bool,
    /// Do not compare log.file.path
    #[arg(long)]
    ignore_path: bool,
    /// How to print the verdict
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

fn main() -> ExitCode {
    match check(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("logcheck: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(args: &Args) -> anyhow::Result<bool> {
    let mut truth = Vec::new();
    for path in &args.truth {
        truth.extend(read_truth(path)?);
    }
    let options = CheckOptions {
        dedup: args.dedup,
        allow_doubled: args.allow_doubled,
        ignore_path: args.ignore_path,
    };
    let mut checker = Checker::new(truth, options);
    let mut input = BufReader::with_capacity(READ_BYTES, io::stdin().lock());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line != b"\n" {
            checker.take_line(&line);
        }
        line.clear();
    }
    let verdict = checker.finish();
    match args.output {
        Output::Human => print!("{verdict}"),
        Output::Json => println!("{}", serde_json::to_string(&verdict)?),
    }
    Ok(verdict.ok)
}
