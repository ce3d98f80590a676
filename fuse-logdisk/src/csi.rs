//! CSI: log disks as volumes of pods (ephemeral inline volumes), by the Container Storage Interface.
//!
//! One driver a node. The kubelet calls it for each pod; it starts a supervisor for each volume, and looks after what is left of
//! volumes whose pods are gone. It has nothing that must not be lost: what is there is written down beside the volumes, and
//! their connections are with the holder, so that the next driver goes on. All of it is one thread, which waits for
//! everything at once and never touches a mount.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::lock::Lock;
use crate::mounting;
use crate::options::bytes;

mod attributes;
mod calls;
mod driver;
pub mod message;
mod metrics;
mod node;
mod pod;
mod record;
mod registration;
mod supervised;
mod volumes;
mod web;

use attributes::Sizes;
use driver::Driver;
use record::State;
use registration::Registration;
use volumes::{How, Volumes};
use web::Desk;

/// Pause between two looks at what nobody calls for.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between two looks whether the driver before has ended.
const TURN: Duration = Duration::from_millis(50);
/// Memory of a machine that volumes may take, as a part of it, if nothing is said.
const MEMORY_PART: u64 = 4;

/// What a driver must know.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the kubelet calls: unix:///PATH
    #[arg(long, value_name = "URL", default_value = "unix:///csi/csi.sock")]
    endpoint: String,
    /// The kubelet's path of that socket, if it is another
    #[arg(long, value_name = "PATH")]
    kubelet_registration_path: Option<PathBuf>,
    /// Where the kubelet looks for plugins (plugins_registry); without it, it is not told
    #[arg(long, value_name = "DIR")]
    registration_dir: Option<PathBuf>,
    /// Name of the driver, as pods and the CSIDriver have it
    #[arg(long, value_name = "NAME", default_value = "logdisk.logferry.dev")]
    driver_name: String,
    /// Name of this node
    #[arg(long, value_name = "NAME")]
    node_id: String,
    /// Where volumes are; the agent collects what is below DIR/stores/*/logs
    #[arg(long, value_name = "DIR", default_value = "/run/logdisk")]
    state: PathBuf,
    /// State directory of the agent that collects them (state.path of its Agent)
    #[arg(long, value_name = "DIR")]
    agent_state: PathBuf,
    /// Socket of a `logdisk hold`: mounts outlive this process, and the next one goes on with them
    #[arg(long, value_name = "PATH")]
    holder: Option<PathBuf>,
    /// Size of volumes that name none
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64M")]
    default_size: u64,
    /// Size of a volume at most
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1G")]
    max_size: u64,
    /// Memory that all volumes may take together [default: a quarter of the machine's]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// How long what is not delivered outlives its pod
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    leftover_seconds: u64,
    /// Address of /metrics, /live and /ready; without it, there are none
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// Is the driver until told to end by SIGTERM or SIGINT. Volumes stay mounted then.
///
/// # Errors
/// If it cannot be heard, or its folders cannot be used.
pub fn run(options: Options) -> anyhow::Result<()> {
    let endpoint = path_of(&options.endpoint)?;
    ensure!(
        options.default_size <= options.max_size,
        "--default-size {}: more than --max-size {}",
        options.default_size,
        options.max_size
    );
    let state = State::at(&options.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = serve(options, &endpoint, state) => outcome,
            told = told_to_end() => told,
        }
    })
}

async fn serve(options: Options, endpoint: &Path, state: State) -> anyhow::Result<()> {
    let desk = Arc::new(Desk::default());
    if let Some(listen) = options.listen {
        web::start(listen, Arc::clone(&desk)).await?;
    }
    let _turn = turn(&state).await?;
    let how = How {
        agent_state: std::path::absolute(&options.agent_state)?,
        holder: options.holder,
        memory_bytes: options.memory.unwrap_or_else(|| mounting::machine_bytes() / MEMORY_PART),
        leftover: Duration::from_secs(options.leftover_seconds),
    };
    let driver = Arc::new(Driver {
        name: options.driver_name,
        node_id: options.node_id,
        sizes: Sizes { default_bytes: options.default_size, max_bytes: options.max_size },
        volumes: Volumes::take_up(how, state)?,
    });
    let heard_at = options.kubelet_registration_path.as_deref().unwrap_or(endpoint);
    let registration = Arc::new(Registration::new(&driver.name, heard_at));
    let listener = calls::listen(endpoint).with_context(|| endpoint.display().to_string())?;
    let is_told = options.registration_dir.is_some();
    desk.serves(Arc::clone(&driver), is_told.then(|| Arc::clone(&registration)));
    tracing::info!(endpoint = %endpoint.display(), driver = %driver.name, "serving");
    let told = async {
        match &options.registration_dir {
            Some(folder) => {
                let socket = Registration::socket(folder, &driver.name);
                let _there = Removed(socket.clone());
                registration.run(&socket).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = calls::serve(listener, Arc::clone(&driver)) => ended,
        ended = told => ended,
        () = look(&driver.volumes) => Ok(()),
    }
}

async fn look(volumes: &Volumes) {
    loop {
        tokio::time::sleep(LOOK).await;
        volumes.look();
    }
}

/// Removes a socket when the driver ends, so that the kubelet knows.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Waits until the driver before has ended: while a node's driver is upgraded there may be two.
async fn turn(state: &State) -> anyhow::Result<Lock> {
    let lock = Lock::at(&state.lock())?;
    let mut has_said = false;
    while lock.try_take().is_err() {
        if !std::mem::replace(&mut has_said, true) {
            tracing::info!("waiting for the end of the driver before");
        }
        tokio::time::sleep(TURN).await;
    }
    Ok(lock)
}

async fn told_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!("told to end; volumes stay mounted for the next driver");
    Ok(())
}

/// The path of a unix socket, which may be written as a URL.
fn path_of(endpoint: &str) -> anyhow::Result<PathBuf> {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    if !path.starts_with('/') {
        bail!(
            "--endpoint {endpoint}: this is no socket of this machine, such as unix:///csi/csi.sock"
        );
    }
    Ok(PathBuf::from(path))
}
