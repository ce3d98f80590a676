//! Attributes: what the driver lets a pod choose of its volume (`volumeAttributes`), judged before the pod is there.
//!
//! The driver judges it again, and knows more: how large a volume may be on its node. What it refuses keeps the pod from
//! starting, so nothing gets there that it always would.

use std::time::Duration;

use crd::LogDiskSettings;

/// An attribute, by its name for the driver.
pub(super) struct Attribute {
    pub(super) name: &'static str,
    /// Says what is wrong with a value.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// Longest that a pod may have a call wait, in seconds; as the driver has it.
const SECONDS_MAX: u32 = 3600;

/// All that there are; docs/LOGDISK.md says what they mean.
pub(super) const ATTRIBUTES: [Attribute; 8] = [
    Attribute { name: "size", check: |it| bytes(it, true) },
    Attribute { name: "mode", check: |it| one_of(&["writeback", "strict", "fast"], it) },
    Attribute { name: "keep", check: |it| bytes(it, false) },
    Attribute { name: "only", check: globs },
    Attribute { name: "full", check: |it| one_of(&["block", "enospc", "drop_oldest"], it) },
    Attribute { name: "fullSeconds", check: |it| seconds(it, 0) },
    Attribute { name: "fsync", check: |it| one_of(&["accept", "ack"], it) },
    Attribute { name: "fsyncSeconds", check: |it| seconds(it, 1) },
];

/// What a LogConfig chooses, as attributes.
pub(super) fn chosen(disk: &LogDiskSettings) -> [(&'static str, Option<String>); 7] {
    let bytes = |it: Option<u64>| it.map(|it| it.to_string());
    let seconds = |it: Option<Duration>| {
        let whole = |it: Duration| it.as_secs() + u64::from(it.subsec_nanos() > 0);
        it.map(|it| whole(it).to_string())
    };
    [
        ("size", bytes(disk.size_bytes)),
        ("mode", disk.mode.map(|it| it.name().to_owned())),
        ("keep", bytes(disk.keep_bytes)),
        ("full", disk.full.map(|it| it.name().to_owned())),
        ("fullSeconds", seconds(disk.full_timeout)),
        ("fsync", disk.fsync.map(|it| it.name().to_owned())),
        ("fsyncSeconds", seconds(disk.fsync_timeout)),
    ]
}

fn bytes(text: &str, is_quantity: bool) -> Result<(), String> {
    // A size may also be written as Kubernetes writes quantities.
    let rest = if is_quantity { text.strip_suffix('i').unwrap_or(text) } else { text };
    let (digits, shift) = match rest.as_bytes().last() {
        Some(b'K') => (&rest[..rest.len() - 1], 10),
        Some(b'M') => (&rest[..rest.len() - 1], 20),
        Some(b'G') => (&rest[..rest.len() - 1], 30),
        _ => (rest, 0),
    };
    let is_digits = digits.bytes().all(|it| it.is_ascii_digit());
    match digits.parse::<u64>().ok().filter(|_| is_digits).and_then(|it| it.checked_mul(1 << shift))
    {
        Some(_) => Ok(()),
        None => Err("write a number of bytes, such as 1048576, 64M or 1G".to_owned()),
    }
}

fn one_of(names: &[&str], text: &str) -> Result<(), String> {
    match names.contains(&text) {
        true => Ok(()),
        false => Err(format!("write one of {}", names.join(", "))),
    }
}

fn seconds(text: &str, least: u32) -> Result<(), String> {
    match text.parse() {
        Ok(number) if (least..=SECONDS_MAX).contains(&number) => Ok(()),
        _ => Err(format!("write a number of seconds from {least} to {SECONDS_MAX}")),
    }
}

fn globs(text: &str) -> Result<(), String> {
    for glob in text.split(',').map(str::trim) {
        globset::Glob::new(glob).map_err(|error| error.to_string())?;
    }
    Ok(())
}
