//! Cluster: brokers that belong together, and all that lies in their folder.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::thread;

use crate::broker::Broker;
use crate::client::{Mechanism, User};
use crate::folder::Folder;
use crate::home::Home;
use crate::listener::Listener;
use crate::place::{BROKERS_MAX, Place};
use crate::properties::{Shared, properties};
use crate::proxy::Proxy;
use anyhow::{Result, ensure};
use test_kit::{Authority, Identity, Validity};

/// Any will do: clusters never meet.
const CLUSTER_ID: &str = "logferry-kafka-kit-000";

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct Builder {
    brokers: u32,
    plain: Option<SocketAddrV4>,
    users: Vec<User>,
    overrides: Vec<(String, String)>,
}

impl Builder {
    /// How many brokers; 1 if it is not said.
    #[must_use]
    pub fn brokers(mut self, brokers: u32) -> Builder {
        self.brokers = brokers;
        self
    }

    /// Where the first broker listens in plain text, for who has to know before; its other ports are near.
    /// Tests do without: nobody is told that address by chance.
    #[must_use]
    pub fn at(mut self, plain: SocketAddrV4) -> Builder {
        self.plain = Some(plain);
        self
    }

    /// A property of all brokers, such as `message.max.bytes`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Builder {
        self.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A user, for PLAIN and SCRAM.
    #[must_use]
    pub fn user(mut self, user: &User) -> Builder {
        self.users.push(user.clone());
        self
    }

    /// Starts all brokers, and returns when all are ready.
    ///
    /// # Errors
    ///
    /// If Kafka was not fetched, a program is missing, or a broker does not come up.
    pub fn start(self) -> Result<Cluster> {
        ensure!((1..=BROKERS_MAX).contains(&self.brokers), "1 to {BROKERS_MAX} brokers");
        let home = Home::find()?;
        let place = self.plain.map_or_else(Place::new, Place::at)?;
        let folder = Folder::new(&place)?;
        let authority = Authority::new(folder.path(), "authority")?;
        let identity = authority.issue("broker", Some(place.address()), Validity::Valid)?;
        let shared = Shared {
            brokers: self.brokers,
            place,
            authority: &authority,
            identity: &identity,
            users: &self.users,
        };
        let mut brokers = Vec::new();
        for node in 1..=self.brokers {
            let own = folder.path().join(format!("broker-{node}"));
            fs::create_dir(&own)?;
            let mut properties = properties(&shared, node, &own);
            properties.extend(self.overrides.iter().cloned());
            let proxy = Proxy::start(
                place.advertised(node, Listener::Proxied),
                place.listens(node, Listener::Proxied),
            )?;
            brokers.push(Broker::new(node, home.clone(), own, proxy, properties));
        }
        let scram = scram_credentials(&self.users);
        in_parallel(&brokers, |broker| {
            broker.format(CLUSTER_ID, &scram)?;
            broker.launch()
        })?;
        // None is ready before most are there.
        in_parallel(&brokers, Broker::wait_ready)?;
        Ok(Cluster { home, place, authority, identity, brokers, folder })
    }
}

/// Runs `work` for all at the same time. The first error is returned when all have ended.
fn in_parallel(brokers: &[Broker], work: impl Fn(&Broker) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = brokers.iter().map(|broker| scope.spawn(|| work(broker))).collect();
        let results: Vec<Result<()>> =
            threads.into_iter().map(|it| it.join().expect("it does not panic")).collect();
        results.into_iter().collect()
    })
}

fn scram_credentials(users: &[User]) -> Vec<String> {
    let mut all = Vec::new();
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        for User { name, password } in users {
            all.push(format!("{}=[name={name},password={password}]", mechanism.name()));
        }
    }
    all
}

/// Brokers that run. They are killed, and their folder is removed, when it is dropped or the process ends.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    place: Place,
    authority: Authority,
    identity: Identity,
    // Before the folder: they write in it until they are dropped.
    brokers: Vec<Broker>,
    folder: Folder,
}

impl Cluster {
    /// One broker without users, unless something else is said.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { brokers: 1, plain: None, users: Vec::new(), overrides: Vec::new() }
    }

    /// The broker of this number, from 1.
    #[must_use]
    pub fn broker(&self, node: u32) -> &Broker {
        self.brokers.iter().find(|it| it.node() == node).expect("a broker of this cluster")
    }

    /// All brokers.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Whom the brokers trust, and who vouches for them.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Key and certificate of all brokers. They read the files when they start.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A folder that lives as long as the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where clients find the cluster by `listener`: `address:port` of each broker, with commas between.
    #[must_use]
    pub fn addresses(&self, listener: Listener) -> String {
        let addresses: Vec<String> = self
            .brokers
            .iter()
            .map(|broker| self.place.advertised(broker.node(), listener).to_string())
            .collect();
        addresses.join(",")
    }

    /// Where one broker listens in plain text.
    pub(crate) fn plain_address(&self, node: u32) -> String {
        self.place.listens(node, Listener::Plain).to_string()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}
