//! Server: one thread a connection, and what a test has it do.

use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::store::Store;
use crate::{Request, answer, http};

/// What the server is to do.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    /// Connections are closed as they come.
    pub(crate) is_down: bool,
    /// Open watches say nothing, and stay open.
    pub(crate) is_silent: bool,
    /// How long a list takes.
    pub(crate) slow_lists: Duration,
    /// Kinds that it does not know.
    pub(crate) unknown: BTreeSet<String>,
    /// Raised to cut all watches.
    pub(crate) generation: u64,
    is_over: bool,
}

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Mutex<Store>,
    control: Mutex<Control>,
    requests: Mutex<Vec<Request>>,
    news: Condvar,
}

/// A fake API server; ends when dropped.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts on a free port of the loopback address.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> io::Result<ApiServer> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let control = Control {
            is_down: false,
            is_silent: false,
            slow_lists: Duration::ZERO,
            unknown: BTreeSet::new(),
            generation: 0,
            is_over: false,
        };
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            control: Mutex::new(control),
            requests: Mutex::default(),
            news: Condvar::new(),
        });
        let on_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &on_thread));
        Ok(ApiServer { address, shared, thread: Some(thread) })
    }

    /// A kubeconfig that leads here.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
             clusters: [{{name: fake, cluster: {{server: 'http://{}'}}}}]\n\
             contexts: [{{name: fake, context: {{cluster: fake, user: fake}}}}]\n\
             users: [{{name: fake, user: {{}}}}]\n",
            self.address
        )
    }

    /// Creates or replaces an object of the kind, known by namespace and name.
    pub fn apply(&self, plural: &str, object: Value) {
        self.shared.store().apply(plural, object);
        self.shared.news.notify_all();
    }

    /// Removes an object.
    ///
    /// # Panics
    /// If it is not there.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.shared.store().delete(plural, namespace, name);
        self.shared.news.notify_all();
    }

    /// Answers nobody any more and cuts every connection, or comes back with all it had.
    pub fn set_down(&self, is_down: bool) {
        self.change(|it| it.is_down = is_down);
    }

    /// Says nothing to watches while their connections stay open, as a server does that was unplugged.
    pub fn set_silent(&self, is_silent: bool) {
        self.change(|it| it.is_silent = is_silent);
    }

    /// Takes so long for each page of a list.
    pub fn set_slow_lists(&self, pause: Duration) {
        self.change(|it| it.slow_lists = pause);
    }

    /// Does not know the kind, as if its CustomResourceDefinition were not installed.
    pub fn set_unknown(&self, plural: &str) {
        self.change(|it| {
            it.unknown.insert(plural.to_owned());
        });
    }

    /// Cuts every watch.
    pub fn reset(&self) {
        self.change(|it| it.generation += 1);
    }

    /// Forgets all that happened so far: whoever watches from before hears 410 Gone.
    pub fn forget(&self) {
        self.shared.store().forget();
        self.shared.news.notify_all();
    }

    /// All that was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Control)) {
        change(&mut self.shared.control());
        self.shared.news.notify_all();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.change(|it| (it.is_down, it.is_over) = (true, true));
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is new, or for so long.
    pub(crate) fn wait(&self, most: Duration) {
        drop(self.news.wait_timeout(self.control(), most));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let control = shared.control().clone();
        if control.is_over {
            return;
        }
        let Ok(stream) = stream else { continue };
        if control.is_down {
            continue;
        }
        let shared = Arc::clone(shared);
        // Ends with its connection.
        drop(std::thread::spawn(move || serve(stream, &shared)));
    }
}

/// One connection; errors end it, which is all that a client sees of them.
fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    while let Some(request) = http::read(&mut reader).ok()? {
        if shared.control().is_down {
            return None;
        }
        shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let answered = match request.verb.as_str() {
            "watch" => answer::watch(&mut stream, &request, shared),
            _ => answer::list(&mut stream, &request, shared),
        };
        answered.ok()?;
    }
    Some(())
}
