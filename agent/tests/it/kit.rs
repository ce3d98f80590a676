//! Kit: a scratch folder with a configuration, the agent as a process, loads, and waiting.
//!
//! Everything a test makes lies in its own scratch folder and listens on its own ports, so tests run
//! in parallel. Whatever is waited for has a deadline, and missing it fails the test with what was
//! there instead.

mod agent;
mod bed;
mod following;
mod kubelet;
mod mount;
mod writer;

pub(crate) use agent::{Agent, Run};
pub(crate) use bed::{Bed, SMALL_QUEUE, body, containers, files, queue_sink, resource};
pub(crate) use following::Following;
pub(crate) use kubelet::{Container, Operation, POD};
pub(crate) use mount::{Mount, Tmpfs};
pub(crate) use writer::{Writer, load, rotation, write};

use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use benches::check::{CheckOptions, Checker, Verdict};
use benches::truth::StreamTruth;
use flow::{Clock, SystemClock};

/// The program under test.
pub(crate) const LOGFERRY: &str = env!("CARGO_BIN_EXE_logferry");

/// Longest that anything may take: only reached by a test that fails. Generous, since all tests share
/// the machine with each other and with a compiler.
const DEADLINE_SECONDS: u64 = 60;
/// Pause between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(25);

pub(crate) fn now_ns() -> u64 {
    SystemClock.monotonic_ns()
}

pub(crate) fn sleep_ms(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Fails the test if something took too long, of which a busy machine may be the cause.
#[track_caller]
pub(crate) fn assert_within_ms(what: &str, took_ms: u64, max_ms: u64) {
    let [took, max] = [took_ms, max_ms].map(Duration::from_millis);
    kafka_kit::assert_within(what, took, max);
}

/// Looks until `look` brings a value; its error is what is said when it never does.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline_ns = now_ns() + DEADLINE_SECONDS * 1_000_000_000;
    loop {
        match look() {
            Ok(value) => return value,
            Err(now) if now_ns() >= deadline_ns => {
                panic!("{what}: not within {DEADLINE_SECONDS} s; at the end: {now}")
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Looks until `look` brings something that `is_right`.
pub(crate) fn wait_until<T: Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    is_right: impl Fn(&T) -> bool,
) -> T {
    wait_for(what, || {
        let now = look();
        if is_right(&now) { Ok(now) } else { Err(format!("{now:?}")) }
    })
}

/// An address of this machine where nobody listens.
///
/// Below the ports that the kernel gives to clients, so that no connection of another test takes it;
/// each is given once per process.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 9000).expect("small") + 20_000;
    loop {
        let port = 20_000 + (first - 20_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Status and text of a GET; `None` if nobody answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let answer = minreq::get(format!("http://{address}{path}")).with_timeout(5).send().ok()?;
    Some((answer.status_code, answer.as_str().expect("text").to_owned()))
}

/// Appends bytes to a file, in one write, as applications do.
pub(crate) fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("can be opened");
    file.write_all(bytes).expect("can be written");
}

/// What came of `truth`, judged by the JSON lines in `delivered`.
pub(crate) fn judge(truth: Vec<StreamTruth>, delivered: &[u8]) -> Verdict {
    let mut checker = Checker::new(truth, CheckOptions::default());
    for line in delivered.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        checker.take_line(line);
    }
    checker.finish()
}

/// Fails unless everything arrived once, whole and in order, and no gap was declared.
#[track_caller]
pub(crate) fn assert_exact(verdict: &Verdict) {
    assert!(verdict.ok && verdict.gaps == 0, "{verdict}");
    assert!(verdict.arrived > 0, "nothing was written, so nothing was shown: {verdict}");
}
