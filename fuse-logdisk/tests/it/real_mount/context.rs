//! What records of a volume bear, and who cannot change that.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::agent;
use crate::kit::{Volume, limited, wait_until};

fn record(volume: &Volume, body: &str) -> Option<Value> {
    agent::records(volume).into_iter().find(|it| it["body"] == body)
}

fn wait_for_record(volume: &Volume, body: &str) -> Value {
    let found = wait_until("the record", || record(volume, body), Option::is_some);
    found.expect("is there")
}

#[test]
fn records_bear_the_context_that_the_volume_was_mounted_with() {
    limited(180, || {
        let context = ["--context", "k8s.pod.name=web-0", "--context", "team=shop"];
        let options = ["--agent-state", "{dir}/state"];
        let mut volume = Volume::mount(&[&options[..], &context].concat());
        let path = volume.target().join("app.log");
        fs::write(&path, "before\n").expect("as it must");
        let agent = agent::start(&volume);
        for body in ["before", "after a cut", "after a rename"] {
            if body == "after a rename" {
                fs::rename(&path, path.with_extension("log.1")).expect("as it must");
            }
            fs::write(&path, format!("{body}\n")).expect("as it must");
            let record = wait_for_record(&volume, body);
            for (key, value) in [("k8s.pod.name", "web-0"), ("team", "shop"), ("host.name", "test")]
            {
                assert_eq!(record[key], value, "{record}");
            }
        }
        drop(agent);
        assert!(volume.stop().1, "{}", volume.log());
    });
}

/// Makes a folder as a log disk has it, and marks it, with all rights that root has in a container.
const CLAIM: &str = r#"
import errno, os, sys
logs = sys.argv[1]
os.makedirs(logs, exist_ok=True)
for name in "security.logdisk", "trusted.logdisk":
    try:
        os.setxattr(logs, name, b"team=other\0")
        sys.exit(f"{name} could be set")
    except OSError as error:
        assert error.errno in (errno.EPERM, errno.EOPNOTSUPP), error
"#;

fn claim(logs: &Path) {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    let output = command.args(["python3", "-c", CLAIM]).arg(logs).output().expect("as it must");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", logs.display());
}

#[test]
fn who_writes_to_a_volume_cannot_claim_another_context() {
    limited(180, || {
        let options = ["--agent-state", "{dir}/state", "--context", "team=shop"];
        let volume = Volume::mount(&options);
        // In the volume, and on a disk as any other.
        claim(&volume.target().join("logs"));
        claim(&volume.scratch().join("logs"));
        fs::write(volume.target().join("logs/app.log"), "mine\n").expect("as it must");
        let agent = agent::start(&volume);
        assert_eq!(wait_for_record(&volume, "mine")["team"], "shop");
        drop(agent);
    });
}
