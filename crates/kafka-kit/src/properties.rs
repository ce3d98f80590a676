//! Properties: what a broker is configured with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::client::User;
use crate::listener::Listener;
use crate::place::Place;
use test_kit::{Authority, Identity};

/// What all brokers of a cluster share.
pub(crate) struct Shared<'a> {
    pub(crate) brokers: u32,
    pub(crate) place: Place,
    pub(crate) authority: &'a Authority,
    pub(crate) identity: &'a Identity,
    pub(crate) users: &'a [User],
}

/// The properties of one broker.
pub(crate) fn properties(
    shared: &Shared<'_>,
    node: u32,
    folder: &Path,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    let list = |of: &dyn Fn(Listener) -> Option<String>| -> String {
        Listener::ALL.into_iter().filter_map(of).collect::<Vec<_>>().join(",")
    };
    let place = shared.place;
    set("process.roles", "broker,controller".to_owned());
    set("node.id", node.to_string());
    let voters: Vec<String> = (1..=shared.brokers)
        .map(|voter| format!("{voter}@{}", place.listens(voter, Listener::Controller)))
        .collect();
    set("controller.quorum.voters", voters.join(","));
    set("controller.listener.names", Listener::Controller.name().to_owned());
    set("inter.broker.listener.name", Listener::Plain.name().to_owned());
    set("listeners", list(&|it| Some(format!("{}://{}", it.name(), place.listens(node, it)))));
    set(
        "advertised.listeners",
        list(&|it| {
            let address = place.advertised(node, it);
            (it != Listener::Controller).then(|| format!("{}://{address}", it.name()))
        }),
    );
    set(
        "listener.security.protocol.map",
        list(&|it| Some(format!("{}:{}", it.name(), it.protocol()))),
    );
    set("log.dirs", folder.join("data").display().to_string());

    // Small clusters have too few brokers for the defaults; and a group has not to wait for members.
    let replicas = shared.brokers.min(3);
    set("default.replication.factor", replicas.to_string());
    for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        set(&format!("{topic}.replication.factor"), replicas.to_string());
        set(&format!("{topic}.num.partitions"), "1".to_owned());
    }
    set("transaction.state.log.min.isr", replicas.min(2).to_string());
    set("share.coordinator.state.topic.min.isr", "1".to_owned());
    set("group.initial.rebalance.delay.ms", "0".to_owned());
    // A topic that a test did not create is a mistake of the test.
    set("auto.create.topics.enable", "false".to_owned());

    set(
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
    );
    // Plain text has no names: whoever comes there may do all. Others may where no rule is.
    set("super.users", "User:ANONYMOUS".to_owned());
    set("allow.everyone.if.no.acl.found", "true".to_owned());

    set("ssl.keystore.type", "PEM".to_owned());
    set("ssl.keystore.location", shared.identity.both.display().to_string());
    set("ssl.truststore.type", "PEM".to_owned());
    set("ssl.truststore.location", shared.authority.certificate().display().to_string());
    set("listener.name.mutualtls.ssl.client.auth", "required".to_owned());
    // A user of mutual TLS is the common name alone.
    set("ssl.principal.mapping.rules", "RULE:^CN=([^,]*).*$/$1/".to_owned());
    for listener in ["sasl", "sasltls"] {
        sasl(listener, shared.users, &mut set);
    }
    all
}

fn sasl(listener: &str, users: &[User], set: &mut impl FnMut(&str, String) -> Option<String>) {
    let prefix = format!("listener.name.{listener}");
    let mechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER";
    set(&format!("{prefix}.sasl.enabled.mechanisms"), mechanisms.to_owned());
    let module = |name: &str, options: &str| {
        format!("org.apache.kafka.common.security.{name} required{options};")
    };
    let passwords: String =
        users.iter().map(|user| format!(" user_{}=\"{}\"", user.name, user.password)).collect();
    set(&format!("{prefix}.plain.sasl.jaas.config"), module("plain.PlainLoginModule", &passwords));
    for mechanism in ["scram-sha-256", "scram-sha-512"] {
        let key = format!("{prefix}.{mechanism}.sasl.jaas.config");
        set(&key, module("scram.ScramLoginModule", ""));
    }
    set(
        &format!("{prefix}.oauthbearer.sasl.jaas.config"),
        module("oauthbearer.OAuthBearerLoginModule", " unsecuredLoginStringClaim_sub=\"broker\""),
    );
}

/// The text of a properties file.
pub(crate) fn text(properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in properties {
        writeln!(text, "{key}={}", value.replace('\\', "\\\\")).expect("a String takes all");
    }
    text
}
