//! Truth: what a load wrote, stream by stream, for the checker to compare with.
//!
//! A file of JSON lines, one per stream, written when the load ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What one stream wrote: one iostream of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTruth {
    /// Number of the stream in its tokens.
    pub stream: u32,
    /// Messages written, numbered from 0.
    pub lines: u64,
    /// Bytes of the messages, without wrapping and line ends.
    pub bytes: u64,
    /// Bytes in the file: with wrapping and line ends.
    pub file_bytes: u64,
    /// Path of the live file.
    pub path: String,
    /// `stdout` or `stderr`, in formats that tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iostream: Option<String>,
    /// Namespace, in the layout of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the pod, in the layout of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// UID of the pod, in the layout of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Name of the container, in the layout of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// Why a truth file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The truth file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what [`write_truth`] writes.
    #[error("{path}: line {line}: {source}; want a file written by loggen --truth", path = path.display())]
    Malformed {
        /// The truth file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Writes the truth about `streams` to `path`, whole and synced, or not at all.
///
/// # Errors
/// If the file system refuses.
pub fn write_truth(path: &Path, streams: &[StreamTruth]) -> Result<(), TruthError> {
    let write = || -> std::io::Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".tmp");
        let mut out = BufWriter::new(File::create(&partial)?);
        for stream in streams {
            serde_json::to_writer(&mut out, stream)?;
            out.write_all(b"\n")?;
        }
        out.into_inner()?.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| TruthError::Io { path: path.to_owned(), source })
}

/// Reads what [`write_truth`] wrote.
///
/// # Errors
/// If the file cannot be read or is not of that kind.
pub fn read_truth(path: &Path) -> Result<Vec<StreamTruth>, TruthError> {
    let io = |source| TruthError::Io { path: path.to_owned(), source };
    let mut streams = Vec::new();
    for (index, line) in BufReader::new(File::open(path).map_err(io)?).lines().enumerate() {
        let stream = serde_json::from_str(&line.map_err(io)?).map_err(|source| {
            TruthError::Malformed { path: path.to_owned(), line: index + 1, source }
        })?;
        streams.push(stream);
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.jsonl");
        let bare = StreamTruth {
            stream: 0,
            lines: 3,
            bytes: 30,
            file_bytes: 33,
            path: "/r/app.log".to_owned(),
            iostream: None,
            namespace: None,
            pod: None,
            pod_uid: None,
            container: None,
        };
        let of_pod = StreamTruth {
            stream: 1,
            iostream: Some("stderr".to_owned()),
            namespace: Some("shop".to_owned()),
            ..bare.clone()
        };
        let streams = vec![bare, of_pod];
        write_truth(&path, &streams).unwrap();
        assert_eq!(read_truth(&path).unwrap(), streams);
    }

    #[test]
    fn a_bad_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.jsonl");
        fs::write(&path, "{}\n").unwrap();
        let error = read_truth(&path).unwrap_err().to_string();
        assert!(error.contains("truth.jsonl: line 1: missing field"), "{error}");
    }
}
