//! Agent: asks the agent of this machine, and waits for it if it is not there.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flow::{Clock, RecallAnswer, RecallQuestion, SystemClock, nanoseconds, recall_socket};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// How often it is looked whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// Pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why bytes are not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotRecalled {
    /// They are not there, or nobody said so in time.
    Gone(String),
    /// Nobody wants them any more.
    Unwanted,
}

/// The agent with this state directory.
#[derive(Debug)]
pub(super) struct Agent {
    socket: PathBuf,
    /// How long an answer is waited for.
    longest_ns: u64,
    absence: Mutex<Option<Absence>>,
}

/// The agent was not there.
#[derive(Debug, Clone, Copy)]
struct Absence {
    since_ns: u64,
    /// When that was found out last.
    last_ns: u64,
}

impl Agent {
    pub(super) fn new(state_directory: &Path, longest: Duration) -> Agent {
        let (socket, longest_ns) = (recall_socket(state_directory), nanoseconds(longest));
        Agent { socket, longest_ns, absence: Mutex::new(None) }
    }

    /// When a question that was asked then is late.
    pub(super) fn deadline_ns(&self, since_ns: u64) -> u64 {
        since_ns.saturating_add(self.longest_ns)
    }

    /// Asks until there is an answer, it is late, or not wanted any more. One that was away for as long as an
    /// answer may take is not waited for: who reads on and on would wait for it each time.
    pub(super) fn recall(
        &self,
        question: &RecallQuestion,
        deadline_ns: u64,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, NotRecalled> {
        loop {
            let why = match self.ask(question, deadline_ns, is_wanted) {
                Ok(RecallAnswer::Bytes(bytes)) => {
                    self.is_there();
                    let wanted = question.range.end - question.range.start;
                    if bytes.len() as u64 == wanted {
                        return Ok(bytes);
                    }
                    let len = bytes.len();
                    return Err(NotRecalled::Gone(format!("{len} bytes came of {wanted}")));
                }
                Ok(RecallAnswer::Gone(why)) => {
                    self.is_there();
                    return Err(NotRecalled::Gone(why));
                }
                Ok(RecallAnswer::Later(why)) => {
                    self.is_there();
                    why
                }
                Err(error) => {
                    let why = format!("{}: {error}; does the agent run?", self.socket.display());
                    if self.is_away_for_long() {
                        return Err(NotRecalled::Gone(why));
                    }
                    why
                }
            };
            if !is_wanted() {
                return Err(NotRecalled::Unwanted);
            }
            if SystemClock.monotonic_ns() >= deadline_ns {
                return Err(NotRecalled::Gone(why));
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// Asks once.
    fn ask(
        &self,
        question: &RecallQuestion,
        deadline_ns: u64,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<RecallAnswer> {
        let (flags, kind) = (SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, SocketType::STREAM);
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
        // A queue of questions that is full is told at once.
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.socket)?)?;
        let mut connection = UnixStream::from(socket);
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(LOOK))?;
        connection.set_write_timeout(Some(LOOK))?;
        question.write(&mut connection)?;
        RecallAnswer::read(&mut Patient { connection, deadline_ns, is_wanted })
    }

    /// Whether it was not there when it was asked last.
    pub(super) fn is_away(&self) -> bool {
        self.absence.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn is_there(&self) {
        *self.absence.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_away_for_long(&self) -> bool {
        let now_ns = SystemClock.monotonic_ns();
        let mut absence = self.absence.lock().unwrap_or_else(PoisonError::into_inner);
        // What was long ago may have been another absence.
        let before = absence.filter(|it| now_ns.saturating_sub(it.last_ns) < self.longest_ns);
        let since_ns = before.map_or(now_ns, |it| it.since_ns);
        *absence = Some(Absence { since_ns, last_ns: now_ns });
        now_ns.saturating_sub(since_ns) >= self.longest_ns
    }
}

/// A connection that is read from as long as there is a point in it.
struct Patient<'a> {
    connection: UnixStream,
    deadline_ns: u64,
    is_wanted: &'a dyn Fn() -> bool,
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.read(into) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if SystemClock.monotonic_ns() >= self.deadline_ns || !(self.is_wanted)() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const QUESTION: RecallQuestion = RecallQuestion { generation: 7, range: 4096..4099 };

    /// Answers one question after the other.
    fn answer(folder: &Path, answers: Vec<Option<RecallAnswer>>) -> thread::JoinHandle<()> {
        let listener = UnixListener::bind(recall_socket(folder)).unwrap();
        thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                assert_eq!(RecallQuestion::read(&mut connection).unwrap(), QUESTION);
                if let Some(answer) = answer {
                    answer.write(&mut connection).unwrap();
                }
            }
        })
    }

    fn deadline_ns(agent: &Agent) -> u64 {
        agent.deadline_ns(SystemClock.monotonic_ns())
    }

    #[test]
    fn it_is_asked_until_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = RecallAnswer::Bytes(b"abc".to_vec());
        let answers = vec![None, Some(RecallAnswer::Later("starting".into())), Some(bytes)];
        let answering = answer(folder.path(), answers);
        let agent = Agent::new(folder.path(), Duration::from_secs(60));
        let got = agent.recall(&QUESTION, deadline_ns(&agent), &|| true);
        assert_eq!(got, Ok(b"abc".to_vec()));
        answering.join().unwrap();
    }

    #[test]
    fn what_is_gone_and_what_is_too_short_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let short = RecallAnswer::Bytes(b"ab".to_vec());
        let answering =
            answer(folder.path(), vec![Some(RecallAnswer::Gone("a gap".into())), Some(short)]);
        let agent = Agent::new(folder.path(), Duration::from_secs(60));
        let ask = || agent.recall(&QUESTION, deadline_ns(&agent), &|| true);
        assert_eq!(ask(), Err(NotRecalled::Gone("a gap".into())));
        assert_eq!(ask(), Err(NotRecalled::Gone("2 bytes came of 3".into())));
        answering.join().unwrap();
    }

    #[test]
    fn an_agent_that_is_away_is_waited_for_once_and_asked_again_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::new(folder.path(), Duration::from_millis(300));
        let ask = || agent.recall(&QUESTION, deadline_ns(&agent), &|| true);
        let began_ns = SystemClock.monotonic_ns();
        let said = ask().unwrap_err();
        assert!(SystemClock.monotonic_ns() - began_ns >= 250_000_000, "not waited for: {said:?}");
        let NotRecalled::Gone(why) = said else { panic!("{said:?}") };
        assert!(why.contains("recall.sock") && why.contains("does the agent run?"), "{why}");
        let answering = answer(folder.path(), vec![Some(RecallAnswer::Bytes(b"abc".to_vec()))]);
        assert_eq!(ask(), Ok(b"abc".to_vec()));
        answering.join().unwrap();
    }

    #[test]
    fn nobody_waits_who_does_not_want_it_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::new(folder.path(), Duration::from_secs(600));
        let unwanted = agent.recall(&QUESTION, deadline_ns(&agent), &|| false);
        assert_eq!(unwanted, Err(NotRecalled::Unwanted));
        // The same while somebody thinks about the answer.
        let _listener = UnixListener::bind(recall_socket(folder.path())).unwrap();
        let unwanted = agent.recall(&QUESTION, deadline_ns(&agent), &|| false);
        assert_eq!(unwanted, Err(NotRecalled::Unwanted));
    }
}
