//! Files and folders that the agent may not read. As root it may read everything, so these agents
//! are nobody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::kit::{Agent, Bed, LOGFERRY, Run, append, queue_sink, resource, wait_until};

/// User and group that own nothing.
const NOBODY: u32 = 65_534;

/// A bed whose agent may write state and queue, and its program where nobody may reach it.
fn bed_of_nobody() -> Bed {
    let bed = Bed::new();
    fs::copy(LOGFERRY, bed.path("logferry")).unwrap();
    for folder in ["state", "queue"] {
        fs::create_dir(bed.path(folder)).unwrap();
        chown(bed.path(folder), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let config =
        "  source:\n    files:\n      include: ['{dir}/logs/*.log', '{dir}/logs/*/*.log']\n";
    bed.configure(&[&bed.agent(""), &queue_sink(""), &resource("LogConfig", "files", config)]);
    bed
}

fn as_nobody(bed: &Bed) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(bed.path("logferry"));
    command
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_not_be_read_holds_nobody_up_and_arrives_once_the_right_is_granted() {
    let bed = bed_of_nobody();
    append(&bed.log("secret.log"), b"secret one\n");
    set_mode(&bed.log("secret.log"), 0o600);
    append(&bed.log("open.log"), b"open one\n");
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    bed.wait_for_bodies(&["open one"]);
    agent.wait_said("cannot be read; trying again");
    append(&bed.log("secret.log"), b"secret two\n");
    append(&bed.log("open.log"), b"open two\n");
    bed.wait_for_bodies(&["open one", "open two"]);

    set_mode(&bed.log("secret.log"), 0o644);
    bed.wait_for_bodies(&["open one", "open two", "secret one", "secret two"]);
    agent.stop();
}

#[test]
fn a_folder_that_may_not_be_listed_holds_nobody_up_and_is_read_once_the_right_is_granted() {
    let bed = bed_of_nobody();
    fs::create_dir(bed.log("closed")).unwrap();
    append(&bed.log("closed/secret.log"), b"secret\n");
    set_mode(&bed.log("closed"), 0o700);
    append(&bed.log("open.log"), b"open\n");
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    bed.wait_for_bodies(&["open"]);

    set_mode(&bed.log("closed"), 0o755);
    bed.wait_for_bodies(&["open", "secret"]);
    agent.stop();
}

#[test]
fn a_right_that_is_taken_away_while_the_file_is_read_loses_nothing() {
    let bed = bed_of_nobody();
    append(&bed.log("app.log"), b"one\n");
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    bed.wait_for_bodies(&["one"]);
    agent.stop();
    set_mode(&bed.log("app.log"), 0o600);
    append(&bed.log("app.log"), b"two\n");
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    agent.wait_said("cannot be read; trying again");
    set_mode(&bed.log("app.log"), 0o644);
    bed.wait_for_bodies(&["one", "two"]);
    agent.stop();
}

#[test]
fn explain_says_that_a_file_may_not_be_read() {
    let bed = bed_of_nobody();
    let path = bed.log("secret.log");
    append(&path, b"secret\n");
    set_mode(&path, 0o600);
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    let config = bed.config();
    let ask = || {
        let arguments = ["explain", "--file", config.to_str().unwrap(), path.to_str().unwrap()];
        Run::by(as_nobody(&bed), &arguments)
    };
    let run = wait_until("failures", ask, |it| !it.stdout.contains(", 0 failures"));
    let want = "LogConfig files: selects it: but it cannot be read now: Permission denied";
    assert!(run.stdout.contains(want), "{run:?}");
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_state_directory_that_may_not_be_written_is_refused() {
    let bed = bed_of_nobody();
    chown(bed.path("state"), Some(0), Some(0)).unwrap();
    let (status, said) = Agent::spawn_as(&bed, as_nobody(&bed)).wait_ended();
    assert_eq!(status.code(), Some(3), "{said}");
    let state = bed.path("state").display().to_string();
    assert!(said.contains(&state) && said.contains("Permission denied"), "{said}");
}

#[test]
fn c12_a_file_that_nobody_could_read_before_it_was_removed_is_a_declared_gap() {
    let bed = bed_of_nobody();
    append(&bed.log("secret.log"), b"never read\n");
    set_mode(&bed.log("secret.log"), 0o600);
    append(&bed.log("open.log"), b"open\n");
    let mut agent = Agent::spawn_as(&bed, as_nobody(&bed));
    agent.wait_ready();
    bed.wait_for_bodies(&["open"]);
    agent.wait_said("cannot be read; trying again");
    fs::remove_file(bed.log("secret.log")).unwrap();
    let records = bed.wait_for_records(2);
    assert_eq!(records[1]["log.gap.reason"], "unreadable");
    assert_eq!(records[1]["log.gap.bytes"], "never read\n".len());
    agent.stop();
    bed.assert_audit_clean();
}
