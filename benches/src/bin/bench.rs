//! `bench`: runs the real agent under load and holds what it costs against floors and goals.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use benches::agent::version;
use benches::machine::Machine;
use benches::report::{Goal, Section};
use benches::scenario::{Scenario, Settings};
use benches::size::Size;
use clap::{Parser, ValueEnum};

/// Runs the real agent under load and holds what it costs against floors and goals.
///
/// Inputs are generated into the scratch folder, so that they are in the page cache. Each scenario
/// starts `logferry run -f CONFIG` as a child with an empty state, waits until the metric
/// logferry_delivered_bytes_total reaches the size of the input, and ends it by SIGTERM. CPU is
/// user and system time of the whole process from start to end; MB are 10^6 bytes of input. Exit
/// code 0 if all goals are met, 1 if not, 2 if a scenario could not be run.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Args {
    /// The agent to run
    #[arg(long, value_name = "FILE", default_value = "target/release/logferry")]
    logferry: PathBuf,
    /// The log disk to run
    #[arg(long, value_name = "FILE", default_value = "target/release/logdisk")]
    logdisk: PathBuf,
    /// Folder for input, state and queue; the input should be in memory
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    scratch: PathBuf,
    /// Run only these scenarios; `kafka` stands for all whose names begin with `kafka-`
    #[arg(long, value_delimiter = ',', value_parser = Choice::parse)]
    only: Vec<Choice>,
    /// Runs of each scenario; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Input of the throughput scenarios
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    size: Size,
    /// Seconds to let the idle agent settle
    #[arg(long, value_name = "S", default_value_t = 10)]
    settle_seconds: u64,
    /// Seconds to look at the idle agent
    #[arg(long, value_name = "S", default_value_t = 60)]
    idle_seconds: u64,
    /// Seconds to write at 10 MB/s
    #[arg(long, value_name = "S", default_value_t = 30)]
    paced_seconds: u64,
    /// New files of the latency scenario
    #[arg(long, value_name = "N", default_value_t = 1000)]
    latency_files: u32,
    /// Seconds that Kafka is away while memory is looked at, each time
    #[arg(long, value_name = "S", default_value_t = 45)]
    outage_seconds: u64,
    /// Seconds to measure a tenant's latency, alone and beside others
    #[arg(long, value_name = "S", default_value_t = 15)]
    isolation_seconds: u64,
    /// Names the input
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write a section for benches/RESULTS.md to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// One scenario, or some that are alike.
#[derive(Debug, Clone)]
struct Choice(Vec<Scenario>);

impl Choice {
    fn parse(text: &str) -> Result<Choice, String> {
        let is_meant = |name: &str| {
            name.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let named =
            |it: &&Scenario| it.to_possible_value().is_some_and(|it| is_meant(it.get_name()));
        let chosen: Vec<Scenario> =
            Scenario::value_variants().iter().filter(named).copied().collect();
        if chosen.is_empty() {
            let names = Scenario::value_variants().iter().filter_map(Scenario::to_possible_value);
            let names: Vec<String> = names.map(|it| it.get_name().to_owned()).collect();
            return Err(format!("no such scenario; want some of {}", names.join(", ")));
        }
        Ok(Choice(chosen))
    }
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn bench(args: &Args) -> anyhow::Result<bool> {
    let agent = version(&args.logferry)?;
    let scratch = args
        .scratch
        .canonicalize()
        .with_context(|| format!("--scratch {}", args.scratch.display()))?;
    let machine = Machine::this(&scratch);
    let settings = Settings {
        logferry: args.logferry.clone(),
        logdisk: args.logdisk.clone(),
        scratch,
        runs: args.runs.max(1),
        input_bytes: args.size.0,
        settle_seconds: args.settle_seconds,
        idle_seconds: args.idle_seconds,
        paced_seconds: args.paced_seconds,
        latency_files: args.latency_files,
        outage_seconds: args.outage_seconds,
        isolation_seconds: args.isolation_seconds,
        seed: args.seed,
    };
    let chosen: Vec<Scenario> = args.only.iter().flat_map(|it| it.0.clone()).collect();
    let scenarios = if chosen.is_empty() { Scenario::value_variants() } else { chosen.as_slice() };
    let mut sections = Vec::new();
    for scenario in scenarios {
        let section = scenario.run(&settings)?;
        println!("{}", section.to_text());
        sections.push(section);
        // After each scenario, so that a later failure loses nothing.
        if let Some(path) = &args.markdown {
            std::fs::write(path, markdown(&agent, &machine, &sections))
                .with_context(|| path.display().to_string())?;
        }
    }
    Ok(sections.iter().flat_map(|section| &section.goals).all(Goal::is_met))
}

fn markdown(agent: &str, machine: &Machine, sections: &[Section]) -> String {
    let command: Vec<String> = std::env::args().collect();
    let mut text = format!(
        "## {agent}\n\n{}- zstd {}, memchr by run-time detection; medians of the runs shown\n- \
         command: `{}`\n\nMB are 10^6 bytes of input; per CPU s means by user and system time of \
         the whole agent process from start to end, against the time of the floor's thread \
         (process for cat) on the same file before each run.\n\n",
        machine.to_markdown(),
        zstd::zstd_safe::version_string(),
        command.join(" ")
    );
    for section in sections {
        text.push_str(&section.to_markdown());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_chosen_by_its_name_and_several_by_the_first_words() {
        let names = |text: &str| -> Vec<String> {
            let chosen = Choice::parse(text).unwrap().0;
            let names = chosen.iter().filter_map(Scenario::to_possible_value);
            names.map(|it| it.get_name().to_owned()).collect()
        };
        assert_eq!(names("latency"), ["latency"]);
        assert_eq!(names("files-200"), ["files-200"]);
        assert_eq!(names("kafka"), ["kafka-throughput", "kafka-outage", "kafka-catch-up"]);
        assert_eq!(names("isolation").len(), 9);
        assert_eq!(names("logdisk").len(), 4);
        for text in ["kaf", "", "kafka-", "isolation-none"] {
            assert!(Choice::parse(text).unwrap_err().contains("isolation-regex"), "{text}");
        }
    }
}
