//! Reload: a changed configuration is put in force by another data plane; a bad one is said and left.

use crd::Settings;

use super::{CredentialWatch, Fingerprint, RESTART_FIRST, Supervisor};
use crate::cluster::Cluster;
use crate::{place, plan};

impl Supervisor {
    /// Somebody says that the configuration is written: no second look is needed.
    pub(super) fn reload_now(&mut self) {
        tracing::info!("hangup: looking at the configuration");
        self.seen_fingerprint = Some(Fingerprint::of(self.configuration.paths()));
        self.reload_if_files_changed();
    }

    /// Loads the configuration again if its files changed.
    pub(super) fn reload_if_files_changed(&mut self) {
        let fingerprint = Fingerprint::of(self.configuration.paths());
        if fingerprint == self.fingerprint {
            return;
        }
        // A change that is still being written is looked at again.
        if self.seen_fingerprint.as_ref() != Some(&fingerprint) {
            self.seen_fingerprint = Some(fingerprint);
            return;
        }
        self.fingerprint = fingerprint;
        self.reload();
    }

    /// Loads the configuration again if the cluster's resources are others, or could not be put in force before.
    pub(super) fn reload_if_cluster_changed(&mut self) {
        let has_news = self.configuration.cluster().is_some_and(Cluster::has_news);
        if has_news || self.status.now().config_problem.is_some() {
            self.reload();
        }
    }

    /// Loads the configuration, and puts it in force if it says anything else.
    fn reload(&mut self) {
        let settings = match self.configuration.load() {
            Ok(settings) => settings,
            Err(problems) => {
                tracing::error!(
                    "configuration refused; the last good one stays in force:\n{problems}"
                );
                let mut now = self.status.now();
                now.reload_failures += 1;
                now.config_problem = Some(problems.to_string());
                return;
            }
        };
        self.tell_refused();
        // In a cluster nothing may be left; an empty file is a mistake.
        let is_cluster = self.configuration.cluster().is_some();
        if settings.sinks.is_empty() && !self.settings.sinks.is_empty() && !is_cluster {
            let problem = "nothing is left of it: no LogSink; the last good one stays in force";
            tracing::error!(problem, "configuration refused");
            let mut now = self.status.now();
            now.reload_failures += 1;
            now.config_problem = Some(problem.to_owned());
            return;
        }
        self.status.now().config_problem = None;
        if settings == self.settings
            && !self.configuration.cluster().is_some_and(Cluster::has_moved)
        {
            return;
        }
        self.put_in_force(settings);
    }

    fn put_in_force(&mut self, settings: Settings) {
        if settings.agent.listen != self.settings.agent.listen {
            tracing::warn!("a changed `listen` takes effect at the next start of the process");
        }
        let credentials = match CredentialWatch::read(&settings) {
            Ok(credentials) => credentials,
            Err(error) => return self.refuse_changed(&error),
        };
        if let Err(error) = plan::check(&settings) {
            return self.refuse_changed(&error);
        }
        tracing::info!("configuration changed; putting it in force");
        let began_ns = self.world.clock.monotonic_ns();
        self.stop_plane();
        let last_good = std::mem::replace(&mut self.settings, settings);
        let last_credentials = std::mem::replace(&mut self.credentials, credentials);
        if let Err(error) = self.start_plane() {
            self.refuse_changed(&error);
            self.settings = last_good;
            self.credentials = last_credentials;
            self.restart_at_ns = 0;
            return;
        }
        self.tell_unknowable();
        self.grace.set(self.settings.agent.shutdown_grace);
        self.restart_pause = RESTART_FIRST;
        let took_ms = (self.world.clock.monotonic_ns() - began_ns) / 1_000_000;
        tracing::info!(took_ms, "configuration in force");
        let mut now = self.status.now();
        now.reloads += 1;
        now.credentials_problem = None;
    }

    /// Starts the data plane anew if labels of the pod that this is a sidecar of are others.
    pub(super) fn take_new_labels(&mut self) {
        let is_other = place::pod_attributes(&self.settings.agent) != self.pod_attributes;
        if is_other && self.plane.is_some() {
            tracing::info!("labels of the pod changed; records bear them from here on");
            self.start_anew();
        }
    }

    /// Stops the data plane and starts it at once, with what is known now.
    pub(super) fn start_anew(&mut self) {
        self.stop_plane();
        self.restart_pause = RESTART_FIRST;
        self.restart_at_ns = 0;
        self.watch_plane();
    }

    /// Says that a good configuration cannot be run.
    fn refuse_changed(&self, error: &anyhow::Error) {
        let problem = format!("{error:#}");
        tracing::error!(
            problem,
            "the changed configuration does not start; the last stays in force"
        );
        let mut now = self.status.now();
        now.reload_failures += 1;
        now.config_problem = Some(problem);
    }

    /// Warns of what can select nothing, as there is no API server: once, until it is changed.
    pub(super) fn tell_unknowable(&mut self) {
        if self.configuration.cluster().is_some() {
            return;
        }
        let now = plan::unknowable(&self.settings);
        now.difference(&self.unknowable).for_each(|it| tracing::warn!("{it}"));
        self.unknowable = now;
    }

    /// Tells the status which resources of the cluster are refused.
    pub(super) fn tell_refused(&self) {
        let Some(cluster) = self.configuration.cluster() else { return };
        let mut refused = std::collections::BTreeMap::new();
        for (key, _) in cluster.refused() {
            *refused.entry(key.kind).or_default() += 1;
        }
        let mut now = self.status.now();
        now.refused_resources = refused;
        now.log_configs = cluster.log_configs();
    }
}
