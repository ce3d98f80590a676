//! Client: how a program under test speaks with the cluster, as properties of librdkafka.

use rdkafka::ClientConfig;

use crate::cluster::Cluster;
use crate::listener::Listener;
use test_kit::Identity;

/// A name and a password, for PLAIN and SCRAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name; ASCII letters and digits.
    pub name: String,
    /// Its password; ASCII letters, digits and `-`.
    pub password: String,
}

impl User {
    /// The user `name`, whose password is `password`.
    #[must_use]
    pub fn new(name: &str, password: &str) -> User {
        User { name: name.to_owned(), password: password.to_owned() }
    }
}

/// How a user shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are.
    Plain,
    /// A challenge over a salted password, by SHA-256.
    ScramSha256,
    /// The same by SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// As Kafka calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A way into the cluster.
#[derive(Debug, Clone)]
pub enum Access<'a> {
    /// Plain text, as nobody; may do all.
    Plain,
    /// The same through the proxies.
    Proxied,
    /// TLS, as nobody; may do all.
    Tls,
    /// TLS with a certificate; the user is its common name.
    MutualTls(&'a Identity),
    /// A password in plain text.
    Sasl(Mechanism, &'a User),
    /// A password in TLS.
    SaslTls(Mechanism, &'a User),
    /// A token in plain text. The client's context makes it: see [`crate::unsecured_token`].
    Token,
    /// A token in TLS.
    TokenTls,
}

impl Access<'_> {
    /// The listener that it leads to.
    #[must_use]
    pub fn listener(&self) -> Listener {
        match self {
            Access::Plain => Listener::Plain,
            Access::Proxied => Listener::Proxied,
            Access::Tls => Listener::Tls,
            Access::MutualTls(_) => Listener::MutualTls,
            Access::Sasl(..) | Access::Token => Listener::Sasl,
            Access::SaslTls(..) | Access::TokenTls => Listener::SaslTls,
        }
    }
}

impl Cluster {
    /// What a client needs to get in by `access`, and nothing else.
    #[must_use]
    pub fn client(&self, access: &Access<'_>) -> ClientConfig {
        let listener = access.listener();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.addresses(listener));
        config.set("security.protocol", listener.protocol());
        if matches!(listener, Listener::Tls | Listener::MutualTls | Listener::SaslTls) {
            config.set("ssl.ca.location", self.authority().certificate().display().to_string());
        }
        match access {
            Access::MutualTls(identity) => {
                config.set("ssl.certificate.location", identity.certificate.display().to_string());
                config.set("ssl.key.location", identity.key.display().to_string());
            }
            Access::Sasl(mechanism, user) | Access::SaslTls(mechanism, user) => {
                config.set("sasl.mechanisms", mechanism.name());
                config.set("sasl.username", &user.name).set("sasl.password", &user.password);
            }
            Access::Token | Access::TokenTls => {
                config.set("sasl.mechanisms", "OAUTHBEARER");
            }
            Access::Plain | Access::Proxied | Access::Tls => {}
        }
        config
    }
}
