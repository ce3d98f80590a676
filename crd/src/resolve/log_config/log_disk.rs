//! Which log disks pods get.

use crate::limits;
use crate::report::Check;
use crate::settings::LogDiskSettings;
use crate::spec::LogDiskSpec;
use crate::units::{ByteSize, Period};

const PATH: &str = "spec.source.containers.logDisk";

pub(super) fn resolve(spec: LogDiskSpec, check: &mut Check<'_>) -> LogDiskSettings {
    let field = |name: &str| format!("{PATH}.{name}");
    let mut size = |name: &str, value: Option<ByteSize>, range| {
        value.map(|it| check.ranged(&field(name), Some(it), it, range).0)
    };
    let size_bytes = size("size", spec.size, &limits::LOG_DISK_SIZE);
    let keep_bytes = size("keep", spec.keep, &limits::LOG_DISK_KEEP);
    let mut time = |name: &str, value: Option<Period>, range| {
        value.map(|it| check.ranged(&field(name), Some(it), it, range).duration())
    };
    let full_timeout = time("fullTimeout", spec.full_timeout, &limits::LOG_DISK_FULL_TIMEOUT);
    let fsync_timeout = time("fsyncTimeout", spec.fsync_timeout, &limits::LOG_DISK_FSYNC_TIMEOUT);
    LogDiskSettings {
        folders: folders(&field("folders"), spec.folders, check),
        size_bytes,
        mode: spec.mode,
        keep_bytes,
        full: spec.full,
        full_timeout,
        fsync: spec.fsync,
        fsync_timeout,
    }
}

fn folders(path: &str, written: Option<Vec<String>>, check: &mut Check<'_>) -> Vec<String> {
    let Some(folders) = written else { return Vec::new() };
    let most = limits::LOG_DISK_FOLDERS_MAX;
    if !(1..=most).contains(&folders.len()) && !check.document.is_broken(path) {
        let cure = format!("write 1 to {most}, or leave it out");
        check.error(path, &format!("{} folders", folders.len()), &cure);
    }
    for (index, folder) in folders.iter().enumerate() {
        if !is_folder(folder) {
            let cure = "write an absolute path without `..`, wildcards and colons";
            check.error(&format!("{path}[{index}]"), "not a folder of a container", cure);
        }
    }
    folders
}

/// An absolute path of which each part is a plain name.
fn is_folder(path: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    path.len() <= limits::GLOB_BYTES_MAX
        && path.strip_prefix('/').is_some_and(|it| it.split('/').all(is_plain))
        && !path.contains(['*', '?', '[', ']', '{', '}', '\\', ':', '\0'])
}
