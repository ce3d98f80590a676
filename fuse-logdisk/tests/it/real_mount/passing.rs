//! What is special where applications write past the daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::kit::{Volume, limited, wait_until};

const FAST: &[&str] = &["--mode", "fast"];

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("opened")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("readable")
}

#[test]
fn appending_goes_on_while_the_daemon_is_stopped() {
    limited(120, || {
        let volume = Volume::mount(FAST);
        let mut file = append(&volume.target().join("app.log"));
        // With the first write to a mount, the kernel asks for attributes that there are none of.
        writeln!(file, "line 0").expect("as it must");
        let daemon = volume.daemon().expect("runs");
        kill_process(daemon, Signal::STOP).expect("runs");
        for number in 1..1000 {
            writeln!(file, "line {number}").expect("nobody is asked");
        }
        assert_eq!(volume.lines().len(), 1000, "it is in the store when it returns");
        kill_process(daemon, Signal::CONT).expect("runs");
        assert_eq!(fs::metadata(volume.target().join("app.log")).expect("as it must").len(), 8890);
        wait_until("seen", || volume.metric("logdisk_written_bytes_total "), |it| *it == 8890);
    });
}

#[test]
fn a_file_that_is_appended_to_is_cut_for_applications_and_whole_for_the_agent() {
    limited(120, || {
        let volume = Volume::mount(FAST);
        let path = volume.target().join("app.log");
        let mut file = append(&path);
        let mut expected = Vec::new();
        for round in 0..5 {
            for number in 0..10 {
                writeln!(file, "{round} {number}").expect("as it must");
                expected.push(format!("{round} {number}"));
            }
            assert_eq!(fs::metadata(&path).expect("as it must").len(), 40);
            assert_eq!(text(&path).lines().count(), 10, "what was written since the cut");
            let mut end = File::open(&path).expect("as it must");
            assert_eq!(end.seek(SeekFrom::End(-4)).expect("as it must"), 36);
            let mut last = String::new();
            end.read_to_string(&mut last).expect("as it must");
            assert_eq!(last, format!("{round} 9\n"));
            if round == 2 {
                let daemon = volume.daemon().expect("runs");
                kill_process(daemon, Signal::KILL).expect("runs");
                volume.wait_for_other(daemon);
                assert_eq!(text(&path).lines().count(), 10, "also for the next daemon");
            }
            file.set_len(0).expect("as it must");
            assert_eq!(fs::metadata(&path).expect("as it must").len(), 0);
        }
        // Another that reads and appends, and one that has its own place.
        let mut both = OpenOptions::new().read(true).append(true).open(&path).expect("as it must");
        writeln!(file, "a 1").expect("as it must");
        writeln!(both, "b 1").expect("as it must");
        writeln!(file, "a 2").expect("as it must");
        writeln!(both, "b 2").expect("as it must");
        assert_eq!(text(&path), "a 1\nb 1\na 2\nb 2\n");
        expected.extend(["a 1", "b 1", "a 2", "b 2"].map(str::to_owned));
        assert_eq!(volume.collected().len(), 1);
        volume.wait_for_lines(expected);
    });
}

#[test]
fn memory_that_was_taken_ahead_is_given_back_with_the_last_close() {
    limited(120, || {
        let volume = Volume::mount(FAST);
        let held = || volume.metric("logdisk_held_bytes ");
        let mut file = append(&volume.target().join("app.log"));
        file.write_all(&[b'x'; 100_000]).expect("as it must");
        wait_until("taken ahead", held, |it| *it > 200_000);
        drop(file);
        wait_until("given back", held, |it| *it < 150_000);
        assert_eq!(volume.collected().len(), 1);
    });
}

#[test]
fn a_full_volume_is_told_at_once() {
    limited(120, || {
        let volume = Volume::mount(&[FAST, &["--size", "4M"]].concat());
        let mut file = append(&volume.target().join("app.log"));
        let error = loop {
            if let Err(error) = file.write_all(&[b'x'; 16 << 10]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let held: usize = volume.lines().iter().map(String::len).sum();
        assert!(held > 3 << 20, "memory taken ahead leaves room for what is written: {held}");
    });
}

#[test]
fn who_opens_a_file_of_a_full_volume_waits_for_room() {
    limited(180, || {
        let options = ["--size", "4M", "--only", "*.log", "--full-seconds", "150"];
        let volume = Volume::mount(&[FAST, &options].concat());
        let ballast = volume.target().join("ballast");
        fs::write(&ballast, vec![b'x'; 1 << 20]).expect("there is room");
        let mut file = append(&volume.target().join("app.log"));
        while file.write_all(&[b'x'; 16 << 10]).is_ok() {}
        let other = volume.target().join("other.log");
        let writer = std::thread::spawn(move || append(&other).write_all(b"it waited\n"));
        let blocked = || volume.metric("logdisk_blocked_writes_total ");
        wait_until("a write that waits", blocked, |it| *it > 0);
        fs::remove_file(ballast).expect("as it must");
        writer.join().expect("no panic").expect("there was room in the end");
        let collected = || volume.lines().iter().any(|it| it == "it waited");
        wait_until("collected", collected, |it| *it);
    });
}

/// Mounts from within a user namespace of its own, whose root has no right of the machine's.
const ELSEWHERE: &str = r#"
"$1" mount "$2/mount" --store "$2/store" --mode fast --drain-seconds 0 2> "$2/log" & disk=$!
until grep -q mounted "$2/log"; do kill -0 $disk || exit 1; sleep 0.05; done
for number in 1 2 3; do echo "line $number" >> "$2/mount/app.log" || exit 1; done
sync "$2/mount/app.log"
cat "$2/store/logs/app.log"
kill $disk
wait $disk
"#;

#[test]
fn without_the_right_to_let_writes_pass_the_page_cache_takes_them_and_that_is_said() {
    limited(120, || {
        let folder = tempfile::TempDir::new().expect("a scratch folder");
        fs::create_dir(folder.path().join("mount")).expect("ours");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--kill-child"]);
        command.args(["timeout", "30", "sh", "-c", ELSEWHERE, "sh", env!("CARGO_BIN_EXE_logdisk")]);
        let output = command.arg(folder.path()).output().expect("can be started");
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(output.status.success(), "{log}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "line 1\nline 2\nline 3\n");
        assert!(log.contains("CAP_SYS_ADMIN"), "{log}");
        assert!(log.contains("going on as with --mode writeback"), "{log}");
    });
}
