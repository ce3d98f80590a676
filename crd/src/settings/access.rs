//! How a sink gets in to its brokers, ready to run. It says where secrets are, and has none.

use std::path::{Path, PathBuf};

use super::KafkaSettings;
use crate::spec::SaslMechanism;

/// Encrypted connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Authorities to trust; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// The agent's own certificate.
    pub identity: Option<TlsIdentity>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, perhaps with those between it and its authority.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// The key's password, if it has one.
    pub key_password: Option<SecretSource>,
}

/// How a sink shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslSettings {
    /// By a name and a password.
    Password {
        /// Not OAUTHBEARER.
        mechanism: SaslMechanism,
        /// The name.
        username: UserName,
        /// The password.
        password: SecretSource,
    },
    /// By a token, OAUTHBEARER.
    Token {
        /// The file with the token, which others renew.
        file: PathBuf,
    },
}

/// The name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserName {
    /// As it is in the configuration.
    Written(String),
    /// Elsewhere.
    Kept(SecretSource),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file; absolute.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
}

impl SecretSource {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            SecretSource::File(path) => Some(path),
            SecretSource::Variable(_) => None,
        }
    }
}

impl KafkaSettings {
    /// Files of certificates, keys, names and passwords: what is read when a client is made. Those of tokens are
    /// read whenever one is asked for.
    #[must_use]
    pub fn credential_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<Option<&Path>> = Vec::new();
        if let Some(tls) = &self.tls {
            files.push(tls.ca_file.as_deref());
            if let Some(identity) = &tls.identity {
                let password = identity.key_password.as_ref().and_then(SecretSource::file);
                files.extend([Some(&*identity.certificate), Some(&*identity.key), password]);
            }
        }
        if let Some(SaslSettings::Password { username, password, .. }) = &self.sasl {
            files.push(password.file());
            if let UserName::Kept(source) = username {
                files.push(source.file());
            }
        }
        files.into_iter().flatten().map(Path::to_path_buf).collect()
    }
}
