//! Mounting: what this process asks of the kernel's mounts, and never through a mount of its own.

use std::ffi::{CString, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

/// What `mount` calls a log disk.
pub const FUSE_TYPE: &str = "fuse.logdisk";
/// Budget that allows one name more, in bytes: a name takes about one KiB of the kernel's memory beside it.
const BYTES_PER_NAME: u64 = 2048;
/// Where the kernel has its connections of FUSE.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// One line of `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Minor number of its device: the number of the connection, for FUSE.
    pub minor: u32,
    /// Where.
    pub path: PathBuf,
    /// Type of the file system.
    pub kind: String,
}

/// What is mounted at `path`, the last one on top; `path` is without links.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn mounted_at(path: &Path) -> io::Result<Vec<Mounted>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let lines = text.split(|it| *it == b'\n').filter_map(parse);
    Ok(lines.filter(|it| it.path == path).collect())
}

fn parse(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|it| *it == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let minor = device.split_once(':')?.1.parse().ok()?;
    let path = PathBuf::from(unescape(fields.nth(1)?));
    let kind = fields.skip_while(|it| *it != b"-").nth(1)?;
    Some(Mounted { minor, path, kind: String::from_utf8_lossy(kind).into_owned() })
}

/// Spaces and their like are written as three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, more)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| std::str::from_utf8(more.get(..3)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                rest = &more[3..];
            }
            None => {
                out.push(*first);
                rest = more;
            }
        }
    }
    OsString::from_vec(out)
}

/// Mounts a tmpfs for a volume.
///
/// # Errors
/// As `mount`.
pub fn mount_tmpfs(path: &Path, size_bytes: u64) -> io::Result<()> {
    // A file takes two: one for each of its names.
    let names = size_bytes / BYTES_PER_NAME;
    let data = CString::new(format!("size={size_bytes},mode=0755,nr_inodes={names}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("logdisk", path, "tmpfs", flags, data.as_c_str())?)
}

/// Mounts a log disk; returns its connection, on which somebody must answer.
///
/// # Errors
/// If there is no `/dev/fuse`, and as `mount`.
pub fn mount_fuse(path: &Path) -> io::Result<OwnedFd> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| {
        let cure = "load the kernel's module fuse, or give the container the device";
        io::Error::new(error.kind(), format!("/dev/fuse: {error}; {cure}"))
    })?;
    let number = device.as_raw_fd();
    let data = CString::new(format!(
        "fd={number},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    ))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    rustix::mount::mount("logdisk", path, FUSE_TYPE, flags, data.as_c_str())?;
    Ok(device.into())
}

/// Takes a mount away from this path at once; it ends when nobody uses it any more.
///
/// # Errors
/// As `umount2`.
pub fn detach(path: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// A connection of FUSE, as the kernel shows it to administrators (fusectl).
#[derive(Debug, Clone)]
pub struct Connection {
    folder: PathBuf,
    minor: u32,
    /// Of the folder: the kernel gives the number of a connection that is over to the next one, and no inode twice.
    inode: u64,
}

impl Connection {
    /// That of the log disk at `path`.
    ///
    /// # Errors
    /// If there is none, or the kernel does not show it.
    pub fn of(path: &Path) -> io::Result<Connection> {
        let mounts = mounted_at(path)?;
        let Some(mounted) = mounts.iter().rev().find(|it| it.kind == FUSE_TYPE) else {
            return Err(io::Error::other(format!("{}: no log disk is mounted", path.display())));
        };
        let minor = mounted.minor;
        let folder = Path::new(CONNECTIONS).join(minor.to_string());
        if !folder.try_exists()? {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            rustix::mount::mount("fusectl", CONNECTIONS, "fusectl", flags, None)?;
        }
        let inode = std::fs::metadata(&folder)?.ino();
        Ok(Connection { folder, minor, inode })
    }

    /// How many requests are not answered.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn waiting(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(self.folder.join("waiting"))?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// Ends it: whatever waits for an answer fails, whatever the daemon does.
    ///
    /// # Errors
    /// As `write`.
    pub fn abort(&self) -> io::Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        match std::fs::write(self.folder.join("abort"), "1") {
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Whether it is that of what is mounted at `path`.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(mounted_at(path)?.iter().any(|it| it.kind == FUSE_TYPE && it.minor == self.minor))
    }

    /// Whether the kernel still has it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        std::fs::metadata(&self.folder).is_ok_and(|it| it.ino() == self.inode)
    }

    /// Has the kernel hold no more than so many unwritten bytes for it.
    ///
    /// # Errors
    /// If the kernel has no such limit (before 6.3).
    pub fn limit_unwritten(&self, bytes: u64) -> io::Result<()> {
        let bdi = PathBuf::from(format!("/sys/class/bdi/0:{}", self.minor));
        std::fs::write(bdi.join("strict_limit"), "1")?;
        std::fs::write(bdi.join("max_bytes"), bytes.to_string())
    }
}

/// A path without links and dots, also where a dead mount lies: its own last part is not asked for.
///
/// # Errors
/// As `realpath` of the folder that it lies in.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this names no folder"))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().as_bytes().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(parent.canonicalize()?.join(name))
}

/// Memory of this machine, which a tmpfs takes.
#[must_use]
pub fn machine_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram as u64 * u64::from(machine.mem_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_says_where_and_what() {
        let line =
            br"36 35 0:98 / /mnt/a\040b rw,noatime shared:1 master:2 - fuse.logdisk logdisk rw";
        let mounted = parse(line).unwrap();
        assert_eq!(mounted.path, Path::new("/mnt/a b"));
        assert_eq!((mounted.minor, mounted.kind.as_str()), (98, FUSE_TYPE));
        assert_eq!(parse(b"36 35 0:98"), None);
    }
}
