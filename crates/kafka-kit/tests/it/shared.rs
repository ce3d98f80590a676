//! The broker that tests share: each has topics and users of its own.

use std::sync::LazyLock;

use kafka_kit::{Cluster, User};

pub(crate) static ALICE: LazyLock<User> = LazyLock::new(|| User::new("alice", "alice-secret"));
pub(crate) static BOB: LazyLock<User> = LazyLock::new(|| User::new("bob", "bob-secret"));
/// Changes her password.
pub(crate) static CAROL: LazyLock<User> = LazyLock::new(|| User::new("carol", "carol-secret"));
/// Has a quota.
pub(crate) static DAVE: LazyLock<User> = LazyLock::new(|| User::new("dave", "dave-secret"));

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let builder = Cluster::builder().user(&ALICE).user(&BOB).user(&CAROL).user(&DAVE);
    builder.set("message.max.bytes", "200000").start().unwrap()
});

/// A broker that all tests leave running.
pub(crate) fn cluster() -> &'static Cluster {
    &CLUSTER
}

/// The same with a topic of one partition, of this name.
pub(crate) fn cluster_with(topic: &str) -> &'static Cluster {
    CLUSTER.create_topic(topic, 1, 1, &[]).unwrap();
    &CLUSTER
}
