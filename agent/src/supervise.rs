//! Supervisor: starts the data plane, keeps it running, puts changes of the configuration in force,
//! and stops it in good order. On the main thread, by tokio.
//!
//! Whatever needs another data plane (a changed configuration, a sink in an unknown state, a dropped
//! ticket) goes the same way: stop within the grace, start again from the checkpoint and from what
//! the queue holds. So a reload can lose or double nothing that a restart cannot. Only Kafka's clients outlive a plane
//! that ended in good order (`plan/producers.rs`).

use std::collections::{BTreeSet, HashMap};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crd::{LogFormat, LogLevel, LogSettings, Settings};
use cri_watch::ContainerWatch;
use flow::{Attribute, Clock, nanoseconds};
use kube_watch::Access;
use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::meter::{Meter, Observe};
use pipeline::plane::{DataPlane, World};
use sink::spool::HeldFor;
use tokio::time::MissedTickBehavior;
use tracing_subscriber::EnvFilter;

use crate::cluster;
use crate::configuration::Configuration;
use crate::exit::{Exit, Failure, Outcome};
use crate::metrics::{self, Latency};
use crate::recall::Recall;
use crate::status::{AwaitedSpool, Status};
use crate::{log_node, place, plan, web};

mod absent;
mod containers;
mod credentials;
mod drain;
mod last_resort;
mod progress;
mod reload;
mod signals;
mod trial;
mod watch_files;
use absent::AbsentSinks;
use credentials::{CredentialWatch, Look};
pub(crate) use last_resort::Grace;
use progress::Progress;
pub(crate) use signals::Signals;
use watch_files::Fingerprint;

/// How often the supervisor looks at the data plane and at the configuration's files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the histogram's samples are summed up, in looks.
const UPKEEP_LOOKS: u64 = 5;
/// First pause before a failed data plane is started again.
const RESTART_FIRST: Duration = Duration::from_millis(500);
/// Longest pause before a failed data plane is started again.
const RESTART_MAX: Duration = Duration::from_secs(30);

/// Sends the agent's own log to standard error.
pub(crate) fn start_log(settings: LogSettings) {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let log = tracing_subscriber::fmt()
        // What the client of the API server calls errors is tried again, and said once by us.
        .with_env_filter(EnvFilter::new(format!("{level},kube_client=off")))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match settings.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Keeps the agent running.
#[derive(Debug)]
pub(crate) struct Supervisor {
    settings: Settings,
    configuration: Configuration,
    /// Of what is in force, or was refused.
    fingerprint: Fingerprint,
    /// Of a change, as the look before saw it.
    seen_fingerprint: Option<Fingerprint>,
    /// What was warned of, so that each is said once.
    unknowable: BTreeSet<String>,
    credentials: CredentialWatch,
    absent: AbsentSinks,
    /// Asks the container runtime, as long as somebody wants files inside of containers.
    containers: Option<ContainerWatch>,
    /// Sinks that were away when the last data plane ended, and why.
    away: HashMap<String, String>,
    /// What records of the pod bear beside its names, if this is a sidecar.
    pod_attributes: Vec<Attribute>,
    /// Of the data plane that runs, or of the last one if it ended in good order.
    producers: plan::Producers,
    world: World,
    status: Arc<Status>,
    prometheus: PrometheusHandle,
    plane: Option<DataPlane>,
    /// Gives log disks back what they have given back.
    recall: Option<Recall>,
    restart_pause: Duration,
    restart_at_ns: u64,
    progress: Option<Progress>,
    grace: Grace,
}

impl Supervisor {
    /// Starts collecting.
    ///
    /// # Errors
    /// If state or queue cannot be used.
    pub(crate) fn start(
        mut configuration: Configuration,
        clock: Arc<dyn Clock>,
        with_progress: bool,
    ) -> Result<Supervisor, Failure> {
        let prometheus = metrics::install()?;
        // Before it is read: a change meanwhile is seen afterwards.
        let fingerprint = Fingerprint::of(configuration.paths());
        let settings = configuration
            .load()
            .map_err(|problems| Failure::usage(anyhow::anyhow!("{problems}")))?;
        let meter = Arc::new(Meter::default());
        let observe: Arc<dyn Observe> = Arc::new(Latency::new());
        let world = World { clock: Arc::clone(&clock), meter: Arc::clone(&meter), observe };
        let credentials = CredentialWatch::read(&settings).map_err(Failure::unusable)?;
        let watches = configuration.cluster().map(|it| it.watched().meters()).unwrap_or_default();
        let grace = Grace::new(settings.agent.shutdown_grace);
        grace.watch().map_err(Failure::unusable)?;
        let progress = with_progress.then(|| Progress::new(clock.monotonic_ns()));
        let mut supervisor = Supervisor {
            settings,
            configuration,
            fingerprint,
            seen_fingerprint: None,
            unknowable: BTreeSet::new(),
            credentials,
            absent: AbsentSinks::default(),
            away: HashMap::new(),
            pod_attributes: Vec::new(),
            producers: plan::Producers::default(),
            containers: None,
            status: Arc::new(Status::new(clock, meter, watches)),
            world,
            prometheus,
            plane: None,
            recall: None,
            restart_pause: RESTART_FIRST,
            restart_at_ns: 0,
            progress,
            grace,
        };
        supervisor.tell_refused();
        supervisor.tell_unknowable();
        supervisor.start_plane().map_err(Failure::unusable)?;
        Ok(supervisor)
    }

    /// Runs until a signal says stop, and with `drains` until all there is was read, too. With `tell_cluster` the LogNode of
    /// this node is kept up to date.
    pub(crate) async fn run(
        mut self,
        mut signals: Signals,
        tell_cluster: Option<Access>,
        drains: bool,
    ) -> Outcome {
        let listen = self.settings.agent.listen;
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("{listen}: cannot listen; set another `listen` in the Agent"))
            .map_err(Failure::unusable)?;
        web::start(listener, Arc::clone(&self.status), self.prometheus.clone())
            .map_err(Failure::unusable)?;
        if let Some(access) = tell_cluster {
            let node = place::of(&self.settings.agent).node;
            log_node::start(access, node, Arc::clone(&self.status)).map_err(Failure::unusable)?;
        }
        tracing::info!(%listen, version = env!("CARGO_PKG_VERSION"), "collecting");
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        let watched = self.configuration.cluster().map(cluster::Cluster::watched);
        let mut changed = pin!(cluster::wait_changed(watched.clone()));
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hangup.recv() => self.reload_now(),
                () = &mut changed => {
                    self.reload_if_cluster_changed();
                    changed.set(cluster::wait_changed(watched.clone()));
                }
                _ = looks.tick() => {
                    number += 1;
                    self.look(number);
                }
            }
        }
        let deadline_ns = self.deadline_ns();
        if drains {
            self.drain(deadline_ns).await;
        }
        Ok(self.finish(deadline_ns))
    }

    fn look(&mut self, number: u64) {
        self.watch_plane();
        self.reload_if_files_changed();
        self.take_new_labels();
        self.take_new_credentials();
        self.take_absent_sinks();
        if let Some(progress) = &mut self.progress {
            progress.print(&self.world.meter, self.world.clock.monotonic_ns());
        }
        if number.is_multiple_of(UPKEEP_LOOKS) {
            self.prometheus.run_upkeep();
        }
    }

    fn start_plane(&mut self) -> anyhow::Result<()> {
        let watched = self.configuration.facts(&self.settings);
        let (credentials, clock) = (self.credentials.in_force(), &self.world.clock);
        self.containers = containers::keep(self.containers.take(), &self.settings)?;
        let containers = self.containers.as_ref().map(ContainerWatch::containers);
        let resolved = plan::resolve(
            &self.settings,
            credentials,
            watched.as_ref(),
            containers.as_ref(),
            &self.away,
            std::mem::take(&mut self.producers),
            clock,
        )?;
        self.pod_attributes.clone_from(&resolved.plan.place.pod_attributes);
        let plane = DataPlane::start(resolved.plan, self.world.clone())?;
        if let Some(watched) = watched {
            let discovery = plane.discovery_waker();
            let wakes = discovery.clone();
            watched.pods.listen(move || wakes.unpark());
            watched.namespaces.listen(move || discovery.unpark());
        }
        if let Some(containers) = &containers {
            let discovery = plane.discovery_waker();
            containers.listen(move || discovery.unpark());
        }
        for damage in &plane.damage {
            tracing::error!(%damage, "checkpoint");
        }
        let mut now = self.status.now();
        now.reporter = Some(plane.reporter());
        now.plane_problem = None;
        now.containers = containers;
        now.queues = resolved.queues;
        now.spools = resolved.spools;
        for absent in &resolved.absent {
            let why = absent.arrival.why();
            let problem = format!("{why}; what goes there waits, the rest goes on");
            tracing::error!(problem, "a sink is absent; trying again");
            now.plane_problem = Some(problem);
        }
        let mut spools = Vec::new();
        for (sink, spool) in resolved.late_spools {
            let (why, held_for) = (spool.why(), spool.held_for());
            let problem = format!("LogSink {sink}: no spool: {why}; {held_for}");
            tracing::error!(problem, "a spool cannot be opened; trying again");
            if *held_for != HeldFor::Tenants(BTreeSet::new()) {
                now.plane_problem = Some(problem);
            }
            spools.push(Arc::clone(&spool));
            let of_sink = self.settings.log_configs.iter().filter(|it| *it.sink == *sink);
            let log_configs = of_sink.map(|it| it.name.to_string()).collect();
            now.late_spools.push(AwaitedSpool { sink, log_configs, spool });
        }
        drop(now);
        self.absent.are(resolved.absent, spools);
        self.producers = resolved.producers;
        self.plane = Some(plane);
        self.recall = Recall::keep(
            self.recall.take(),
            &self.settings,
            self.credentials.in_force(),
            resolved.has_recall,
        );
        Ok(())
    }

    /// When the grace is over that begins now.
    fn deadline_ns(&self) -> u64 {
        let grace = self.settings.agent.shutdown_grace;
        self.world.clock.monotonic_ns().saturating_add(nanoseconds(grace))
    }

    /// Stops the plane within the grace; nothing of it is left when this returns.
    fn stop_plane(&mut self) -> bool {
        self.stop_plane_until(self.deadline_ns())
    }

    fn stop_plane_until(&mut self, deadline_ns: u64) -> bool {
        self.status.now().forget_plane();
        self.away = self.absent.take_away();
        let Some(plane) = self.plane.take() else { return true };
        let stopped = plane.stop(deadline_ns);
        if !stopped.is_clean || !stopped.is_stored {
            // What the topics have and no checkpoint is read back by who opens them again.
            self.producers = plan::Producers::default();
        }
        if !stopped.is_clean {
            let dropped_tickets = stopped.dropped_tickets;
            tracing::warn!(dropped_tickets, "not everything read was delivered; it is read again");
        }
        stopped.is_clean
    }

    /// Replaces a plane that cannot go on; starts one where there is none.
    fn watch_plane(&mut self) {
        let now_ns = self.world.clock.monotonic_ns();
        if let Some(plane) = &self.plane {
            self.status.now().memory = plane.memory_used();
            let Some(reason) = plane.failure() else { return };
            tracing::error!(reason, "the data plane cannot go on; starting another");
            self.status.now().plane_problem = Some(reason);
            self.stop_plane();
            self.restart_later(now_ns);
            return;
        }
        if now_ns < self.restart_at_ns {
            return;
        }
        self.status.now().restarts += 1;
        if let Err(error) = self.start_plane() {
            let problem = format!("{error:#}");
            tracing::error!(problem, "the data plane did not start; trying again");
            self.status.now().plane_problem = Some(problem);
            self.restart_later(now_ns);
        }
    }

    fn restart_later(&mut self, now_ns: u64) {
        self.restart_at_ns = now_ns + nanoseconds(self.restart_pause);
        self.restart_pause = (self.restart_pause * 2).min(RESTART_MAX);
    }

    /// Starts the data plane anew with a sink that was absent.
    fn take_absent_sinks(&mut self) {
        if self.plane.is_some() && self.absent.is_one_back(&self.world.meter) {
            tracing::info!(
                "a sink or spool that was absent is back, and has what it was owed of removed files"
            );
            self.stop_plane();
            self.restart_at_ns = 0;
            self.watch_plane();
        }
    }

    /// Starts the data plane anew with credentials that the brokers have let in.
    fn take_new_credentials(&mut self) {
        let now_ns = self.world.clock.monotonic_ns();
        match self.credentials.look(&self.settings, now_ns) {
            Look::Nothing => {}
            Look::Good => self.status.now().credentials_problem = None,
            Look::Refused(problem) => {
                let mut now = self.status.now();
                if now.credentials_problem.as_ref() != Some(&problem) {
                    tracing::error!(
                        problem,
                        "new credentials refused; the last good ones stay in force"
                    );
                }
                now.credentials_problem = Some(problem);
            }
            Look::Taken => {
                tracing::info!("credentials changed; putting them in force");
                self.status.now().credentials_problem = None;
                self.start_anew();
            }
        }
    }

    fn finish(mut self, deadline_ns: u64) -> Exit {
        tracing::info!("stopping");
        let is_clean = self.stop_plane_until(deadline_ns);
        if let Some(progress) = &mut self.progress {
            progress.print(&self.world.meter, self.world.clock.monotonic_ns());
        }
        tracing::info!(is_clean, "stopped");
        if is_clean { Exit::Done } else { Exit::Unfinished }
    }
}
