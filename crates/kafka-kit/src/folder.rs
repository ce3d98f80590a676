//! Folder: a temporary folder of a cluster. It is removed even if the process is killed: a shell waits for that.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::place::Place;

/// Reads until the process that holds the other end has gone. A second later its brokers are gone too.
const WATCH: &str = r#"read -r word; [ "$word" = removed ] || { sleep 1; rm -rf -- "$1"; }"#;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    watch: Child,
}

impl Folder {
    /// The folder of the cluster at this place.
    ///
    /// # Errors
    ///
    /// If the system's folder for temporary files cannot be written.
    pub(crate) fn new(place: &Place) -> Result<Folder> {
        // As the place, the name is this process' own. What is there is of one before, of the same number.
        let path = std::env::temp_dir().join(format!("logferry-kafka-{place}"));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.with_context(|| path.display().to_string())?,
        }
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let watch = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh")?;
        Ok(Folder { path, watch })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&mut self) -> Result<()> {
        fs::remove_dir_all(&self.path)?;
        let mut input = self.watch.stdin.take().context("its watch was told before")?;
        input.write_all(b"removed\n")?;
        drop(input);
        self.watch.wait()?;
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
