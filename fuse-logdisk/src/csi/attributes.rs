//! Attributes: what a pod may choose of its volume (`volumeAttributes`), and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::ValueEnum;
use globset::Glob;
use serde::{Deserialize, Serialize};

use crate::options::{FullOption, ModeOption, SyncOption, bytes};

/// What the kubelet adds to what the pod says; a pod cannot write these.
pub(super) const KUBELET_PREFIX: &str = "csi.storage.k8s.io/";
/// Smallest volume: some files, and a little of each for readers.
const SIZE_BYTES_MIN: u64 = 1 << 20;
/// Longest that a pod may have a call wait, in seconds.
const SECONDS_MAX: u64 = 3600;
/// What there is, for who misspells one.
const KNOWN: &str = "size, mode, keep, only, full, fullSeconds, fsync, fsyncSeconds";

/// How large a volume is if nothing is said, and at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// If nothing is said, in bytes.
    pub(super) default_bytes: u64,
    /// At most, in bytes.
    pub(super) max_bytes: u64,
}

/// How a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    /// Its budget.
    pub(super) size_bytes: u64,
    /// Options of `logdisk mount`, by name, as they were written.
    options: BTreeMap<String, String>,
    /// Names of logs.
    only: Vec<String>,
}

impl Attributes {
    /// Those of a call.
    ///
    /// # Errors
    /// Says what is wrong with one.
    pub(super) fn parse(
        said: &BTreeMap<String, String>,
        sizes: Sizes,
    ) -> Result<Attributes, String> {
        let size_bytes = sizes.default_bytes;
        let mut attributes = Attributes { size_bytes, options: BTreeMap::new(), only: Vec::new() };
        for (name, value) in said.iter().filter(|it| !it.0.starts_with(KUBELET_PREFIX)) {
            let taken = attributes.take(name, value, sizes);
            taken.map_err(|why| format!("volumeAttributes.{name}: {why}"))?;
        }
        Ok(attributes)
    }

    fn take(&mut self, name: &str, value: &str, sizes: Sizes) -> Result<(), String> {
        let option = match name {
            "size" => {
                self.size_bytes = size(value, sizes)?;
                return Ok(());
            }
            "only" => {
                for glob in value.split(',').map(str::trim) {
                    Glob::new(glob).map_err(|error| error.to_string())?;
                    self.only.push(glob.to_owned());
                }
                return Ok(());
            }
            "mode" => one_of::<ModeOption>("--mode", value)?,
            "full" => one_of::<FullOption>("--full", value)?,
            "fsync" => one_of::<SyncOption>("--fsync", value)?,
            "keep" => bytes(value).map(|_| "--keep")?,
            "fullSeconds" => seconds("--full-seconds", value, 0)?,
            "fsyncSeconds" => seconds("--fsync-seconds", value, 1)?,
            _ => return Err(format!("there is no such attribute; there are {KNOWN}")),
        };
        self.options.insert(option.to_owned(), value.to_owned());
        Ok(())
    }

    /// Options of `logdisk mount`.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let only = self.only.iter().map(|it| ("--only", it.clone()));
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let all = [("--size", self.size_bytes.to_string())].into_iter().chain(options).chain(only);
        all.map(|(name, value)| format!("{name}={value}").into()).collect()
    }
}

fn size(value: &str, sizes: Sizes) -> Result<u64, String> {
    // As Kubernetes writes quantities, and as logdisk does.
    let size_bytes = bytes(value.strip_suffix('i').unwrap_or(value))?;
    if (SIZE_BYTES_MIN..=sizes.max_bytes).contains(&size_bytes) {
        Ok(size_bytes)
    } else {
        let max_bytes = sizes.max_bytes;
        Err(format!(
            "{value} is not from {SIZE_BYTES_MIN} to {max_bytes} bytes; the driver's --max-size says how much"
        ))
    }
}

fn one_of<T: ValueEnum>(option: &'static str, value: &str) -> Result<&'static str, String> {
    let all = T::value_variants().iter().filter_map(T::to_possible_value);
    let names: Vec<_> = all.map(|it| it.get_name().to_owned()).collect();
    if names.iter().any(|it| it == value) {
        Ok(option)
    } else {
        Err(format!("{value:?} is none of {}", names.join(", ")))
    }
}

fn seconds(option: &'static str, value: &str, least: u64) -> Result<&'static str, String> {
    match value.parse() {
        Ok(number) if (least..=SECONDS_MAX).contains(&number) => Ok(option),
        _ => Err(format!("{value:?} is no number of seconds from {least} to {SECONDS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { default_bytes: 64 << 20, max_bytes: 1 << 30 };

    fn parsed(said: &[(&str, &str)]) -> Result<Attributes, String> {
        let said = said.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Attributes::parse(&said.collect(), SIZES)
    }

    #[test]
    fn attributes_become_options_of_mount() {
        let all = [
            ("size", "16Mi"),
            ("mode", "strict"),
            ("keep", "64K"),
            ("only", "*.log, *.txt"),
            ("full", "drop_oldest"),
            ("fullSeconds", "0"),
            ("fsync", "ack"),
            ("fsyncSeconds", "5"),
            ("csi.storage.k8s.io/pod.name", "web-0"),
        ];
        let arguments = parsed(&all).unwrap().arguments();
        let wanted = "--size=16777216 --fsync=ack --fsync-seconds=5 --full=drop_oldest --full-seconds=0 \
             --keep=64K --mode=strict --only=*.log --only=*.txt";
        assert_eq!(arguments, wanted.split_whitespace().collect::<Vec<_>>());
        assert_eq!(parsed(&[]).unwrap().arguments(), ["--size=67108864"]);
    }

    #[test]
    fn a_wrong_attribute_is_told_with_its_name_and_what_is_right() {
        for (name, value, why) in [
            ("size", "2G", "is not from 1048576 to 1073741824"),
            ("size", "much", "is no number of bytes"),
            ("mode", "quick", "is none of writeback, strict, fast"),
            ("full", "drop", "is none of block, enospc, drop_oldest"),
            ("fsync", "yes", "is none of accept, ack"),
            ("fullSeconds", "-1", "is no number of seconds"),
            ("fsyncSeconds", "0", "from 1 to 3600"),
            ("only", "a[", "error parsing glob"),
            ("Size", "1M", "there are size, mode"),
            ("--agent-state", "/x", "there is no such attribute"),
        ] {
            let told = parsed(&[(name, value)]).unwrap_err();
            assert!(told.starts_with(&format!("volumeAttributes.{name}: ")), "{told}");
            assert!(told.contains(why), "{told}");
        }
    }
}
