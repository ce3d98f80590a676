//! Record: what is written down of each volume, so that a driver that is started anew knows what is there.
//!
//! ```text
//! STATE/lock               one driver at a time
//! STATE/volumes/ID.json    what was asked for
//! STATE/stores/ID/         the volume: a tmpfs, of which the agent collects `logs`
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::pod::Pod;

/// Longest id, in bytes; the kubelet's have 68.
const ID_BYTES_MAX: usize = 128;

/// A volume as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Where applications write.
    pub(super) target: PathBuf,
    pub(super) attributes: Attributes,
    pub(super) pod: Pod,
}

/// What is on disk of one.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    record: Record,
    /// Since when the pod does not have it any more, and only what is not delivered of it is there; by the clock that counts
    /// from the start of the machine, which the volume does not outlive.
    over_since_ns: Option<u64>,
}

/// Where all is kept.
#[derive(Debug, Clone)]
pub(super) struct State(PathBuf);

impl State {
    /// Makes the folders that are missing.
    pub(super) fn at(folder: &Path) -> Result<State> {
        for name in ["volumes", "stores"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        Ok(State(folder.canonicalize()?))
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(super) fn store(&self, id: &str) -> PathBuf {
        self.0.join("stores").join(id)
    }

    fn file(&self, id: &str) -> PathBuf {
        self.0.join("volumes").join(format!("{id}.json"))
    }

    /// Writes one down, as a whole or not at all.
    pub(super) fn write(
        &self,
        id: &str,
        record: &Record,
        over_since_ns: Option<u64>,
    ) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Written { record: record.clone(), over_since_ns })?;
        let (file, unfinished) = (self.file(id), self.file(id).with_extension("tmp"));
        fs::write(&unfinished, text)?;
        fs::rename(unfinished, file)
    }

    /// There is no such volume any more.
    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        for removed in [fs::remove_dir(self.store(id)), fs::remove_file(self.file(id))] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// All that is written down: id, volume, and since when it is over, if it is. What cannot be read is left out, and said.
    pub(super) fn read(&self) -> Result<Vec<(String, Record, Option<u64>)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.0.join("volumes"))? {
            let path = entry?.path();
            let Some(id) = path.file_stem().and_then(|it| it.to_str()).map(str::to_owned) else {
                continue;
            };
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let read = fs::read(&path).and_then(|it| Ok(serde_json::from_slice::<Written>(&it)?));
            match read {
                Ok(written) => all.push((id, written.record, written.over_since_ns)),
                Err(error) => {
                    let path = path.display();
                    tracing::error!(%path, %error, "a volume of which nothing is known stays as it is");
                }
            }
        }
        Ok(all)
    }
}

/// Whether this may be the name of a file: the kubelet's ids are `csi-` and a number.
pub(super) fn is_id(text: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.');
    (1..=ID_BYTES_MAX).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_name_of_a_file_and_no_path() {
        assert!(is_id(&format!("csi-{}", "0f".repeat(32))));
        for wrong in ["", ".", "..", "a/b", "a b", ".hidden", "ü"] {
            assert!(!is_id(wrong), "{wrong:?}");
        }
        assert!(!is_id(&"x".repeat(129)));
    }
}
