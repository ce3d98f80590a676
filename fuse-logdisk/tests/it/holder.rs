//! The holder, as a process of its own, and those who come to it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use logdisk::holder::Hold;
use logdisk::lock;
use tempfile::TempDir;

use crate::kit::wait_until;

/// A holder; killed when dropped.
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts one, and returns when it can be asked.
    pub(crate) fn start(socket: &Path, seconds: u32) -> Holder {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logdisk"));
        command.arg("hold").arg("--socket").arg(socket).arg(format!("--seconds={seconds}"));
        let started = test_kit::start(&command, Stdio::null(), Stdio::null());
        let holder = Holder(started.expect("can be started"));
        let refusal = || hold(socket, "/").held().err();
        wait_until("a holder", refusal, Option::is_none);
        holder
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn hold(socket: &Path, name: &str) -> Hold {
    Hold::new(socket, Path::new("/store"), Path::new(name)).expect("as it must")
}

/// The end of a pipe, and the other one, by which is seen whether somebody still has the first.
fn pipe() -> (std::io::PipeWriter, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().expect("as it must");
    (writer, reader)
}

#[test]
fn what_is_held_is_given_to_whoever_comes_next_and_let_go_when_told() {
    let folder = TempDir::new().expect("a scratch folder");
    let socket = folder.path().join("holder/socket");
    let _holder = Holder::start(&socket, 60);
    let (writer, mut reader) = pipe();
    let mut first = hold(&socket, "/a");
    assert!(first.held().expect("it answers").is_none(), "nothing is held yet");
    first.hold(&writer).expect("it answers");
    first.hold(&writer).expect("also twice");
    drop((writer, first));
    let mut next = hold(&socket, "/a");
    let held = next.held().expect("it answers").expect("it is there");
    std::io::Write::write_all(&mut File::from(held), b"live").expect("as it must");
    assert!(hold(&socket, "/b").held().expect("it answers").is_none(), "another one");
    next.let_go().expect("it answers");
    let mut all = String::new();
    reader.read_to_string(&mut all).expect("nobody has the other end any more");
    assert_eq!(all, "live");
    assert!(next.held().expect("it answers").is_none());
}

#[test]
fn what_nobody_attends_to_is_let_go_after_its_time_and_not_before() {
    let folder = TempDir::new().expect("a scratch folder");
    let socket = folder.path().join("socket");
    let _holder = Holder::start(&socket, 2);
    let (attended, _attended) = pipe();
    let (left, mut is_left) = pipe();
    let mut stays = hold(&socket, "/stays");
    stays.hold(&attended).expect("it answers");
    let mut leaves = hold(&socket, "/leaves");
    leaves.hold(&left).expect("it answers");
    drop((left, leaves));
    let begin_ms = crate::kit::now_ms();
    assert_eq!(is_left.read(&mut [0]).expect("its end"), 0);
    assert!(crate::kit::now_ms() - begin_ms > 1000, "too soon");
    assert!(stays.held().expect("it answers").is_some(), "somebody attends to it");
}

#[test]
fn a_holder_that_was_started_anew_is_given_all_again() {
    let folder = TempDir::new().expect("a scratch folder");
    let socket = folder.path().join("socket");
    let holder = Holder::start(&socket, 60);
    let (writer, _reader) = pipe();
    let mut supervisor = hold(&socket, "/a");
    supervisor.hold(&writer).expect("it answers");
    drop(holder);
    assert!(supervisor.hold(&writer).is_err(), "nobody is there");
    let _holder = Holder::start(&socket, 60);
    supervisor.hold(&writer).expect("it answers");
    drop(supervisor);
    assert!(hold(&socket, "/a").held().expect("it answers").is_some());
}

/// The store is what both would change: what the one before still does would be unknown to the next one.
#[test]
fn a_daemon_does_not_begin_while_the_one_before_may_still_answer() {
    let store = TempDir::new().expect("as it must");
    let before = lock::take(store.path(), lock::DAEMON, Duration::ZERO).expect("free");
    let daemon = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logdisk"));
        command.arg("serve").arg("--store").arg(store.path()).stdin(Stdio::null());
        let output = command.output().expect("can be started");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = daemon();
    assert!(told.contains("another daemon does not end"), "{told}");
    drop(before);
    let told = daemon();
    assert!(!told.contains("another daemon does not end"), "{told}");
}
