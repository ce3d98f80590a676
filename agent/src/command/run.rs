//! `logferry run`: collect and ship until told to stop.

use std::sync::Arc;

use crd::SinkTarget;
use flow::SystemClock;

use super::load;
use crate::cli::RunOptions;
use crate::exit::{Failure, Outcome};
use crate::supervise::{Signals, Supervisor};
use crate::{allocator, place, supervise};

pub(crate) fn run(options: &RunOptions) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("lf-ctl")
        .max_blocking_threads(2)
        .build()
        .map_err(Failure::unusable)?;
    let paths = options.config.paths.clone();
    runtime.block_on(async {
        // First of all: as the first process of a container nobody else would hear them.
        let signals = Signals::listen()?;
        let settings = load(&paths)?;
        supervise::start_log(settings.agent.log);
        // One that comes with a reload finds threads running: it costs more until the next start.
        let has_kafka = settings.sinks.iter().any(|it| matches!(it.target, SinkTarget::Kafka(_)));
        allocator::give_back_what_is_freed(has_kafka);
        place::raise_open_files();
        let clock = Arc::new(SystemClock);
        let supervisor = Supervisor::start(settings, paths, clock, options.progress)?;
        supervisor.run(signals).await
    })
}
