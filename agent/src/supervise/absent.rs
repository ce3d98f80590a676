//! Absent sinks: those whose brokers could not be read back from when the data plane started.
//!
//! What goes to them is not read, as nobody knows where to go on; other sinks are not held up. They are asked
//! for at times, and once one lets the agent in, the data plane starts anew with it.

use std::time::Duration;

use sink::kafka::KafkaConfig;

use super::trial::{Trial, Wanted};
use super::{RESTART_FIRST, RESTART_MAX};

/// The absent sinks of the data plane that runs.
#[derive(Debug)]
pub(super) struct AbsentSinks {
    configs: Vec<(String, KafkaConfig)>,
    pause: Duration,
    again_ns: u64,
    trial: Option<Trial>,
}

impl AbsentSinks {
    /// None is absent.
    pub(super) fn none() -> AbsentSinks {
        AbsentSinks { configs: Vec::new(), pause: RESTART_FIRST, again_ns: 0, trial: None }
    }

    /// A data plane has started without these.
    pub(super) fn are(&mut self, configs: Vec<(String, KafkaConfig)>, now_ns: u64) {
        // The pause grows while there are some, however often the plane starts.
        let pause =
            if configs.is_empty() { RESTART_FIRST } else { (self.pause * 2).min(RESTART_MAX) };
        *self = AbsentSinks { configs, pause, again_ns: 0, trial: None };
        self.later(now_ns);
    }

    /// Whether one of them would be let in now.
    pub(super) fn is_one_back(&mut self, now_ns: u64) -> bool {
        let outcome = self.trial.as_ref().and_then(Trial::outcome);
        match outcome {
            Some(outcome) => {
                self.trial = None;
                self.later(now_ns);
                outcome.is_ok()
            }
            None if self.trial.is_some() || self.configs.is_empty() || now_ns < self.again_ns => {
                false
            }
            None => {
                match Trial::start(self.configs.clone(), Wanted::Any) {
                    Ok(trial) => self.trial = Some(trial),
                    Err(error) => {
                        tracing::warn!(%error, "absent sinks are asked for later");
                        self.later(now_ns);
                    }
                }
                false
            }
        }
    }

    fn later(&mut self, now_ns: u64) {
        let pause_ns = u64::try_from(self.pause.as_nanos()).unwrap_or(u64::MAX);
        self.again_ns = now_ns.saturating_add(pause_ns);
    }
}
