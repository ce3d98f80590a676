//! Credentials: what is in the files and variables by which sinks get in to their brokers.
//!
//! Read all together, so that a certificate comes with its key, and kept: whatever becomes of the files, what
//! was good stays in force. They are handed to librdkafka, and neither shown nor written anywhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use crd::{KafkaSettings, SaslSettings, SecretSource, Settings, SinkTarget, TlsSettings, UserName};
use sink::kafka::Secret;

/// Largest file of a credential, in bytes: as large as a Kubernetes Secret can be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Properties of librdkafka, with the secrets in them.
pub(crate) type Properties = Vec<(String, Secret)>;

/// Those of each sink, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials(BTreeMap<String, Properties>);

impl Credentials {
    /// Reads those of all sinks.
    ///
    /// # Errors
    /// If one of them cannot be read, or cannot be what it is to be.
    pub(crate) fn read(settings: &Settings) -> anyhow::Result<Credentials> {
        let mut all = BTreeMap::new();
        for sink in &settings.sinks {
            let SinkTarget::Kafka(kafka) = &sink.target else { continue };
            let properties = properties(kafka).with_context(|| format!("LogSink {}", sink.name))?;
            all.insert(sink.name.clone(), properties);
        }
        Ok(Credentials(all))
    }

    /// Those of a sink.
    pub(crate) fn of(&self, sink: &str) -> &[(String, Secret)] {
        self.0.get(sink).map_or(&[], |it| it)
    }
}

fn properties(kafka: &KafkaSettings) -> anyhow::Result<Properties> {
    let protocol = match (&kafka.tls, &kafka.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    let mut properties = vec![property("security.protocol", protocol)];
    if let Some(tls) = &kafka.tls {
        add_tls(tls, &mut properties)?;
    }
    match &kafka.sasl {
        None => {}
        Some(SaslSettings::Token { file }) => {
            properties.push(property("sasl.mechanisms", "OAUTHBEARER"));
            // The sink reads it, whenever librdkafka asks for a token.
            properties.push(property("sasl.oauthbearer.config", &file.to_string_lossy()));
        }
        Some(SaslSettings::Password { mechanism, username, password }) => {
            properties.push(property("sasl.mechanisms", mechanism.name()));
            let name = match username {
                UserName::Written(name) => name.clone(),
                UserName::Kept(source) => secret(source, "the user's name")?,
            };
            properties.push(property("sasl.username", &name));
            properties.push(property("sasl.password", &secret(password, "the password")?));
        }
    }
    Ok(properties)
}

fn add_tls(tls: &TlsSettings, properties: &mut Properties) -> anyhow::Result<()> {
    properties.push(match &tls.ca_file {
        Some(path) => property("ssl.ca.pem", &pem(path, "the authorities to trust")?),
        // Where distributions have theirs.
        None => property("ssl.ca.location", "probe"),
    });
    let Some(identity) = &tls.identity else { return Ok(()) };
    let certificate = pem(&identity.certificate, "the certificate")?;
    properties.push(property("ssl.certificate.pem", &certificate));
    properties.push(property("ssl.key.pem", &pem(&identity.key, "the certificate's key")?));
    if let Some(source) = &identity.key_password {
        properties.push(property("ssl.key.password", &secret(source, "the key's password")?));
    }
    Ok(())
}

fn property(key: &str, value: &str) -> (String, Secret) {
    (key.to_owned(), Secret::new(value))
}

/// Certificates or a key.
fn pem(path: &Path, what: &str) -> anyhow::Result<String> {
    let text = text(path, what)?;
    ensure!(
        text.contains("-----BEGIN "),
        "{}: {what}: not PEM; write what begins with -----BEGIN",
        path.display()
    );
    Ok(text)
}

/// A line, without the newline that editors put at its end.
fn secret(source: &SecretSource, what: &str) -> anyhow::Result<String> {
    let (place, text) = match source {
        SecretSource::File(path) => (path.display().to_string(), text(path, what)?),
        SecretSource::Variable(name) => {
            let text = std::env::var(name).ok();
            let text = text.with_context(|| {
                format!("environment variable {name}: {what}: not set, or not UTF-8; set it")
            })?;
            (format!("environment variable {name}"), text)
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "{place}: {what}: empty; write it there");
    ensure!(!text.contains(char::is_control), "{place}: {what}: not one line of text");
    Ok(text.to_owned())
}

fn text(path: &Path, what: &str) -> anyhow::Result<String> {
    let place = path.display();
    let text = match read(path) {
        Ok(text) => text,
        // Its error has the bytes.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            bail!("{place}: {what}: not UTF-8")
        }
        Err(error) => {
            bail!("{place}: {what} cannot be read: {error}; check the path and its permissions")
        }
    };
    let is_good = text.len() as u64 <= FILE_BYTES_MAX && !text.contains('\0');
    ensure!(is_good, "{place}: {what}: larger than {FILE_BYTES_MAX} bytes, or not text");
    Ok(text)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed, so that a longer file shows.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_of(fields: &str) -> Result<Credentials, String> {
        let text = format!(
            "{{apiVersion: logferry.dev/v1alpha1, kind: LogSink, metadata: {{name: k}}, \
             spec: {{kafka: {{brokers: ['k:1'], topic: t, {fields}}}}}}}"
        );
        let file = crd::ConfigFile { path: "k.yaml".into(), bytes: Ok(text.into_bytes()) };
        Credentials::read(&crd::resolve(vec![file]).unwrap()).map_err(|it| format!("{it:#}"))
    }

    #[test]
    fn what_is_broken_is_refused_with_its_place_and_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        let password =
            format!("sasl: {{mechanism: PLAIN, username: u, passwordFile: '{}'}}", path.display());
        let authority = format!("tls: {{caFile: '{}'}}", path.display());
        let missing = read_of(&password).unwrap_err();
        assert!(missing.contains("the password cannot be read"), "{missing}");
        for (fields, content, why) in [
            (&password, b"".as_slice(), "empty"),
            (&password, b"\n", "empty"),
            (&password, b"geheim\nzwei\n", "one line"),
            (&password, b"geheim\xff", "not UTF-8"),
            (&authority, b"geheim", "not PEM"),
            (&authority, b"-----BEGIN geheim\0", "not text"),
            (&authority, &[b'x'; (1 << 20) + 1], "larger than"),
        ] {
            fs::write(&path, content).unwrap();
            let error = read_of(fields).unwrap_err();
            assert!(error.starts_with("LogSink k: ") && error.contains(why), "{error}");
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        fs::write(&path, "geheim\r\n").unwrap();
        let credentials = read_of(&password).unwrap();
        let (key, secret) = credentials.of("k").last().unwrap();
        assert_eq!((key.as_str(), secret), ("sasl.password", &Secret::new("geheim")));
        assert!(!format!("{credentials:?}").contains("geheim"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_said_by_its_name() {
        let error = read_of("sasl: {mechanism: PLAIN, username: u, passwordEnv: LF_NOT_SET}");
        assert!(error.unwrap_err().contains("environment variable LF_NOT_SET"));
        // One that every test has.
        let path = std::env::var("PATH").unwrap();
        let credentials =
            read_of("sasl: {mechanism: PLAIN, usernameEnv: PATH, passwordEnv: PATH}").unwrap();
        for key in ["sasl.username", "sasl.password"] {
            let found = credentials.of("k").iter().find(|it| it.0 == key).unwrap();
            assert_eq!(found.1, Secret::new(&*path));
        }
    }
}
