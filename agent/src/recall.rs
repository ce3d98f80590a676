//! Recall: gives log disks the bytes of their files back that the queue has, and memory has no more.
//!
//! A log disk of this machine asks over a socket in the state directory, which nobody but who runs the agent, and
//! root, may open. Who asks is answered one after the other, by a thread of its own (`lf-recall`) that has nothing to do with
//! collecting: it reads queues as anybody does, without a lock. The answer is exact, or none.

mod queues;
mod restore;
mod topics;

use std::fs::Permissions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crd::{Settings, SinkTarget};
use flow::{Clock, RecallAnswer, RecallQuestion, SystemClock, nanoseconds, recall_socket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::setpriority_process;
use sink::kafka::KafkaConfig;

use crate::plan::{self, Credentials};
use queues::Queues;
use topics::Topics;

/// How long an answer may take to be found. Who asks asks again.
const ANSWER_LONGEST: Duration = Duration::from_secs(5);
/// How long a client of Kafka is kept for the next question, in seconds.
const TOPIC_IDLE_SECONDS: i64 = 10;
/// What is said where the plan of the agent's memory has no such part.
const NO_MEMORY: &str = "the agent's memory has no room for it; `logferry check` tells the parts, and spec.memory of the Agent is the sum";
/// What it gives way with.
const NICE: i32 = 10;
/// How long whoever asks may take to say what, and to take the answer.
const TALK_LONGEST: Duration = Duration::from_secs(2);

/// Answers as long as it is there.
#[derive(Debug)]
pub(crate) struct Recall {
    directory: PathBuf,
    listener: Arc<UnixListener>,
    sources: Arc<Mutex<Arc<Sources>>>,
}

/// What is looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sources {
    /// Folders of embedded queues and of spools.
    queues: Vec<PathBuf>,
    kafka: Vec<KafkaConfig>,
    state_directory: PathBuf,
    /// There is room for what is read.
    has_memory: bool,
}

impl Sources {
    fn of(settings: &Settings, credentials: &Credentials, has_memory: bool) -> Sources {
        let (mut queues, mut kafka) = (Vec::new(), Vec::new());
        for sink in &settings.sinks {
            match &sink.target {
                SinkTarget::Queue(queue) => queues.push(queue.path.clone()),
                SinkTarget::Kafka(of) => {
                    // As the sink itself was made, or it would not be there.
                    kafka.extend(plan::kafka_config(sink, of, &settings.agent, credentials).ok());
                }
                SinkTarget::File(_) | SinkTarget::Stdout | SinkTarget::Blackhole => {}
            }
            if let Some(spool) = &settings.agent.spool {
                queues.push(sink::spool::queue_folder(&spool.path.join(&sink.name)));
            }
        }
        let state_directory = settings.agent.state_directory.clone();
        Sources { queues, kafka, state_directory, has_memory }
    }
}

impl Recall {
    /// The one there is, with what these settings look into, or another if the state directory is. It reads nothing unless
    /// the plan `has_memory` for it. Without a socket there is none, which is said: all else goes on.
    pub(crate) fn keep(
        before: Option<Recall>,
        settings: &Settings,
        credentials: &Credentials,
        has_memory: bool,
    ) -> Option<Recall> {
        let directory = &settings.agent.state_directory;
        let sources = Arc::new(Sources::of(settings, credentials, has_memory));
        if let Some(recall) = before.filter(|it| it.directory == *directory) {
            let mut known = recall.sources.lock().unwrap_or_else(PoisonError::into_inner);
            if **known != *sources {
                *known = sources;
            }
            drop(known);
            return Some(recall);
        }
        match Recall::start(directory, sources) {
            Ok(recall) => Some(recall),
            Err(error) => {
                let socket = recall_socket(directory);
                tracing::warn!(
                    %error, socket = %socket.display(),
                    "log disks cannot read back what they have given back"
                );
                None
            }
        }
    }

    fn start(directory: &Path, sources: Arc<Sources>) -> io::Result<Recall> {
        let listener = Arc::new(listen(directory)?);
        let sources = Arc::new(Mutex::new(sources));
        let recall = Recall { directory: directory.to_path_buf(), listener, sources };
        let (listener, sources) = (Arc::clone(&recall.listener), Arc::clone(&recall.sources));
        let answering = move || answer_all(&listener, &sources);
        thread::Builder::new().name("lf-recall".to_owned()).spawn(answering)?;
        Ok(recall)
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        // Whoever comes from now on finds nobody, and the thread ends.
        drop(std::fs::remove_file(recall_socket(&self.directory)));
        if let Err(error) = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "recall: the thread waits on");
        }
    }
}

/// Makes the socket; one that is there is of a process that has ended, since the directory is locked.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    let socket = recall_socket(directory);
    let unfinished = socket.with_extension("new");
    for path in [&unfinished, &socket] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&unfinished)?;
    // Nobody finds it before.
    std::fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    std::fs::rename(&unfinished, &socket)?;
    Ok(listener)
}

fn answer_all(listener: &UnixListener, sources: &Mutex<Arc<Sources>>) {
    // To Linux, this is of the thread alone (setpriority(2)): collecting comes first.
    if let Err(error) = setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "recall: with the priority of collecting");
    }
    let current = || Arc::clone(&sources.lock().unwrap_or_else(PoisonError::into_inner));
    let mut known = current();
    let mut places = Places::of(&known);
    loop {
        if places.topics.is_open() && !is_asked(listener) {
            places.topics.close();
        }
        let connection = match listener.accept() {
            Ok((connection, _)) => connection,
            Err(error) => match Errno::from_io_error(&error) {
                // A descriptor too many: it passes.
                Some(Errno::NFILE | Errno::MFILE) => {
                    thread::sleep(TALK_LONGEST);
                    continue;
                }
                Some(Errno::INTR) => continue,
                // Nobody is to be answered any more.
                _ => return,
            },
        };
        let now = current();
        if !Arc::ptr_eq(&now, &known) {
            places = Places::of(&now);
            known = now;
        }
        if let Err(error) = answer(&connection, &mut places) {
            tracing::debug!(%error, "recall: a question was not answered");
        }
    }
}

fn answer(mut connection: &UnixStream, places: &mut Places) -> io::Result<()> {
    connection.set_read_timeout(Some(TALK_LONGEST))?;
    connection.set_write_timeout(Some(TALK_LONGEST))?;
    let question = RecallQuestion::read(&mut connection)?;
    let deadline_ns = SystemClock.monotonic_ns().saturating_add(nanoseconds(ANSWER_LONGEST));
    let is_over = || SystemClock.monotonic_ns() > deadline_ns || has_hung_up(connection);
    places.recall(&question, &is_over).write(&mut connection)
}

/// Where bytes may be.
struct Places {
    has_memory: bool,
    queues: Queues,
    topics: Topics,
}

impl Places {
    fn of(sources: &Sources) -> Places {
        let Sources { queues, kafka, state_directory, has_memory } = sources.clone();
        let (queues, topics) = (Queues::new(queues), Topics::new(state_directory, kafka));
        Places { has_memory, queues, topics }
    }

    fn recall(&mut self, question: &RecallQuestion, is_over: &dyn Fn() -> bool) -> RecallAnswer {
        let Places { has_memory, queues, topics } = self;
        match (queues.is_empty(), topics.is_empty()) {
            (true, true) => {
                RecallAnswer::Gone("no sink of the agent is one that can be read".to_owned())
            }
            _ if !*has_memory => RecallAnswer::Gone(NO_MEMORY.to_owned()),
            (false, true) => queues.recall(question, is_over),
            (true, false) => topics.recall(question, is_over),
            (false, false) => match queues.recall(question, is_over) {
                RecallAnswer::Gone(_) => topics.recall(question, is_over),
                answer => answer,
            },
        }
    }
}

/// Length of a range that fits into memory.
fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

/// Whether anybody asks soon.
fn is_asked(listener: &UnixListener) -> bool {
    let mut looked = [PollFd::new(listener, PollFlags::IN)];
    let longest = Timespec { tv_sec: TOPIC_IDLE_SECONDS, tv_nsec: 0 };
    !matches!(poll(&mut looked, Some(&longest)), Ok(0))
}

/// Whether nobody waits for the answer any more.
fn has_hung_up(connection: &UnixStream) -> bool {
    let mut looked = [PollFd::new(connection, PollFlags::empty())];
    let looked_at = poll(&mut looked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    looked_at.is_ok() && looked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
