//! Watch: keeps the table of containers true, on the thread `lf-cri`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use cri::Client;
use cri::message::{ContainerState, ListedContainer, PodSandbox, PodSandboxMetadata};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::events::{self, Events};
use crate::runtime::Runtime;
use crate::{Container, Containers};

/// Longest wait for an answer of the runtime.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a change the list is asked for so much later: a start is three events.
const GATHER: Duration = Duration::from_millis(20);
/// The list is asked for so often although nothing was told, since events may be lost.
const LIST_ANYWAY: Duration = Duration::from_secs(30);
/// The same where the runtime tells nothing.
const LIST_UNTOLD: Duration = Duration::from_secs(1);
/// So many containers are asked for at a time: at the start there may be a thousand.
const ASKED_MAX: usize = 8;
/// First pause after a failure.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause after failures.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Where to ask, and where volumes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// The runtime's socket; `None` for the first of [`WellKnown`] that is there.
    pub socket: Option<PathBuf>,
    /// The kubelet's directory (`--root-dir`).
    pub kubelet_directory: PathBuf,
    /// The annotation of pods that is to be known.
    pub pod_annotation: &'static str,
}

/// Sockets of runtimes, as they are without further settings.
#[derive(Debug)]
pub struct WellKnown;

impl WellKnown {
    /// containerd, CRI-O, and containerd as K3s runs it.
    pub const SOCKETS: [&str; 3] = [
        "/run/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/run/k3s/containerd/containerd.sock",
    ];
}

/// What is known of the node's containers, and the thread that keeps it so; ends with it.
#[derive(Debug)]
pub struct ContainerWatch {
    containers: Arc<Containers>,
    options: WatchOptions,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl ContainerWatch {
    /// Starts to ask. That nobody answers is no error: it is said, and tried again.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(options: WatchOptions) -> io::Result<ContainerWatch> {
        let containers = Arc::new(Containers::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let asking = Asking {
            options: options.clone(),
            containers: Arc::clone(&containers),
            known: HashMap::new(),
            pods: HashMap::new(),
            pause: RETRY_FIRST,
            said: None,
        };
        let body = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = asking.run() => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("lf-cri".to_owned()).spawn(body)?;
        Ok(ContainerWatch { containers, options, thread: Some(thread), stop: Some(stop) })
    }

    /// The node's containers.
    #[must_use]
    pub fn containers(&self) -> Arc<Containers> {
        Arc::clone(&self.containers)
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &WatchOptions {
        &self.options
    }
}

impl Drop for ContainerWatch {
    fn drop(&mut self) {
        // A channel that closes says stop, too.
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Asks, again and again.
struct Asking {
    options: WatchOptions,
    containers: Arc<Containers>,
    /// By id.
    known: HashMap<String, Arc<Container>>,
    /// Pods by the ids of their sandboxes.
    pods: HashMap<String, Pod>,
    pause: Duration,
    /// Why the runtime cannot be asked, as it was said last.
    said: Option<String>,
}

/// A pod, as far as its containers bear it.
struct Pod {
    metadata: PodSandboxMetadata,
    annotation: Option<Arc<str>>,
}

impl Pod {
    fn of(mut sandbox: PodSandbox, key: &str) -> Option<Pod> {
        let annotation = sandbox.annotations.remove(key).map(Arc::from);
        Some(Pod { metadata: sandbox.metadata?, annotation })
    }
}

impl Asking {
    async fn run(mut self) {
        loop {
            let failed = match self.listen().await {
                Err(status) => status,
                Ok(never) => match never {},
            };
            self.containers.set_answered(false);
            let why = format!("{:?}: {}", failed.code(), failed.message());
            if self.said.as_ref() != Some(&why) {
                let socket = self.socket().display().to_string();
                tracing::warn!(
                    socket,
                    why,
                    "the container runtime does not answer: files inside of new containers wait; trying again"
                );
                self.said = Some(why);
            }
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(RETRY_MAX);
        }
    }

    /// The socket that is written, or is there.
    fn socket(&self) -> PathBuf {
        let is_there = |it: &&str| std::fs::symlink_metadata(it).is_ok();
        let found = || WellKnown::SOCKETS.iter().find(|it| is_there(it));
        let first = || PathBuf::from(found().unwrap_or(&WellKnown::SOCKETS[0]));
        self.options.socket.clone().unwrap_or_else(first)
    }

    /// Keeps the table true until the runtime fails to answer.
    async fn listen(&mut self) -> Result<Infallible, Status> {
        let runtime = Runtime::greet(Client::new(&self.socket(), PATIENCE)?).await?;
        // Before the list. When it is heard is not known: so the list is asked for once more, soon.
        let mut events = Some(Events::of(&runtime));
        let mut patience = LIST_UNTOLD;
        loop {
            self.look(&runtime).await?;
            self.pause = RETRY_FIRST;
            self.said = None;
            self.containers.set_answered(true);
            let Some(telling) = &mut events else {
                sleep(LIST_UNTOLD).await;
                continue;
            };
            let told = timeout(patience, telling.next()).await;
            patience = LIST_ANYWAY;
            match told {
                Ok(Ok(())) => {
                    sleep(GATHER).await;
                    telling.drain()?;
                }
                Ok(Err(status)) if events::is_untold(&status) => {
                    tracing::info!(
                        "the container runtime tells of no changes: it is asked every second"
                    );
                    events = None;
                }
                Ok(Err(status)) => return Err(status),
                Err(_) => {}
            }
        }
    }

    /// Asks which containers there are, and for the parts of those that are new.
    async fn look(&mut self, runtime: &Runtime) -> Result<(), Status> {
        let listed = runtime.containers().await?;
        if listed.iter().any(|it| !self.pods.contains_key(&it.pod_sandbox_id)) {
            let pods = runtime.sandboxes().await?.into_iter();
            let key = self.options.pod_annotation;
            self.pods = pods.filter_map(|it| Some((it.id.clone(), Pod::of(it, key)?))).collect();
        }
        let (mut all, mut new) = (Vec::with_capacity(listed.len()), Vec::new());
        for it in listed {
            let Some(pod) = self.pods.get(&it.pod_sandbox_id) else { continue };
            let has_ended = it.state == i32::from(ContainerState::Exited);
            match self.known.get(&it.id) {
                Some(known) if known.has_ended == has_ended => all.push(Arc::clone(known)),
                Some(known) => all.push(Arc::new(Container { has_ended, ..(**known).clone() })),
                None => new.push((it, pod, has_ended)),
            }
        }
        let directory = &self.options.kubelet_directory;
        let parts = new.into_iter().map(|(it, pod, has_ended)| async move {
            let container = parts_of(runtime, it, pod, directory).await?;
            Ok::<_, Status>(container.map(|it| Arc::new(Container { has_ended, ..it })))
        });
        let mut parts = stream::iter(parts).buffer_unordered(ASKED_MAX);
        while let Some(container) = parts.next().await {
            all.extend(container?);
        }
        drop(parts);
        all.sort_by(|one, other| one.id.cmp(&other.id));
        self.known = all.iter().map(|it| (it.id.clone(), Arc::clone(it))).collect();
        self.containers.set(all);
        Ok(())
    }
}

/// A container that is new; `None` if it is gone again, or nothing can be told of it.
async fn parts_of(
    runtime: &Runtime,
    listed: ListedContainer,
    pod: &Pod,
    kubelet_directory: &Path,
) -> Result<Option<Container>, Status> {
    let id = listed.id;
    let Pod { metadata: pod, annotation } = pod;
    let (layers, mounts) = match runtime.parts(&id, &pod.uid, kubelet_directory).await {
        Ok(parts) => parts,
        Err(status) if status.code() == Code::Unavailable => return Err(status),
        Err(status) => {
            // Gone meanwhile, or asked for again with the next list.
            tracing::debug!(id, why = status.message(), "nothing is told of a container");
            return Ok(None);
        }
    };
    let metadata = listed.metadata.unwrap_or_default();
    if layers.is_none() {
        tracing::warn!(
            namespace = pod.namespace,
            pod = pod.name,
            container = metadata.name,
            "the runtime keeps this root in no overlay: only files of its volumes are seen"
        );
    }
    Ok(Some(Container {
        id,
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        name: metadata.name,
        restart: metadata.attempt,
        has_ended: false,
        pod_annotation: annotation.clone(),
        layers,
        mounts,
    }))
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
