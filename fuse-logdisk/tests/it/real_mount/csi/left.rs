//! What is left of volumes whose pods are gone.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::node::Node;
use super::{ID, agent};
use crate::kit::{limited, wait_until};

#[test]
fn records_bear_the_pod_and_what_is_not_delivered_outlives_it() {
    limited(180, || {
        let node = Node::start(&[]);
        node.publish(node.wanted(ID, &[])).expect("mounted");
        fs::write(node.target(ID).join("app.log"), "late\n").expect("as it must");
        node.unpublish(ID).expect("unmounted");
        thread::sleep(Duration::from_secs(3));
        assert!(node.is_mounted(&node.store(ID)), "nobody has it: {}", node.log());
        let agent = agent::start_in(&node.path(""), "run/stores/*/logs/**/*");
        let records = || agent::records_in(&node.path(""));
        let records = wait_until("a record", records, |it| !it.is_empty());
        let record = &records[0];
        assert_eq!(record["body"], "late");
        // Whose it is follows from where the pod is, as of what it writes to its standard output.
        assert_eq!(record["tenant"], "shop", "{record}");
        let uid = format!("uid-of-{ID}");
        for (key, value) in [
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "web-0"),
            ("k8s.pod.uid", uid.as_str()),
            ("k8s.serviceaccount.name", "till"),
        ] {
            assert_eq!(record[key], value, "{record}");
        }
        wait_until("given back", || node.has(ID), |it| !it);
        assert!(!node.is_mounted(&node.store(ID)));
        drop(agent);
    });
}

#[test]
fn what_is_never_delivered_is_given_up_after_its_time() {
    limited(120, || {
        let node = Node::start(&["--leftover-seconds", "2"]);
        node.publish(node.wanted(ID, &[])).expect("mounted");
        fs::write(node.target(ID).join("app.log"), "lost\n").expect("as it must");
        node.unpublish(ID).expect("unmounted");
        assert!(node.is_mounted(&node.store(ID)));
        wait_until("given up", || node.has(ID), |it| !it);
        assert!(node.log().contains("not delivered in time: lost"), "{}", node.log());
    });
}

#[test]
fn the_time_of_what_is_left_goes_on_over_a_restart_of_the_driver() {
    limited(240, || {
        // Longer than anything is waited for.
        let mut node = Node::start(&["--leftover-seconds", "100"]);
        node.publish(node.wanted(ID, &[])).expect("mounted");
        fs::write(node.target(ID).join("app.log"), "lost\n").expect("as it must");
        node.unpublish(ID).expect("unmounted");
        node.kill_driver();
        // As if the pod had been gone since the machine started.
        let file = node.path("run/volumes").join(format!("{ID}.json"));
        let text = fs::read(&file).expect("written down");
        let mut record: Value = serde_json::from_slice(&text).expect("JSON");
        record["over_since_ns"] = 0.into();
        fs::write(&file, record.to_string()).expect("ours");
        node.start_driver();
        wait_until("given up", || node.has(ID), |it| !it);
        assert!(node.log().contains("not delivered in time: lost"), "{}", node.log());
    });
}
