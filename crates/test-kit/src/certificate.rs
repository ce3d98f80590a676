//! Certificates: an authority, and what it vouches for, made by openssl.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const CONFIG: &str = "[req]\ndistinguished_name = name\nprompt = no\n[name]\n\
    [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n";

/// Signs certificates. Its own is at [`Authority::certificate`].
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
}

/// A key with a certificate for it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM (PKCS #8, without a password).
    pub key: PathBuf,
    /// Key and certificate in one file, as a broker reads them.
    pub both: PathBuf,
}

/// When a certificate may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From now on, for a month.
    Valid,
    /// Until yesterday.
    Expired,
}

impl Authority {
    /// A new one, with its files in `folder`.
    ///
    /// # Errors
    ///
    /// If openssl is not there, or the folder is not writable.
    pub fn new(folder: &Path, name: &str) -> Result<Authority> {
        let authority = Authority { folder: folder.to_path_buf(), name: name.to_owned() };
        fs::write(authority.file("cnf"), CONFIG)?;
        let mut signed = request(name, &authority.file("cnf"), &authority.file("key"));
        signed.args(["-x509", "-days", "30", "-extensions", "authority"]);
        run(signed.arg("-out").arg(authority.certificate()))?;
        Ok(authority)
    }

    /// The file with its certificate: what others are to trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("crt")
    }

    /// A key, and a certificate for `common_name` that is valid at `address` too if there is one.
    ///
    /// # Errors
    ///
    /// If openssl fails.
    pub fn issue(
        &self,
        common_name: &str,
        address: Option<Ipv4Addr>,
        validity: Validity,
    ) -> Result<Identity> {
        let file = |what: &str| self.folder.join(format!("{}-{common_name}.{what}", self.name));
        let (request_file, extensions) = (file("csr"), file("ext"));
        let identity = Identity { certificate: file("crt"), key: file("key"), both: file("pem") };
        let mut asked = request(common_name, &self.file("cnf"), &identity.key);
        run(asked.arg("-out").arg(&request_file))?;
        let address = address.map(|it| format!(",IP:{it}")).unwrap_or_default();
        fs::write(&extensions, format!("subjectAltName = DNS:{common_name}{address}\n"))?;
        let days = if validity == Validity::Valid { "30" } else { "-1" };
        let mut signed = Command::new("openssl");
        signed.args(["x509", "-req", "-days", days, "-in"]).arg(&request_file);
        signed.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.file("key"));
        signed.arg("-extfile").arg(&extensions).arg("-out").arg(&identity.certificate);
        run(&mut signed)?;
        let both = [fs::read(&identity.key)?, fs::read(&identity.certificate)?].concat();
        fs::write(&identity.both, both)?;
        Ok(identity)
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }
}

/// `openssl req` for a new key on the curve P-256.
fn request(common_name: &str, config: &Path, key: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-subj", &format!("/CN={common_name}")]);
    command.arg("-config").arg(config).arg("-keyout").arg(key);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("openssl (Debian package openssl)")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
