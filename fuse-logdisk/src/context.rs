//! Context: whose a volume's files are, as whoever mounts it says, and the mark by which the agent learns of it, and that they
//! are on a log disk.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use pipeline::fs::volume::{self, LOGS, MARK, MARK_BYTES_MAX};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 1024;
/// What the agent itself says of every file.
const KNOWN: [&str; 3] = ["host.name", "k8s.cluster.name", "k8s.node.name"];

/// Reads `KEY=VALUE`.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!("{text:?} is not KEY=VALUE"));
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|it| it.is_ascii_graphic()) {
        return Err(format!(
            "the key {key:?} must be 1 to {KEY_BYTES_MAX} visible ASCII characters"
        ));
    }
    if value.len() > VALUE_BYTES_MAX || value.contains(char::is_control) {
        let what = "must be without control characters";
        return Err(format!("the value of {key} {what} and have {VALUE_BYTES_MAX} bytes at most"));
    }
    if KNOWN.contains(&key) || key.starts_with("log.") {
        return Err(format!("{key} is what the agent itself says of each file; leave it out"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Has all that is collected from the volume in `folder` bear this, and nothing else.
///
/// # Errors
/// If a key is there twice, or all are too long; and as `setxattr`.
pub fn set(folder: &Path, context: &[(String, String)]) -> anyhow::Result<()> {
    let mut keys = HashSet::new();
    if let Some((key, _)) = context.iter().find(|it| !keys.insert(&it.0)) {
        bail!("--context {key}: given twice");
    }
    let mark = volume::encode(context);
    ensure!(
        mark.len() <= MARK_BYTES_MAX,
        "--context: {} bytes in all; at most {MARK_BYTES_MAX} are possible",
        mark.len()
    );
    let logs = folder.join(LOGS);
    std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
    let marked = match rustix::fs::setxattr(&logs, MARK, &mark, XattrFlags::empty()) {
        // Where no mark can be there is none either; then the agent takes it for a folder as any other.
        Err(Errno::OPNOTSUPP) if mark.is_empty() => Ok(()),
        marked => marked,
    };
    marked.with_context(|| format!("{}: cannot be marked with the context", logs.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_agent_says_itself_is_refused_and_so_is_what_is_no_pair() {
        assert_eq!(parse("team=a=b"), Ok(("team".to_owned(), "a=b".to_owned())));
        for (text, why) in [
            ("team", "is not KEY=VALUE"),
            ("=x", "visible ASCII"),
            ("a b=x", "visible ASCII"),
            ("team=a\nb", "control characters"),
            ("log.file.path=/x", "leave it out"),
            ("host.name=x", "leave it out"),
        ] {
            assert!(parse(text).unwrap_err().contains(why), "{text:?}");
        }
    }

    #[test]
    fn a_volume_bears_what_was_said_last() {
        let folder = tempfile::tempdir().unwrap();
        let pair = |text: &str| parse(text).unwrap();
        let twice = [pair("a=1"), pair("a=2")];
        assert!(set(folder.path(), &twice).unwrap_err().to_string().contains("given twice"));
        let long = (0..10).map(|it| pair(&format!("k{it}={}", "x".repeat(1000))));
        let refused = set(folder.path(), &long.collect::<Vec<_>>()).unwrap_err();
        assert!(refused.to_string().contains("at most 4096"), "{refused}");
        let told = || {
            let mut mark = [0; MARK_BYTES_MAX];
            let len = rustix::fs::getxattr(folder.path().join(LOGS), MARK, &mut mark);
            len.map(|len| volume::decode(&mark[..len]))
        };
        set(folder.path(), &[pair("a=1")]).unwrap();
        set(folder.path(), &[pair("b=2"), pair("c=3")]).unwrap();
        assert_eq!(told(), Ok(vec![pair("b=2"), pair("c=3")]));
        set(folder.path(), &[]).unwrap();
        assert_eq!(told(), Ok(Vec::new()), "marked all the same");
    }
}
