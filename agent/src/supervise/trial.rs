//! Trial: whether brokers let a sink in, asked on a thread of its own.
//!
//! The supervisor has other things to do than to wait for brokers.

use std::io;
use std::time::Duration;

use crossbeam::channel::{Receiver, TryRecvError, bounded};
use sink::kafka::KafkaConfig;

/// How long the brokers of a sink may take to let it in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question to brokers that is being answered.
#[derive(Debug)]
pub(super) struct Trial {
    outcome: Receiver<Result<(), String>>,
}

impl Trial {
    /// Tries sinks, by name and configuration: all have to be let in.
    ///
    /// # Errors
    /// If there are no threads.
    pub(super) fn start(configs: Vec<(String, KafkaConfig)>) -> io::Result<Trial> {
        let (sender, outcome) = bounded(1);
        let body = move || {
            let mut last = Ok(());
            for (name, config) in &configs {
                last = sink::kafka::try_access(config, PATIENCE)
                    .map_err(|it| format!("LogSink {name}: {it}"));
                if last.is_err() {
                    break;
                }
            }
            // Nobody waits for it any more when the agent ends.
            drop(sender.send(last));
        };
        std::thread::Builder::new().name("lf-try".to_owned()).spawn(body)?;
        Ok(Trial { outcome })
    }

    /// What came of it; `None` as long as it goes on.
    pub(super) fn outcome(&self) -> Option<Result<(), String>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err("a trial ended without an answer".to_owned()))
            }
        }
    }
}
