//! Control group: how much memory the kernel lets this process have, of version 2 and of version 1.
//!
//! A group has no more than any group around it, so the smallest limit on the way up counts. A container
//! commonly sees its own group as the root: then that is all there is to see, and all that counts.

use std::fs;
use std::path::Path;

/// No limit at all, as version 1 writes it: the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

/// The smallest limit of the groups that this process is in, in bytes; `None` without one.
pub(super) fn limit_bytes() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mounts"));
    let unified = limit(&groups, &mounts, Version::Two);
    let memory = limit(&groups, &mounts, Version::One);
    unified.into_iter().chain(memory).min()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The path of the process's group below the mount, from `/proc/self/cgroup`.
    fn group(self, groups: &str) -> Option<&str> {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let is_it = match self {
                Version::One => controllers.split(',').any(|it| it == "memory"),
                Version::Two => controllers.is_empty(),
            };
            is_it.then_some(path)
        })
    }

    /// Where its file system is mounted, from `/proc/self/mounts`.
    fn mount(self, mounts: &str) -> Option<&str> {
        mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, place, kind, options, ..] = *fields.as_slice() else { return None };
            let is_it = match self {
                Version::One => kind == "cgroup" && options.split(',').any(|it| it == "memory"),
                Version::Two => kind == "cgroup2",
            };
            is_it.then_some(place)
        })
    }

    fn file(self) -> &'static str {
        match self {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }
}

/// The smallest limit from the process's group up to the mount.
fn limit(groups: &str, mounts: &str, version: Version) -> Option<u64> {
    let mount = Path::new(version.mount(mounts)?);
    let group = version.group(groups)?.trim_start_matches('/');
    let limits = mount.join(group);
    let limits = limits.ancestors().take_while(|it| it.starts_with(mount));
    // What is not there is a group that is not to be seen from within a container.
    let read = |folder: &Path| fs::read_to_string(folder.join(version.file())).ok();
    limits.filter_map(|it| parse(&read(it)?)).min()
}

/// A limit as the kernel writes it; `None` for none.
fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&it| it < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c/d\n";

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        let mounts = format!(
            "tmpfs {root} tmpfs rw 0 0\ncgroup {root}/one cgroup rw,memory 0 0\ncgroup2 {root}/two cgroup2 rw 0 0\n"
        );
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for version in [Version::One, Version::Two] {
            assert_eq!(limit(GROUPS, &mounts, version), None);
        }
        write("one/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        write("two/c/d/memory.max", "max\n");
        for version in [Version::One, Version::Two] {
            assert_eq!(limit(GROUPS, &mounts, version), None);
        }
        write("one/a/memory.limit_in_bytes", "1048576\n");
        write("one/memory.limit_in_bytes", "9223372036854771712\n");
        write("two/c/d/memory.max", "3145728\n");
        write("two/c/memory.max", "2097152\n");
        // Not on the way.
        write("two/memory.max", "max\n");
        write("two/e/memory.max", "1\n");
        write("memory.max", "1\n");
        assert_eq!(limit(GROUPS, &mounts, Version::One), Some(1 << 20));
        assert_eq!(limit(GROUPS, &mounts, Version::Two), Some(2 << 20));
    }
}
