//! What a log disk does not do, and how it says so; and what it does that is easily forgotten.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use rustix::fs::{CWD, FallocateFlags, FileType, Mode, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::MODES;
use crate::kit::{Volume, limited};

#[test]
fn what_no_log_needs_is_refused_with_the_right_error_and_counted() {
    limited(120, || {
        let volume = Volume::mount(&[]);
        let (a, b) = (volume.target().join("a.log"), volume.target().join("b.log"));
        let file = File::create(&a).expect("as it must");
        File::create(&b).expect("as it must");
        assert_eq!(rustix::fs::link(&a, volume.target().join("c")), Err(Errno::PERM));
        let fifo =
            rustix::fs::mknodat(CWD, volume.target().join("p"), FileType::Fifo, Mode::RUSR, 0);
        assert_eq!(fifo, Err(Errno::PERM));
        let value = rustix::fs::setxattr(&a, "user.a", b"b", XattrFlags::empty());
        assert_eq!(value, Err(Errno::OPNOTSUPP));
        let mut none = [0; 10];
        assert_eq!(rustix::fs::getxattr(&a, "user.a", &mut none), Err(Errno::OPNOTSUPP));
        let swapped = rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
        assert_eq!(swapped, Err(Errno::INVAL));
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(&file, punch, 0, 4096), Err(Errno::OPNOTSUPP));
        let long = volume.target().join("n".repeat(250));
        let refused = File::create(long).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(Errno::NAMETOOLONG.raw_os_error()));
        crate::kit::wait_until(
            "counted",
            || volume.metric("logdisk_refused_total "),
            |it| *it >= 5,
        );
        // What the library has to say of a call is no news for whoever reads the log of a volume.
        let log = volume.log();
        assert!(!log.contains("Not Implemented"), "{log}");
    });
}

#[test]
fn it_is_a_file_system_like_others() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let top = volume.target();
            let is = rustix::fs::statvfs(&top).expect("as it must");
            assert!(is.f_bavail * is.f_frsize >= 1 << 50, "it never looks full");
            let path = top.join("app.log");
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .expect("as it must");
            file.write_all(b"hello world\n").expect("as it must");
            file.write_all_at(b"HELLO", 0).expect("as it must");
            file.seek(SeekFrom::Start(0)).expect("as it must");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("as it must");
            assert_eq!(text, "HELLO world\n");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("as it must");
            std::os::unix::fs::chown(&path, Some(7), Some(8)).expect("as it must");
            let is = fs::metadata(&path).expect("as it must");
            assert_eq!((is.mode() & 0o7777, is.uid(), is.gid(), is.nlink()), (0o640, 7, 8, 1));
            // A link that programs keep to their newest file.
            symlink("app.log", top.join("current")).expect("as it must");
            assert_eq!(
                fs::read_to_string(top.join("current")).expect("as it must"),
                "HELLO world\n"
            );
            rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 20)
                .expect("as it must");
            assert_eq!(file.metadata().expect("as it must").len(), 12);
            // Removed and still open.
            fs::remove_file(&path).expect("as it must");
            file.write_all(b"more\n").expect("as it must");
            assert_eq!(file.metadata().expect("as it must").nlink(), 0);
            assert_eq!(file.metadata().expect("as it must").len(), 17);
        }
    });
}

#[test]
fn a_folder_of_very_many_files_is_listed_whole_and_removed_while_it_is_listed() {
    limited(120, || {
        let volume = Volume::mount(&[]);
        let folder = volume.target().join("d/e");
        fs::create_dir_all(&folder).expect("as it must");
        for number in 0..3000 {
            File::create(folder.join(format!("{number}.log"))).expect("as it must");
        }
        assert_eq!(fs::read_dir(&folder).expect("as it must").count(), 3000);
        let mut removed = 0;
        for entry in fs::read_dir(&folder).expect("as it must") {
            fs::remove_file(entry.expect("as it must").path()).expect("as it must");
            removed += 1;
        }
        assert_eq!(removed, 3000, "none is left out since others went");
        fs::remove_dir_all(volume.target().join("d")).expect("as it must");
        crate::kit::wait_until(
            "nothing is kept of them",
            || volume.collected().len(),
            |it| *it == 0,
        );
    });
}

#[test]
fn a_write_far_behind_the_end_is_stored_after_a_moment_and_takes_no_room() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(&[mode, &["--size", "16M"]].concat());
            let file = File::create(volume.target().join("app.log")).expect("as it must");
            file.write_all_at(b"end\n", 10 << 30).expect("as it must");
            file.sync_all().expect("as it must");
            let mut end = [0; 4];
            let collected = File::open(volume.store().join("logs/app.log")).expect("as it must");
            collected.read_exact_at(&mut end, 10 << 30).expect("as it must");
            assert_eq!(&end, b"end\n");
        }
    });
}
