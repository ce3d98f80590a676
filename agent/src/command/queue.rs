//! Finds the embedded queue that a reading command means.

use sink::queue::{Problem, QueueReader};

use super::load;
use crate::cli::Place;
use crate::exit::Failure;

/// Opens the queue for reading.
pub(super) fn open(place: &Place) -> Result<QueueReader, Failure> {
    let directory = match &place.queue {
        Some(directory) => directory.clone(),
        None => {
            let settings = load(&place.paths)?;
            let queues = settings.sinks.into_iter().filter_map(|sink| match sink.target {
                crd::SinkTarget::Queue(queue) => Some((sink.name, queue.path)),
                _ => None,
            });
            let wanted = |name: &str| place.sink.as_deref().is_none_or(|wanted| wanted == name);
            let mut queues: Vec<_> = queues.filter(|(name, _)| wanted(name)).collect();
            match (queues.pop(), queues.is_empty()) {
                (Some((_, path)), true) => path,
                (Some(_), false) => {
                    let error =
                        anyhow::anyhow!("more than one LogSink has a queue; name one with --sink");
                    return Err(Failure::usage(error));
                }
                (None, _) => {
                    let error = anyhow::anyhow!(
                        "no such LogSink with an embedded queue in the configuration; give --queue DIR or --kafka BROKERS"
                    );
                    return Err(Failure::usage(error));
                }
            }
        }
    };
    QueueReader::open(&directory).map_err(Failure::unusable)
}

/// The tenants that a command is about.
pub(super) fn tenants(reader: &QueueReader, only: Option<&str>) -> Result<Vec<String>, Failure> {
    match only {
        Some(tenant) => Ok(vec![tenant.to_owned()]),
        None => reader.tenants().map_err(Failure::unusable),
    }
}

/// Says what could not be read: what follows it is whole.
pub(super) fn warn(problem: &Problem) {
    eprintln!("logferry: {problem}");
}
