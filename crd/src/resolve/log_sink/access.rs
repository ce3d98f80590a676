//! Access: how a sink gets in to its brokers. Secrets are named here, and never written.

use crate::report::Check;
use crate::settings::{SaslSettings, SecretSource, TlsIdentity, TlsSettings, UserName};
use crate::spec::{SaslMechanism, SaslSpec, TlsSpec};

pub(super) fn tls(spec: TlsSpec, check: &mut Check<'_>) -> TlsSettings {
    let written = (spec.certificate_file.is_some(), spec.key_file.is_some());
    if written.0 != written.1 {
        let cure = "write both certificateFile and keyFile, or neither";
        check.error("spec.kafka.tls", "a certificate needs its key", cure);
    }
    let ca_file = check.absolute("spec.kafka.tls.caFile", spec.ca_file);
    let certificate = check.absolute("spec.kafka.tls.certificateFile", spec.certificate_file);
    let key = check.absolute("spec.kafka.tls.keyFile", spec.key_file);
    let key_password =
        secret("spec.kafka.tls.keyPassword", spec.key_password_file, spec.key_password_env, check);
    if key_password.is_some() && !written.1 {
        check.error("spec.kafka.tls", "a password without a key", "write keyFile");
    }
    let identity = certificate.zip(key);
    let identity =
        identity.map(|(certificate, key)| TlsIdentity { certificate, key, key_password });
    TlsSettings { ca_file, identity }
}

pub(super) fn sasl(spec: SaslSpec, check: &mut Check<'_>) -> Option<SaslSettings> {
    let Some(mechanism) = spec.mechanism else {
        let cure = "write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
        check.missing("spec.kafka.sasl.mechanism", cure);
        return None;
    };
    if mechanism == SaslMechanism::OauthBearer { token(spec, check) } else { password(spec, check) }
}

fn token(spec: SaslSpec, check: &mut Check<'_>) -> Option<SaslSettings> {
    let fields = [
        ("spec.kafka.sasl.username", spec.username.is_some()),
        ("spec.kafka.sasl.usernameFile", spec.username_file.is_some()),
        ("spec.kafka.sasl.usernameEnv", spec.username_env.is_some()),
        ("spec.kafka.sasl.passwordFile", spec.password_file.is_some()),
        ("spec.kafka.sasl.passwordEnv", spec.password_env.is_some()),
    ];
    for (path, _) in fields.into_iter().filter(|(_, is_written)| *is_written) {
        check.error(path, "a token says by itself whose it is", "remove it");
    }
    if spec.token_file.is_none() {
        check.missing("spec.kafka.sasl.tokenFile", "write the path of a file with the token");
    }
    let file = check.absolute("spec.kafka.sasl.tokenFile", spec.token_file)?;
    Some(SaslSettings::Token { file })
}

fn password(spec: SaslSpec, check: &mut Check<'_>) -> Option<SaslSettings> {
    if spec.token_file.is_some() {
        let cure = "remove it, or write mechanism: OAUTHBEARER";
        check.error("spec.kafka.sasl.tokenFile", "not for this mechanism", cure);
    }
    let name_path = "spec.kafka.sasl.username";
    let has_other = spec.username_file.is_some() || spec.username_env.is_some();
    let kept = secret(name_path, spec.username_file, spec.username_env, check);
    let username = match spec.username {
        Some(_) if has_other => {
            check.error(name_path, "written twice", "write it, or where it is");
            None
        }
        Some(written) => Some(UserName::Written(written)),
        None => kept.map(UserName::Kept),
    };
    if username.is_none() && !has_other {
        let cure = "write the user's name, or usernameFile or usernameEnv";
        check.missing(name_path, cure);
    }
    if spec.password_file.is_none() && spec.password_env.is_none() {
        let cure = "write the path of a file with the password, or passwordEnv";
        check.missing("spec.kafka.sasl.passwordFile", cure);
    }
    let path = "spec.kafka.sasl.password";
    let password = secret(path, spec.password_file, spec.password_env, check);
    Some(SaslSettings::Password {
        mechanism: spec.mechanism?,
        username: username?,
        password: password?,
    })
}

/// Where the secret is whose fields begin with `path`.
fn secret(
    path: &str,
    file: Option<String>,
    variable: Option<String>,
    check: &mut Check<'_>,
) -> Option<SecretSource> {
    let (file_path, variable_path) = (format!("{path}File"), format!("{path}Env"));
    match (file, variable) {
        (Some(_), Some(_)) => {
            let other = file_path.rsplit('.').next().unwrap_or_default();
            check.error(&variable_path, &format!("beside {other}"), "write one of them");
            None
        }
        (Some(file), None) => check.absolute(&file_path, Some(file)).map(SecretSource::File),
        (None, Some(variable)) => {
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
        (None, None) => None,
    }
}
