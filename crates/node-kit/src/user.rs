//! User: whoever asks an API server, and with which rights.

use std::fs;
use std::io::Write;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::home;

/// Somebody with a kubeconfig.
#[derive(Debug)]
pub struct User {
    kubeconfig: PathBuf,
}

impl User {
    /// Whoever has this token, at the server whose authority's certificate is in `folder`.
    pub(crate) fn new(
        folder: &Path,
        name: &str,
        server: SocketAddrV4,
        token: &str,
    ) -> Result<User> {
        let url = format!("https://{server}");
        let authority = folder.join("authority.crt");
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": url, "certificate-authority": authority}},
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        });
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, serde_json::to_vec_pretty(&config)?)?;
        Ok(User { kubeconfig })
    }

    /// The file that tells a client who it is, and where the server.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl, and returns what it printed.
    ///
    /// # Errors
    ///
    /// With all that it said, if it ends otherwise than well.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "")
    }

    /// `kubectl apply` of manifests.
    ///
    /// # Errors
    ///
    /// With what the server says, if it refuses one.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.run(&["apply", "--filename=-"], manifests)
    }

    /// `kubectl create` of manifests, which are not looked at before: for very many.
    ///
    /// # Errors
    ///
    /// With what the server says, if it refuses one.
    pub fn create(&self, manifests: &str) -> Result<String> {
        self.run(&["create", "--validate=false", "--output=name", "--filename=-"], manifests)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60"]).arg(home::program("kubectl")?);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.arg("--cache-dir").arg(self.kubeconfig.with_extension("cache")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("timeout kubectl")?;
        let written = child.stdin.take().context("it has an input")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {arguments:?}: {}: {said}", output.status);
        }
        written.context("the input of kubectl")?;
        Ok(String::from_utf8(output.stdout)?)
    }
}
