//! The agent on a real node: what it collects is written by containerd, and rotated and removed as the kubelet does.
//!
//! These run containers, as root. `scripts/test.sh` leaves out all of `real_node::` where none can, and says so.
//!
//! What containerd does that our own writers (`kit/kubelet.rs`) do not, seen with 1.6.20:
//! - Times have no zeros at their end: their width changes from line to line.
//! - `\r\n` loses its `\r`: the runtime takes both for the line's end.
//! - What a container writes without a line end, as its last, is a part (`P`) that no other follows.
//! - stdout and stderr are two pipes: what was written in turn may be far apart in the file, and parts of one are
//!   between parts of the other.
//! - A container that is killed leaves what it had written to its pipe: nothing of it is missing. When containerd
//!   is killed, its containers live on and write to their pipes, and it reads on once it is back: lines were never
//!   missing, though what it has in its hands at that moment may be.

mod content;
mod files;
mod lives;
mod rotation;
mod sidecars;

use std::fs;

use node_kit::Container;
use serde_json::Value;

use crate::kit::{Agent, Bed, body, wait_until};

/// A bed whose agent reads all logs below `pods`, which is there.
fn bed() -> Bed {
    let bed = Bed::new();
    fs::create_dir(bed.path("pods")).unwrap();
    bed.configure_pods();
    bed
}

/// Bodies of a container's records on one stream, over its restarts, in the order of the queue.
fn bodies(records: &[Value], container: &str, stream: &str) -> Vec<String> {
    let is_of = |it: &&Value| it["k8s.container.name"] == container && it["log.iostream"] == stream;
    records.iter().filter(is_of).map(body).collect()
}

/// Waits until the queue holds so many records, and fails if there are more.
fn wait_for_count(bed: &Bed, count: usize) -> Vec<Value> {
    let records = wait_until("all records", || bed.records(), |it| it.len() >= count);
    assert_eq!(records.len(), count);
    records
}

/// `NAME 0` to `NAME N`.
fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

/// A shell's loop that writes `count` numbered lines to each stream, some 50 of them and then a rest.
fn counting(count: usize) -> String {
    format!(
        "i=0; while [ $i -lt {count} ]; do echo out $i; echo err $i >&2; \
         i=$((i + 1)); [ $((i % 50)) = 0 ] && usleep 20000; done"
    )
}

/// Bodies of the lines that the runtime has written to the container's live log for a stream.
fn written(container: &Container<'_>, stream: &str) -> Vec<String> {
    let text = fs::read_to_string(container.log()).unwrap();
    let tag = format!(" {stream} F ");
    text.lines().filter_map(|line| Some(line.split_once(&tag)?.1.to_owned())).collect()
}

/// Everything read is delivered, once, as the queue alone proves.
fn stop_and_audit(bed: &Bed, agent: Agent) {
    agent.stop();
    bed.assert_audit_clean();
}
