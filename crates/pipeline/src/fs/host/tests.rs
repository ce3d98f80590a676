//! What is opened and what never is, while others change what paths lead to.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, XattrFlags, mknodat, renameat_with};

use super::*;

/// Flips in a test of races. `LOGFERRY_FLIPS=1000000` is what the benches ask for.
const FLIPS: u64 = 20_000;

fn own(root: &Path) -> HostFs {
    HostFs::new(Reach::own_trees(vec![root.to_path_buf()], Vec::new()))
}

/// Why it is not opened.
fn refusal(fs: &HostFs, path: &Path) -> Refusal {
    Refusal::of(&fs.open(path).unwrap_err()).expect("a refusal").clone()
}

#[test]
fn a13_only_regular_files_are_opened_and_nothing_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fs = own(folder.path());
    mknodat(CWD, at("fifo.log"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = UnixListener::bind(at("socket.log")).unwrap();
    // The memory device: as root only, and where there are devices.
    let device = rustix::fs::makedev(1, 5);
    let has_device =
        mknodat(CWD, at("device.log"), FileType::CharacterDevice, Mode::RWXU, device).is_ok();
    fs::create_dir(at("folder.log")).unwrap();
    symlink("fifo.log", at("link.log")).unwrap();

    // Whoever opens a FIFO for writing waits until somebody opens it for reading.
    let fifo = at("fifo.log");
    let writer = thread::spawn(move || drop(fs::OpenOptions::new().write(true).open(fifo)));
    let mut cases = vec![
        ("fifo.log", FileKind::Fifo, "a FIFO"),
        ("link.log", FileKind::Fifo, "a FIFO"),
        ("socket.log", FileKind::Socket, "a socket"),
        ("folder.log", FileKind::Directory, "a directory"),
    ];
    if has_device {
        cases.push(("device.log", FileKind::Device, "a device"));
    }
    for (name, kind, text) in cases {
        assert_eq!(refusal(&fs, &at(name)), Refusal::Kind(kind), "{name}");
        assert_eq!(fs.stat(&at(name)).unwrap().kind, kind, "{name}");
        assert_eq!(kind.to_string(), text);
    }
    thread::sleep(Duration::from_millis(50));
    assert!(!writer.is_finished(), "the FIFO was opened for reading");
    drop(fs::OpenOptions::new().read(true).open(at("fifo.log")).unwrap());
    writer.join().unwrap();
}

#[test]
fn what_is_in_a_directory_is_that_of_the_directory_looked_at_last() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, old) = (folder.path().join("logs"), folder.path().join("old"));
    fs::create_dir_all(logs.join("sub")).unwrap();
    fs::write(logs.join("sub/a.log"), "long").unwrap();
    let fs = own(&logs);
    fs.stat(&logs.join("sub")).unwrap();
    assert_eq!(fs.stat(&logs.join("sub/a.log")).unwrap().size, 4);
    fs::rename(logs.join("sub"), &old).unwrap();
    fs::create_dir(logs.join("sub")).unwrap();
    fs::write(logs.join("sub/a.log"), "new").unwrap();
    fs.stat(&logs.join("sub")).unwrap();
    assert_eq!(fs.stat(&logs.join("sub/a.log")).unwrap().size, 3);
    fs::remove_dir_all(logs.join("sub")).unwrap();
    symlink(&old, logs.join("sub")).unwrap();
    assert!(Refusal::of(&fs.stat(&logs.join("sub")).unwrap_err()).is_some());
    assert!(fs.stat(&logs.join("sub/a.log")).is_err(), "the link was followed");
}

/// Exchanges `one` and `other` as fast as it can while `look` looks; returns what `look` saw.
fn flip<T: Ord>(one: &Path, other: &Path, mut look: impl FnMut() -> T) -> BTreeSet<T> {
    let flips = std::env::var("LOGFERRY_FLIPS").map_or(FLIPS, |it| it.parse().unwrap());
    let is_over = AtomicBool::new(false);
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..flips {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            seen.insert(look());
        }
    });
    seen
}

/// What a file says, or the kind of error that it gives.
fn says(file: io::Result<Box<dyn LogFile>>) -> String {
    match file {
        Ok(file) => {
            let mut bytes = [0; 16];
            let len = file.read_at(&mut bytes, 0).unwrap();
            String::from_utf8(bytes[..len].to_vec()).unwrap()
        }
        Err(error) if Refusal::of(&error).is_some() => "refused".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// `logs/sub/a.log` and `secret/a.log`, and each way to open: with `openat2` and without.
fn bed_with_secret() -> (tempfile::TempDir, PathBuf, [HostFs; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir_all(logs.join("sub")).unwrap();
    fs::create_dir(folder.path().join("secret")).unwrap();
    fs::write(logs.join("sub/a.log"), "log").unwrap();
    fs::write(folder.path().join("secret/a.log"), "canary").unwrap();
    fs::write(folder.path().join("secret/canary"), "canary").unwrap();
    let reach = Reach::own_trees(vec![logs.clone()], Vec::new());
    let walking = HostFs { beneath: Beneath::walking(reach.clone()), last: Mutex::default() };
    (folder, logs, [HostFs::new(reach), walking])
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&it| it.to_owned()).collect()
}

#[test]
fn a_file_that_flips_to_a_link_to_a_secret_never_shows_a_byte_of_it() {
    let (folder, logs, both) = bed_with_secret();
    let (path, link) = (logs.join("sub/a.log"), logs.join("link"));
    symlink(folder.path().join("secret/a.log"), &link).unwrap();
    for fs in both {
        let seen = flip(&path, &link, || says(fs.open(&path)));
        // That a flip may come between the open and the reading of a link shows as "not found".
        assert!(seen.is_superset(&set(&["log", "refused"])), "no race was run: {seen:?}");
        assert!(seen.is_subset(&set(&["log", "refused", "NotFound"])), "{seen:?}");
    }
    // What a program without this care sees.
    let seen = flip(&path, &link, || fs::read_to_string(&path).unwrap());
    assert!(seen.contains("canary"), "{seen:?}");
}

#[test]
fn a_folder_that_flips_to_a_link_to_secrets_is_not_read_listed_or_looked_at() {
    let (folder, logs, both) = bed_with_secret();
    let (directory, link) = (logs.join("sub"), logs.join("link"));
    symlink(folder.path().join("secret"), &link).unwrap();
    let secret = rustix::fs::stat(folder.path().join("secret/a.log")).unwrap().st_ino;
    for fs in both {
        let seen = flip(&directory, &link, || says(fs.open(&directory.join("a.log"))));
        assert!(seen.is_superset(&set(&["log", "refused"])), "no race was run: {seen:?}");
        assert!(seen.is_subset(&set(&["log", "refused", "NotFound"])), "{seen:?}");
        let seen = flip(&directory, &link, || {
            let mut names = Vec::new();
            let listed = fs.list(&directory, &mut |name| names.push(name.to_owned()));
            listed.map_or_else(|_| vec![OsStr::new("refused").to_owned()], |()| names)
        });
        let want = [vec!["a.log".into()], vec!["refused".into()]];
        assert_eq!(seen, BTreeSet::from(want));
        let seen = flip(&directory, &link, || {
            // As a scan does: first the directory, then what is in it.
            let is_there = fs.stat(&directory).is_ok();
            (is_there, fs.stat(&directory.join("a.log")).map_or(0, |it| it.id.inode) == secret)
        });
        assert!(seen.contains(&(true, false)) && seen.contains(&(false, false)), "{seen:?}");
        assert!(seen.iter().all(|(_, is_secret)| !is_secret), "{seen:?}");
    }
}

/// Marks a folder as that of a log disk, as only an administrator may.
fn mark(folder: &Path, team: &str) {
    fs::create_dir_all(folder).unwrap();
    let mark = volume::encode(&[("team".to_owned(), team.to_owned())]);
    let marked = rustix::fs::setxattr(folder, volume::MARK, &mark, XattrFlags::empty());
    marked.expect("this test needs root");
}

#[test]
fn files_bear_what_their_own_log_disk_says_and_no_link_lends_them_another() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    mark(&root.join("a/logs"), "a");
    mark(&root.join("b/logs"), "b");
    mark(&root.join("c/other"), "c");
    fs::create_dir(root.join("a/logs/sub")).unwrap();
    fs::create_dir_all(root.join("d/logs")).unwrap();
    fs::create_dir(root.join("e")).unwrap();
    symlink(root.join("a/logs"), root.join("e/logs")).unwrap();
    symlink(root.join("b"), root.join("f")).unwrap();
    let team = |fs: &HostFs, path: &str| {
        let told = fs.volume_context(&root.join(path)).into_iter().flatten();
        told.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().concat()
    };
    let below = own(&root);
    for (path, want) in [
        ("a/logs/app.log", "team=a"),
        ("a/logs/sub/logs/app.log", "team=a"),
        ("b/logs/app.log", "team=b"),
        ("c/other/app.log", ""),
        ("d/logs/app.log", ""),
        ("e/logs/app.log", ""),
        ("f/logs/app.log", ""),
    ] {
        assert_eq!(team(&below, path), want, "{path}");
        // On a kernel that has no openat2.
        let reach = Reach::own_trees(vec![root.clone()], Vec::new());
        let walking = HostFs { beneath: Beneath::walking(reach), last: Mutex::default() };
        assert_eq!(team(&walking, path), want, "{path}");
    }
    // A LogConfig of a part of a volume, and one of the volume itself.
    assert_eq!(team(&own(&root.join("a/logs/sub")), "a/logs/sub/app.log"), "team=a");
    assert_eq!(team(&own(&root.join("a/logs")), "a/logs/app.log"), "team=a");
}
