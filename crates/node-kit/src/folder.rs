//! Folder: where a node lives, and the shell that clears it away, even if the process is killed.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

const CLEAN: &str = include_str!("clean.sh");

static NEXT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    number: u32,
    cleaner: Child,
}

impl Folder {
    /// The next folder of this process.
    ///
    /// # Errors
    ///
    /// If the system's folder for temporary files cannot be written.
    pub(crate) fn new() -> Result<Folder> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("logferry-node-{}-{number}", process::id());
        let path = std::env::temp_dir().canonicalize()?.join(name);
        // The name is this process' own. What is there is of one before, of the same number.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.with_context(|| path.display().to_string())?,
        }
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
        let cleaner = Command::new("sh")
            .args(["-c", CLEAN, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for us; the cleaner has its work to do then.
            .process_group(0)
            .spawn()
            .context("sh")?;
        Ok(Folder { path, number, cleaner })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the control group of its pods.
    pub(crate) fn group(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("/{}", name.unwrap_or_default())
    }

    /// The addresses of its pods or services, of which there may be sixty: no other live node on this machine has them.
    pub(crate) fn subnet(&self) -> String {
        // 100.64.0.0/10 is for networks that others do not see (RFC 6598); it has 2^16 ranges of 64 addresses.
        let range = (process::id().wrapping_mul(8).wrapping_add(self.number)) & 0xffff;
        let [_, high, middle, low] = ((100 << 24) | (64 << 16) | (range << 6)).to_be_bytes();
        format!("100.{high}.{middle}.{low}/26")
    }

    /// The address of a cluster's first service, `kubernetes`, in [`Folder::subnet`]: it is this machine's as long as the
    /// folder is there, so that pods reach who listens there, and no other machine does.
    ///
    /// # Errors
    ///
    /// If this is not root, or `ip` is not there.
    pub(crate) fn service_address(&self) -> Result<Ipv4Addr> {
        let subnet = self.subnet();
        let (first, _) = subnet.split_once('/').context("addresses with their size")?;
        let address = Ipv4Addr::from_bits(Ipv4Addr::from_str(first)?.to_bits() + 1);
        // First: the cleaner may have to do its work a moment later.
        fs::write(self.path.join("service-address"), format!("{address}/32\n"))?;
        let mut command = Command::new("ip");
        command.args(["address", "add", &format!("{address}/32"), "dev", "lo"]);
        let output = command.output().context("ip (Debian package iproute2)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip address add {address}: {said}");
        Ok(address)
    }

    fn remove(&mut self) -> Result<()> {
        drop(self.cleaner.stdin.take());
        self.cleaner.wait()?;
        ensure!(!fs::exists(&self.path)?, "it is still there");
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{}: not removed: {error:#}", self.path.display());
        }
    }
}
