//! Access: rules, quotas and passwords, set by Kafka's own tools. Each call runs Java for about a second.

use std::time::Duration;

use anyhow::Result;

use crate::client::{Mechanism, User};
use crate::cluster::Cluster;
use crate::listener::Listener;

/// Longest run of a tool.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a rule for a topic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclOperation {
    /// To read from it, and know it.
    Read,
    /// To write to it, and know it.
    Write,
}

/// What has properties that can be changed while brokers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity<'a> {
    /// A topic: `max.message.bytes`, `min.insync.replicas`, …
    Topic(&'a str),
    /// A user: `producer_byte_rate`, `consumer_byte_rate` (bytes per second and broker), `request_percentage`.
    User(&'a str),
    /// A broker: what Kafka calls dynamic, such as `message.max.bytes`.
    Broker(u32),
}

impl Cluster {
    /// Lets `user` do this with a topic. What other users may do with it then needs a rule, too.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub fn allow(&self, user: &str, operation: AclOperation, topic: &str) -> Result<()> {
        self.acl(&["--add"], "--allow-principal", user, operation, topic)
    }

    /// Forbids it to `user`, whatever else is allowed.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub fn deny(&self, user: &str, operation: AclOperation, topic: &str) -> Result<()> {
        self.acl(&["--add"], "--deny-principal", user, operation, topic)
    }

    /// Takes back what [`Cluster::allow`] has set.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub fn disallow(&self, user: &str, operation: AclOperation, topic: &str) -> Result<()> {
        self.acl(&["--remove", "--force"], "--allow-principal", user, operation, topic)
    }

    /// Takes back what [`Cluster::deny`] has set.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub fn undeny(&self, user: &str, operation: AclOperation, topic: &str) -> Result<()> {
        self.acl(&["--remove", "--force"], "--deny-principal", user, operation, topic)
    }

    /// Sets properties while the brokers run.
    ///
    /// # Errors
    ///
    /// If no broker answers, or none knows such a property.
    pub fn alter(&self, entity: Entity<'_>, properties: &[(&str, &str)]) -> Result<()> {
        let pairs: Vec<String> =
            properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (kind, name) = match entity {
            Entity::Topic(name) => ("topics", name.to_owned()),
            Entity::User(name) => ("users", name.to_owned()),
            Entity::Broker(node) => ("brokers", node.to_string()),
        };
        let servers = self.addresses(Listener::Plain);
        let arguments = [
            "--bootstrap-server",
            &servers,
            "--alter",
            "--entity-type",
            kind,
            "--entity-name",
            &name,
            "--add-config",
            &pairs.join(","),
        ];
        self.home().tool("kafka.admin.ConfigCommand", &arguments, PATIENCE).map(drop)
    }

    /// Gives a user this password for SCRAM, in place of the one it may have had.
    ///
    /// # Errors
    ///
    /// If no broker answers.
    pub fn set_scram_password(&self, mechanism: Mechanism, user: &User) -> Result<()> {
        let credential = format!("[password={}]", user.password);
        self.alter(Entity::User(&user.name), &[(mechanism.name(), &credential)])
    }

    fn acl(
        &self,
        order: &[&str],
        rule: &str,
        user: &str,
        operation: AclOperation,
        topic: &str,
    ) -> Result<()> {
        let servers = self.addresses(Listener::Plain);
        let user = format!("User:{user}");
        let operation = match operation {
            AclOperation::Read => "Read",
            AclOperation::Write => "Write",
        };
        let mut arguments = vec!["--bootstrap-server", &servers];
        arguments.extend(order);
        arguments.extend([rule, &user, "--operation", operation]);
        arguments.extend(["--operation", "Describe", "--topic", topic]);
        self.home().tool("org.apache.kafka.tools.AclCommand", &arguments, PATIENCE).map(drop)
    }
}
