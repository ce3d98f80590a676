//! `logferry check`: all problems at once, or what the configuration comes to.

use std::io::Write;

use crate::cli::{CheckOptions, Output};
use crate::exit::{Exit, Failure, Outcome};
use crate::memory_plan::MemoryPlan;
use crate::plan;

pub(crate) fn run(options: &CheckOptions) -> Outcome {
    let mut out = std::io::stdout();
    let loaded = crd::load(&options.config.paths);
    let memory = match &loaded {
        Ok(settings) => Some(plan::check(settings).map_err(Failure::usage)?),
        Err(_) => None,
    };
    match (loaded, options.output) {
        (Ok(settings), Output::Text) => {
            if !settings.warnings.is_empty() {
                eprintln!("{}", settings.warnings);
            }
            if let Some(warning) = memory.as_ref().and_then(MemoryPlan::warning) {
                eprintln!("warning: {warning}");
            }
            plan::undrained(&settings).iter().for_each(|it| eprintln!("warning: {it}"));
            let (configs, sinks) = (settings.log_configs.len(), settings.sinks.len());
            writeln!(out, "ok: {configs} LogConfigs, {sinks} LogSinks; what it comes to:")?;
            writeln!(out, "{}", settings.describe())?;
            if let Some(memory) = memory {
                memory.to_string().lines().try_for_each(|line| writeln!(out, "# {line}"))?;
            }
            Ok(Exit::Done)
        }
        (Ok(settings), Output::Json) => {
            writeln!(out, "{}", settings.describe_json())?;
            Ok(Exit::Done)
        }
        (Err(problems), Output::Text) => {
            writeln!(out, "{problems}")?;
            Ok(Exit::Usage)
        }
        (Err(problems), Output::Json) => {
            writeln!(out, "{}", problems.to_json())?;
            Ok(Exit::Usage)
        }
    }
}
