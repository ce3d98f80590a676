//! Cluster: all watches together, on the thread `lf-kube`.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flow::Clock;
use kube::Client;
use tokio::sync::{Notify, oneshot, watch};

use crate::namespaces::NamespaceCopy;
use crate::pods::PodCopy;
use crate::reflector::{Copy, Reflector};
use crate::resources::{TextCopy, Texts};
use crate::{
    Access, AccessError, Kind, Namespaces, Pods, Resource, ResourceKey, State, StateError,
    WatchMeter,
};

/// How long the state waits for further changes before it is written.
const SAVE_PAUSE: Duration = Duration::from_secs(1);

/// What is watched, and how.
#[derive(Debug)]
pub struct ClusterOptions {
    /// Where the API server is.
    pub access: Access,
    /// Only pods of this node are watched.
    pub node_name: String,
    /// Where what the API server says is kept; its folder must be there.
    pub state_path: PathBuf,
    /// How patient to be.
    pub timing: Timing,
    /// Objects of Alibaba's agent are asked for, too.
    pub asks_aliyun: bool,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// How patient to be with the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// First pause after a failure.
    pub retry_first: Duration,
    /// Longest pause after failures.
    pub retry_max: Duration,
    /// A watch that says nothing for so long is dead.
    pub silence_max: Duration,
}

impl Default for Timing {
    /// Pauses from 0.5 to 30 s. A watch may be silent for 90 s: the server sends a bookmark every minute.
    fn default() -> Timing {
        Timing {
            retry_first: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
            silence_max: Duration::from_secs(90),
        }
    }
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server cannot even be asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Nobody says which pods are this node's.
    #[error(
        "the name of the node is not known; set NODE_NAME by the downward API, or nodeName in the Agent"
    )]
    NodeName,
    /// There is no thread, or no runtime on it.
    #[error("no thread for the API server: {0}")]
    Thread(#[from] io::Error),
}

/// What is known of the cluster, and the thread that keeps it so; ends with it.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// Shared between the watches and who asks.
#[derive(Debug)]
struct Shared {
    pods: Arc<Pods>,
    namespaces: Arc<Namespaces>,
    /// Whether somebody asks for namespaces.
    asks_namespaces: watch::Sender<bool>,
    asks_aliyun: bool,
    /// By kind, of those that are asked for.
    texts: Vec<(Kind, Arc<Texts>)>,
    meters: [Arc<WatchMeter>; Kind::ALL.len()],
    /// By kind, whether the API server has listed it in this life.
    listed: [AtomicBool; Kind::ALL.len()],
    /// There is something from before.
    is_restored: bool,
    fallbacks: Mutex<Vec<Resource>>,
    /// Something changed that decides what is collected.
    changed: Notify,
    /// Something changed that the state has to say.
    unsaved: Notify,
}

impl Cluster {
    /// Starts to watch, from what the state on disk says.
    ///
    /// # Errors
    /// If the API server cannot even be asked; that it does not answer is none.
    pub fn start(options: ClusterOptions) -> Result<Cluster, StartError> {
        if options.node_name.is_empty() {
            return Err(StartError::NodeName);
        }
        let restored = State::load(&options.state_path).unwrap_or_else(|error| {
            let path = options.state_path.display();
            tracing::error!(%path, %error, "what the API server said last is not known");
            None
        });
        let is_restored = restored.is_some();
        let state = restored.unwrap_or_default();
        let texts_of = |kind| {
            let resources = state.resources.iter().filter(|it| it.key.kind == kind);
            (kind, Arc::new(Texts::restored(resources.cloned())))
        };
        let aliyun = Kind::ALIYUN.into_iter().filter(|_| options.asks_aliyun);
        let shared = Arc::new(Shared {
            pods: Arc::new(Pods::restored(state.pods)),
            namespaces: Arc::new(Namespaces::restored(state.namespaces)),
            asks_namespaces: watch::Sender::new(false),
            asks_aliyun: options.asks_aliyun,
            texts: Kind::RESOURCES.into_iter().chain(aliyun).map(texts_of).collect(),
            meters: Kind::ALL.map(|_| Arc::default()),
            listed: Kind::ALL.map(|_| AtomicBool::new(false)),
            is_restored,
            fallbacks: Mutex::new(state.fallbacks),
            changed: Notify::new(),
            unsaved: Notify::new(),
        });
        // One writes the state, one looks up names.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_name("lf-kube-beside")
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (begun, begins) = sync_channel(1);
        let on_thread = Arc::clone(&shared);
        let body = move || {
            runtime.block_on(async {
                // The client lives on the runtime that made it, and whoever starts may have another.
                let client = match options.access.client().await {
                    Ok(client) => client,
                    Err(error) => return drop(begun.send(Err(error))),
                };
                drop(begun.send(Ok(())));
                spawn_watches(&on_thread, &client, &options);
                tokio::select! {
                    () = save(&on_thread, options.state_path.clone()) => {}
                    () = watch_namespaces(&on_thread, &client, &options) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("lf-kube".to_owned()).spawn(body)?;
        begins.recv().map_err(io::Error::other)??;
        Ok(Cluster { shared, thread: Some(thread), stop: Some(stop) })
    }

    /// Waits until something changed that decides what is collected: a resource, or the pods of this node.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Whether anybody has said which resources there are.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.shared.is_restored || self.shared.is_listed()
    }

    /// The resources that `counts` picks, in the order of kinds and names; `None` as long as nobody has said which
    /// there are.
    #[must_use]
    pub fn resources(&self, counts: impl Fn(&ResourceKey) -> bool) -> Option<Vec<Resource>> {
        self.is_known().then(|| self.shared.resources(counts))
    }

    /// The pods of this node.
    #[must_use]
    pub fn pods(&self) -> Arc<Pods> {
        Arc::clone(&self.shared.pods)
    }

    /// The namespaces of the cluster, as far as [`Cluster::ask_namespaces`] asked for them.
    #[must_use]
    pub fn namespaces(&self) -> Arc<Namespaces> {
        Arc::clone(&self.shared.namespaces)
    }

    /// Watches namespaces, or no longer: thousands of nodes ask for no more than they use.
    pub fn ask_namespaces(&self, asks: bool) {
        self.shared.asks_namespaces.send_if_modified(|it| std::mem::replace(it, asks) != asks);
    }

    /// How the watches fare.
    #[must_use]
    pub fn meters(&self) -> Vec<(Kind, Arc<WatchMeter>)> {
        let all = Kind::ALL.into_iter().zip(self.shared.meters.iter().cloned());
        all.filter(|(kind, _)| self.shared.asks(*kind)).collect()
    }

    /// Older versions in force, where the API server's cannot be used.
    #[must_use]
    pub fn fallbacks(&self) -> Vec<Resource> {
        self.shared.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps these older versions for the next start.
    pub fn keep_fallbacks(&self, fallbacks: Vec<Resource>) {
        *self.shared.fallbacks.lock().unwrap_or_else(PoisonError::into_inner) = fallbacks;
        self.shared.unsaved.notify_one();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A channel that closes says stop, too.
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn is_listed(&self) -> bool {
        // Nothing depends on namespaces but who waits for them.
        let others = Kind::ALL.iter().zip(&self.listed).filter(|it| *it.0 != Kind::Namespaces);
        let mut others = others.filter(|it| self.asks(*it.0));
        others.all(|(_, is_listed)| is_listed.load(Ordering::Acquire))
    }

    fn asks(&self, kind: Kind) -> bool {
        self.asks_aliyun || !kind.is_aliyun()
    }

    fn resources(&self, counts: impl Fn(&ResourceKey) -> bool) -> Vec<Resource> {
        self.texts.iter().flat_map(|(_, it)| it.those(&counts)).collect()
    }

    /// Something of a kind changed. As long as some kinds are not listed, what there is does not fit
    /// together, and nobody is told.
    fn changed(&self) {
        if self.is_listed() {
            self.changed.notify_one();
            self.unsaved.notify_one();
        }
    }

    /// What the copy of a kind, by its number, calls.
    fn changed_by(shared: &Arc<Shared>, index: usize) -> Box<dyn Fn(bool) + Send> {
        let shared = Arc::clone(shared);
        Box::new(move |is_listed| {
            if is_listed {
                shared.listed[index].store(true, Ordering::Release);
            }
            shared.changed();
        })
    }

    fn state(&self) -> State {
        State {
            resources: self.resources(|_| true),
            fallbacks: self.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            pods: self.pods.all().iter().map(|it| (**it).clone()).collect(),
            namespaces: self.namespaces.all().iter().map(|it| (**it).clone()).collect(),
        }
    }
}

fn spawn_watches(shared: &Arc<Shared>, client: &Client, options: &ClusterOptions) {
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let changed = Shared::changed_by(shared, index);
        match shared.texts.iter().find(|it| it.0 == kind) {
            None if kind == Kind::Pods => {
                let fields = format!("spec.nodeName={}", options.node_name);
                let copy = PodCopy::new(Arc::clone(&shared.pods), changed);
                // Ends with the runtime.
                let watch = reflector(shared, client, options, index, Some(fields), copy);
                drop(tokio::spawn(watch.run()));
            }
            None => {}
            Some((_, texts)) => {
                let copy = TextCopy::new(kind, Arc::clone(texts), changed);
                let watch = reflector(shared, client, options, index, None, copy);
                drop(tokio::spawn(watch.run()));
            }
        }
    }
}

/// Watches namespaces as long as somebody asks for them; for ever.
async fn watch_namespaces(shared: &Arc<Shared>, client: &Client, options: &ClusterOptions) {
    let index = Kind::ALL.len() - 1;
    let mut asks = shared.asks_namespaces.subscribe();
    // The sender is in `shared`, and is not dropped before.
    while asks.wait_for(|it| *it).await.is_ok() {
        let changed = Shared::changed_by(shared, index);
        let copy = NamespaceCopy::new(Arc::clone(&shared.namespaces), changed);
        let watch = reflector(shared, client, options, index, None, copy);
        tokio::select! {
            () = watch.run() => {}
            _ = asks.wait_for(|it| !*it) => shared.meters[index].open(false),
        }
    }
}

fn reflector<C: Copy>(
    shared: &Shared,
    client: &Client,
    options: &ClusterOptions,
    index: usize,
    fields: Option<String>,
    copy: C,
) -> Reflector<C> {
    Reflector {
        client: client.clone(),
        kind: Kind::ALL[index],
        fields,
        copy,
        meter: Arc::clone(&shared.meters[index]),
        clock: Arc::clone(&options.clock),
        timing: options.timing,
        version: None,
    }
}

/// Writes the state whenever it changed; for ever. On a thread beside: what the API server says meanwhile does not wait
/// for a disk, nor for thousands of resources to be written.
async fn save(shared: &Arc<Shared>, path: PathBuf) {
    loop {
        shared.unsaved.notified().await;
        tokio::time::sleep(SAVE_PAUSE).await;
        let (own, to) = (Arc::clone(shared), path.clone());
        let writing = tokio::task::spawn_blocking(move || own.state().save(&to));
        let written = writing.await.unwrap_or_else(|it| Err(StateError::Io(io::Error::other(it))));
        if let Err(error) = written {
            let path = path.display();
            tracing::warn!(%path, %error, "what the API server said is not kept for the next start");
        }
    }
}
