//! Credentials' files: seen when they change, tried at the brokers, and only then taken.
//!
//! A mounted Secret changes by a flip of links, all files at once; other writers change one after the other.
//! What is broken, or is not let in, is said, and tried again: the broker may hear of a new password later than
//! the file does. Until then what was good stays in force. The token of OAUTHBEARER is none of this: the
//! sink reads it whenever it needs one.

use std::path::PathBuf;

use crd::{Settings, SinkTarget};
use sink::kafka::KafkaConfig;

use super::trial::Trial;
use super::watch_files::Fingerprint;
use crate::plan::{self, Credentials};

/// Pause before what was refused is tried again, in nanoseconds.
///
/// 10 s: people and operators change both sides within minutes.
const AGAIN_NS: u64 = 10_000_000_000;

/// Those in force, and the files that they came from.
#[derive(Debug)]
pub(super) struct CredentialWatch {
    in_force: Credentials,
    /// Of the files as they were taken or refused.
    fingerprint: Fingerprint,
    /// Of a change, as the look before saw it.
    seen: Option<Fingerprint>,
    /// When what was refused is tried again.
    again_ns: Option<u64>,
    /// New ones that are being tried.
    trial: Option<(Credentials, Trial)>,
}

/// What came of a look.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing is new.
    Nothing,
    /// What is in the files is what is in force.
    Good,
    /// What is in the files cannot be used, and why.
    Refused(String),
    /// What is in the files was let in, and is in force from now on.
    Taken,
}

impl CredentialWatch {
    /// Reads those of `settings`.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(super) fn read(settings: &Settings) -> anyhow::Result<CredentialWatch> {
        // Before they are read: a change meanwhile is seen afterwards.
        let fingerprint = Fingerprint::of(&files(settings));
        let in_force = Credentials::read(settings)?;
        Ok(CredentialWatch { in_force, fingerprint, seen: None, again_ns: None, trial: None })
    }

    pub(super) fn in_force(&self) -> &Credentials {
        &self.in_force
    }

    /// Sees whether there are new ones.
    pub(super) fn look(&mut self, settings: &Settings, now_ns: u64) -> Look {
        if let Some((new, trial)) = self.trial.take() {
            return match trial.outcome() {
                Some(Ok(())) => {
                    self.in_force = new;
                    Look::Taken
                }
                Some(Err(why)) => self.refuse(why, now_ns),
                None => {
                    self.trial = Some((new, trial));
                    Look::Nothing
                }
            };
        }
        let fingerprint = Fingerprint::of(&files(settings));
        let is_due = self.again_ns.is_some_and(|it| now_ns >= it);
        if fingerprint != self.fingerprint {
            // A change that is still being written is looked at again.
            if self.seen.as_ref() != Some(&fingerprint) {
                self.seen = Some(fingerprint);
                return Look::Nothing;
            }
        } else if !is_due {
            return Look::Nothing;
        }
        self.fingerprint = fingerprint;
        self.again_ns = None;
        match Credentials::read(settings) {
            Err(error) => self.refuse(format!("{error:#}"), now_ns),
            Ok(new) if new == self.in_force => Look::Good,
            Ok(new) => {
                let configs = self.changed(settings, &new);
                match configs.and_then(|it| Ok(Trial::start(it)?)) {
                    Ok(trial) => self.trial = Some((new, trial)),
                    Err(error) => return self.refuse(format!("{error:#}"), now_ns),
                }
                Look::Nothing
            }
        }
    }

    fn refuse(&mut self, why: String, now_ns: u64) -> Look {
        self.again_ns = Some(now_ns + AGAIN_NS);
        Look::Refused(why)
    }

    /// The configurations of sinks for which `new` has others.
    fn changed(
        &self,
        settings: &Settings,
        new: &Credentials,
    ) -> anyhow::Result<Vec<(String, KafkaConfig)>> {
        let changed =
            settings.sinks.iter().filter(|it| self.in_force.of(&it.name) != new.of(&it.name));
        changed
            .filter_map(|it| match &it.target {
                SinkTarget::Kafka(kafka) => Some((it, kafka)),
                _ => None,
            })
            .map(|(it, kafka)| {
                Ok((it.name.clone(), plan::kafka_config(it, kafka, &settings.agent, new)?))
            })
            .collect()
    }
}

fn files(settings: &Settings) -> Vec<PathBuf> {
    let kafkas = settings.sinks.iter().filter_map(|it| match &it.target {
        SinkTarget::Kafka(kafka) => Some(kafka),
        _ => None,
    });
    kafkas.flat_map(crd::KafkaSettings::credential_files).collect()
}
