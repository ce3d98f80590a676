//! Two agents that want the same thing.

use std::fs;
use std::net::TcpListener;

use crate::kit::{Agent, Bed, LOGFERRY, Run, files, free_address, queue_sink};

/// Runs a second agent of the bed to its end, with another address and what `replace` says.
fn second(bed: &Bed, replace: (&str, &str)) -> Run {
    let config = fs::read_to_string(bed.config()).unwrap();
    let config = config.replace(&bed.listen.to_string(), &free_address().to_string());
    let config = config.replace(replace.0, replace.1);
    fs::write(bed.path("second.yaml"), config).unwrap();
    let path = bed.path("second.yaml");
    // Should it not end by itself, it must not outlive the test.
    let mut command = std::process::Command::new("timeout");
    command.args(["--signal=KILL", "60", LOGFERRY]);
    Run::by(command, &["run", "--file", path.to_str().unwrap()])
}

#[test]
fn a_second_agent_on_the_same_state_directory_is_refused() {
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    let run = second(&bed, ("/queue'", "/other-queue'"));
    assert_eq!(run.code, Some(3), "{run:?}");
    let state = bed.path("state").display().to_string();
    assert!(run.stderr.contains(&format!("{state}: in use by another logferry")), "{run:?}");
    agent.assert_running();
    agent.stop();
}

#[test]
fn a_second_agent_on_the_same_queue_is_refused() {
    let bed = Bed::new();
    bed.configure_files();
    let mut agent = Agent::start(&bed);
    let run = second(&bed, ("/state'", "/other-state'"));
    assert_eq!(run.code, Some(3), "{run:?}");
    let said =
        format!("{}: held by another writer (process {})", bed.queue().display(), agent.pid());
    assert!(run.stderr.contains(&said), "{run:?}");
    agent.assert_running();
    agent.stop();
}

#[test]
fn an_address_in_use_is_refused() {
    let bed = Bed::new();
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "*.log", "")]);
    let _taken = TcpListener::bind(bed.listen).unwrap();
    let (status, said) = Agent::spawn(&bed).wait_ended();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("{}: cannot listen", bed.listen)), "{said}");
}

#[test]
fn a_killed_agent_leaves_no_lock_behind() {
    let bed = Bed::new();
    bed.configure_files();
    Agent::start(&bed).kill();
    Agent::start(&bed).stop();
}
