//! The rights that the chart and the systemd unit give: root without any capability but one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::kit::{Agent, Bed, LOGFERRY, append, files, queue_sink};

/// User of a container or daemon that lets nobody read its logs.
const OTHER: u32 = 10_001;

/// The agent as root with these capabilities alone, and no way to more.
fn with_capabilities(capabilities: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--bounding-set=-all{capabilities}"))
        .arg(format!("--inh-caps=-all{capabilities}"))
        .args(["--no-new-privs", "--", LOGFERRY]);
    command
}

fn give_to_other(path: &Path, mode: u32) {
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn dac_read_search_alone_reads_what_belongs_to_others_and_root_without_it_does_not() {
    let bed = Bed::new();
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "**/*.log", "")]);
    fs::create_dir(bed.log("private")).unwrap();
    append(&bed.log("private/app.log"), b"private\n");
    give_to_other(&bed.log("private/app.log"), 0o600);
    give_to_other(&bed.log("private"), 0o700);
    append(&bed.log("own.log"), b"own\n");
    fs::set_permissions(bed.log("own.log"), Permissions::from_mode(0o640)).unwrap();

    let mut agent = Agent::spawn_as(&bed, with_capabilities(""));
    agent.wait_ready();
    bed.wait_for_bodies(&["own"]);
    agent.wait_said("Permission denied");
    agent.stop();

    let mut agent = Agent::spawn_as(&bed, with_capabilities(",+dac_read_search"));
    agent.wait_ready();
    bed.wait_for_bodies(&["own", "private"]);
    agent.stop();
    bed.assert_audit_clean();
}
