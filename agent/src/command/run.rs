//! `logferry run`: collect and ship until told to stop.

use std::sync::Arc;

use crd::{Settings, SinkTarget};
use flow::SystemClock;
use kube_watch::{Access, ClusterOptions, StartError, Timing};

use super::load;
use crate::cli::RunOptions;
use crate::cluster::{self, Cluster};
use crate::configuration::{Configuration, state_path};
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
        let cluster = start_cluster(options, &settings)?;
        if let Some(cluster) = &cluster {
            cluster::wait_known(&cluster.watched()).await;
        }
        let configuration = Configuration::new(paths, cluster);
        let supervisor = Supervisor::start(configuration, Arc::new(SystemClock), options.progress)?;
        let tell_cluster = access(options).filter(|_| options.node_status);
        supervisor.run(signals, tell_cluster, options.drain).await
    })
}

/// How to reach the cluster, if there is to be one.
fn access(options: &RunOptions) -> Option<Access> {
    match &options.kubeconfig {
        Some(path) => Some(Access::Kubeconfig(path.clone())),
        None => options.kubernetes.then_some(Access::InCluster),
    }
}

/// Begins to watch the cluster, if there is to be one.
fn start_cluster(options: &RunOptions, settings: &Settings) -> Result<Option<Cluster>, Failure> {
    let Some(access) = access(options) else { return Ok(None) };
    let watched = kube_watch::Cluster::start(ClusterOptions {
        access,
        node_name: place::of(&settings.agent).node,
        state_path: state_path(&settings.agent.state_directory),
        timing: Timing::default(),
        asks_aliyun: options.aliyun.reach.is_some(),
        clock: Arc::new(SystemClock),
    });
    match watched {
        Ok(watched) => Ok(Some(Cluster::new(watched, options.aliyun.reach))),
        Err(error @ StartError::Thread(_)) => Err(Failure::unusable(error)),
        Err(error) => Err(Failure::usage(error)),
    }
}
