//! One replica leads, and another one soon after it is gone.

use node_kit::ApiServer;
use test_kit::Deadline;

use crate::kit::{Operator, wait_until};
use std::time::Duration;

/// As kube-controller-manager's, shorter: lease, renewal, retry.
const FAST: [&str; 4] = [
    "--namespace=default",
    "--leader-elect-lease-duration=3s",
    "--leader-elect-renew-deadline=2s",
    "--leader-elect-retry-period=500ms",
];

fn holder(server: &ApiServer) -> String {
    let lease = ["get", "lease", "logferry-operator", "--namespace=default"];
    let of = "--output=jsonpath={.spec.holderIdentity}/{.spec.leaseTransitions}";
    server.admin().kubectl(&[&lease[..], &[of]].concat()).expect("the lease")
}

/// Starts two, of which the first leads.
fn two(server: &ApiServer, folder: &tempfile::TempDir) -> (Operator, Operator) {
    let start = || Operator::start(folder.path(), server.admin().kubeconfig(), &FAST);
    let first = start();
    wait_until("the first to lead", || first.is_leading());
    let second = start();
    wait_until("the second to be ready", || second.get("/readyz").is_some_and(|it| it.0 == 200));
    assert!(second.get("/healthz").is_some_and(|it| it.1 == "ok\n"));
    assert!(!second.is_leading());
    (first, second)
}

#[test]
fn another_replica_leads_at_once_when_the_leader_is_told_to_stop() {
    let (server, folder) = (ApiServer::start().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, second) = two(&server, &folder);
    let before = holder(&server);
    assert!(before.ends_with("/1"), "{before}");
    let deadline = Deadline::after(Duration::from_secs(2));
    assert!(first.stop().success(), "{}", first.log());
    wait_until("the second to lead", || second.is_leading());
    assert!(deadline.left().is_some(), "it waited for the lease to be over");
    let after = holder(&server);
    assert!(after != before && after.ends_with("/2"), "{before}, {after}");
}

#[test]
fn another_replica_leads_when_the_leader_was_killed_and_not_before_its_lease_is_over() {
    let (server, folder) = (ApiServer::start().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, second) = two(&server, &folder);
    let lease = Deadline::after(Duration::from_secs(2));
    first.kill();
    wait_until("the second to lead", || {
        assert!(lease.left().is_none() || !second.is_leading(), "the lease is not over");
        second.is_leading()
    });
}

#[test]
fn a_leader_that_cannot_renew_ends_and_one_that_slept_too_long_does_too() {
    let (server, folder) = (ApiServer::start().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, mut second) = two(&server, &folder);
    // It sleeps as on a machine that has no time for it, and others go on.
    first.pause();
    wait_until("the second to lead", || second.is_leading());
    first.go_on();
    assert_eq!(first.wait_ended().code(), Some(3), "{}", first.log());
    assert!(first.log().contains("the lead is lost"), "{}", first.log());
    // Nobody answers.
    server.kill().unwrap();
    assert_eq!(second.wait_ended().code(), Some(3), "{}", second.log());
    assert!(second.log().contains("the lead is lost"), "{}", second.log());
}
