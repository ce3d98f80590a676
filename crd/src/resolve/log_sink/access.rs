//! Access: how a sink gets in to its brokers. Secrets are named here, and never written.
//!
//! A Secret is a folder of the agent's, `secrets`, that the kubelet fills: the agent needs no right to ask for any.

use std::path::{Path, PathBuf};

use crate::document::is_dns_name;
use crate::limits;
use crate::report::Check;
use crate::settings::{SaslSettings, SecretSource, TlsIdentity, TlsSettings, UserName};
use crate::spec::{SaslMechanism, SaslSpec, SecretKeySpec, TlsSpec};

pub(super) fn tls(spec: TlsSpec, secrets: &Path, check: &mut Check<'_>) -> TlsSettings {
    let written = (
        spec.certificate_file.is_some() || spec.certificate_secret.is_some(),
        spec.key_file.is_some() || spec.key_secret.is_some(),
    );
    if written.0 != written.1 {
        let cure = "write both a certificate and a key, or neither";
        check.error("spec.kafka.tls", "a certificate needs its key", cure);
    }
    let mut path = |field: &str, file, secret| {
        path(&format!("spec.kafka.tls.{field}"), file, secret, secrets, check)
    };
    let ca_file = path("ca", spec.ca_file, spec.ca_secret);
    let certificate = path("certificate", spec.certificate_file, spec.certificate_secret);
    let key = path("key", spec.key_file, spec.key_secret);
    let kept = Kept {
        file: spec.key_password_file,
        variable: spec.key_password_env,
        secret: spec.key_password_secret,
    };
    let key_password = kept.source("spec.kafka.tls.keyPassword", secrets, check);
    if key_password.is_some() && !written.1 {
        check.error("spec.kafka.tls", "a password without a key", "write keyFile or keySecret");
    }
    let identity = certificate.zip(key);
    let identity =
        identity.map(|(certificate, key)| TlsIdentity { certificate, key, key_password });
    TlsSettings { ca_file, identity }
}

pub(super) fn sasl(spec: SaslSpec, secrets: &Path, check: &mut Check<'_>) -> Option<SaslSettings> {
    let Some(mechanism) = spec.mechanism else {
        let cure = "write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
        check.missing("spec.kafka.sasl.mechanism", cure);
        return None;
    };
    match mechanism {
        SaslMechanism::OauthBearer => token(spec, secrets, check),
        _ => password(mechanism, spec, secrets, check),
    }
}

fn token(spec: SaslSpec, secrets: &Path, check: &mut Check<'_>) -> Option<SaslSettings> {
    let fields = [
        ("spec.kafka.sasl.username", spec.username.is_some()),
        ("spec.kafka.sasl.usernameFile", spec.username_file.is_some()),
        ("spec.kafka.sasl.usernameEnv", spec.username_env.is_some()),
        ("spec.kafka.sasl.usernameSecret", spec.username_secret.is_some()),
        ("spec.kafka.sasl.passwordFile", spec.password_file.is_some()),
        ("spec.kafka.sasl.passwordEnv", spec.password_env.is_some()),
        ("spec.kafka.sasl.passwordSecret", spec.password_secret.is_some()),
    ];
    for (path, _) in fields.into_iter().filter(|(_, is_written)| *is_written) {
        check.error(path, "a token says by itself whose it is", "remove it");
    }
    if spec.token_file.is_none() && spec.token_secret.is_none() {
        let cure = "write the path of a file with the token, or tokenSecret";
        check.missing("spec.kafka.sasl.tokenFile", cure);
    }
    let file = path("spec.kafka.sasl.token", spec.token_file, spec.token_secret, secrets, check)?;
    Some(SaslSettings::Token { file })
}

fn password(
    mechanism: SaslMechanism,
    spec: SaslSpec,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<SaslSettings> {
    let tokens = [
        ("spec.kafka.sasl.tokenFile", spec.token_file.is_some()),
        ("spec.kafka.sasl.tokenSecret", spec.token_secret.is_some()),
    ];
    for (path, _) in tokens.into_iter().filter(|(_, is_written)| *is_written) {
        check.error(path, "not for this mechanism", "remove it, or write mechanism: OAUTHBEARER");
    }
    let name_path = "spec.kafka.sasl.username";
    let kept = Kept {
        file: spec.username_file,
        variable: spec.username_env,
        secret: spec.username_secret,
    };
    let has_other = kept.is_written();
    let kept = kept.source(name_path, secrets, check);
    let username = match spec.username {
        Some(_) if has_other => {
            check.error(name_path, "written twice", "write it, or where it is");
            None
        }
        Some(written) => Some(UserName::Written(written)),
        None => kept.map(UserName::Kept),
    };
    if username.is_none() && !has_other {
        let cure = "write the user's name, or usernameFile, usernameEnv or usernameSecret";
        check.missing(name_path, cure);
    }
    let kept = Kept {
        file: spec.password_file,
        variable: spec.password_env,
        secret: spec.password_secret,
    };
    if !kept.is_written() {
        let cure = "write the path of a file with the password, or passwordEnv or passwordSecret";
        check.missing("spec.kafka.sasl.passwordFile", cure);
    }
    let password = kept.source("spec.kafka.sasl.password", secrets, check);
    Some(SaslSettings::Password { mechanism, username: username?, password: password? })
}

/// The path of what is in a file, or in a Secret; their fields begin with `path`.
fn path(
    path: &str,
    file: Option<String>,
    secret: Option<SecretKeySpec>,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<PathBuf> {
    let (file_path, secret_path) = (format!("{path}File"), format!("{path}Secret"));
    match (file, secret) {
        (Some(_), Some(_)) => {
            beside(&secret_path, &file_path, check);
            None
        }
        (Some(file), None) => check.absolute(&file_path, Some(file)),
        (None, Some(secret)) => of_secret(&secret_path, secret, secrets, check),
        (None, None) => None,
    }
}

/// The file in which a value of a Secret is: neither its name nor its key has a slash, or is `..`.
fn of_secret(
    path: &str,
    secret: SecretKeySpec,
    secrets: &Path,
    check: &mut Check<'_>,
) -> Option<PathBuf> {
    let (name_path, key_path) = (format!("{path}.name"), format!("{path}.key"));
    if secret.name.is_none() {
        check.missing(&name_path, "write the name of a Secret in the agent's namespace");
    }
    if secret.key.is_none() {
        check.missing(&key_path, "write which of the Secret's values it is");
    }
    let (name, key) = (secret.name?, secret.key?);
    let is_name = is_dns_name(&name, limits::NAME_CHARS_MAX);
    if !is_name {
        check.error(&name_path, "not a Secret", "write its name, without its namespace");
    }
    let is_of_keys = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let is_key = (1..=limits::SECRET_KEY_CHARS_MAX).contains(&key.len())
        && key.chars().all(is_of_keys)
        && key != "."
        && !key.starts_with("..");
    if !is_key {
        check.error(&key_path, "not a key of a Secret", "write letters, digits, -, _ and .");
    }
    (is_name && is_key).then(|| secrets.join(name).join(key))
}

/// Complains that what is at `path` is written besides at `other`.
fn beside(path: &str, other: &str, check: &mut Check<'_>) {
    let other = other.rsplit('.').next().unwrap_or_default();
    check.error(path, &format!("beside {other}"), "write one of them");
}

/// Where a secret is, as it was written.
struct Kept {
    file: Option<String>,
    variable: Option<String>,
    secret: Option<SecretKeySpec>,
}

impl Kept {
    fn is_written(&self) -> bool {
        self.file.is_some() || self.variable.is_some() || self.secret.is_some()
    }

    /// Where the secret is whose fields begin with `path`.
    fn source(self, path: &str, secrets: &Path, check: &mut Check<'_>) -> Option<SecretSource> {
        let Some(variable) = self.variable else {
            let path = self::path(path, self.file, self.secret, secrets, check);
            return path.map(SecretSource::File);
        };
        let variable_path = format!("{path}Env");
        let others = [(self.file.is_some(), "File"), (self.secret.is_some(), "Secret")];
        if let Some((_, other)) = others.into_iter().find(|(is_written, _)| *is_written) {
            beside(&variable_path, &format!("{path}{other}"), check);
            return None;
        }
        let is_legal = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let begins_well = !variable.starts_with(|it: char| it.is_ascii_digit());
        if variable.is_empty() || !begins_well || !variable.chars().all(is_legal) {
            // Told of its parent, which is not quoted: somebody may have written the secret itself.
            let (parent, field) = variable_path.rsplit_once('.').unwrap_or_default();
            let why = format!("{field} is not the name of an environment variable");
            check.error(parent, &why, "write its name, such as KAFKA_PASSWORD");
            return None;
        }
        Some(SecretSource::Variable(variable))
    }
}
