//! Image: a program for containers, as an archive that containerd imports (OCI image layout). No registry is asked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::archive::{Archive, Kind};

/// Name of the image that every node has: busybox, with all its commands in `/bin`, a file `/var/log/image.log`, and a link
/// `/log` to `/linked`, which is not there. Its own program sleeps, so that
/// it serves as the pause image of sandboxes, too.
pub const IMAGE: &str = "test.logferry.dev/busybox:1";
/// Debian's busybox (package busybox-static), which needs no library.
const BUSYBOX: &str = "/bin/busybox";

/// Files, and what is run of them.
#[derive(Debug)]
pub struct Image {
    name: String,
    layer: Archive,
    config: Value,
}

impl Image {
    /// An empty one. `name` is a full reference with registry and tag; `config` is of the OCI image configuration:
    /// `Entrypoint`, `Cmd`, `Env`, `User`.
    #[must_use]
    pub fn new(name: &str, config: Value) -> Image {
        let mut layer = Archive::default();
        layer.add("tmp/", Kind::Directory(0o1777));
        Image { name: name.to_owned(), layer, config }
    }

    /// Adds a program of this machine; it must be linked statically, or its libraries be added too.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn program(mut self, path: &str, from: &Path) -> Result<Image> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        self.layer.add(path.trim_start_matches('/'), Kind::File(&content));
        Ok(self)
    }

    pub(crate) fn busybox() -> Result<Image> {
        let config = json!({"Cmd": ["/bin/sleep", "infinity"], "Env": ["PATH=/bin"]});
        let mut image = Image::new(IMAGE, config).program(BUSYBOX, Path::new(BUSYBOX))?;
        let output = Command::new(BUSYBOX).arg("--list").output();
        let output = output.context("/bin/busybox (Debian package busybox-static)")?;
        ensure!(output.status.success(), "busybox --list: {}", output.status);
        let commands = String::from_utf8(output.stdout)?;
        // A log and a link of the image's own, for who looks into its layers.
        image.layer.add("var/log/", Kind::Directory(0o755));
        image.layer.add("var/log/image.log", Kind::File(b"of the image\n"));
        image.layer.add("log", Kind::Link("/linked"));
        for command in commands.lines().filter(|it| *it != "busybox") {
            image.layer.add(&format!("bin/{command}"), Kind::Link("busybox"));
        }
        Ok(image)
    }

    /// The archive, with the name under which containerd is to know it.
    pub(crate) fn write(self, path: &Path) -> Result<()> {
        let mut archive = Archive::default();
        let layer = self.layer.finish();
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        });
        let mut blob = |kind: &str, bytes: &[u8]| {
            let digest = digest(bytes);
            archive.add(&format!("blobs/{}", digest.replace(':', "/")), Kind::File(bytes));
            let media_type = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
        };
        let layer = blob("layer.v1.tar", &layer);
        let config = blob("config.v1+json", &serde_json::to_vec(&config)?);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let mut manifest = blob("manifest.v1+json", &serde_json::to_vec(&manifest)?);
        manifest["annotations"] = json!({"io.containerd.image.name": self.name});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        archive.add("index.json", Kind::File(&serde_json::to_vec(&index)?));
        archive.add("oci-layout", Kind::File(br#"{"imageLayoutVersion":"1.0.0"}"#));
        fs::write(path, archive.finish()).with_context(|| path.display().to_string())
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// This machine's, in the words of Go.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
