//! Volumes whose budget is used up.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;
use test_kit::assert_within;

use crate::kit::{Volume, limited, now_ms, wait_until};

/// Writes until that fails; returns how long the write that failed took.
fn fill(file: &mut File) -> (ErrorKind, u64) {
    loop {
        let begin_ms = now_ms();
        if let Err(error) = file.write_all(&[b'x'; 16 << 10]) {
            return (error.kind(), now_ms() - begin_ms);
        }
    }
}

#[test]
fn a_write_without_room_waits_for_it_and_fails_in_the_end() {
    limited(120, || {
        let volume = Volume::mount(&["--mode", "strict", "--size", "4M", "--full-seconds", "2"]);
        let mut file = File::create(volume.target().join("app.log")).expect("as it must");
        let (error, took_ms) = fill(&mut file);
        assert_eq!(error, ErrorKind::StorageFull);
        assert!(took_ms >= 2000, "{took_ms} ms");
        // Others are answered meanwhile, and afterwards.
        assert!(volume.target().join("app.log").metadata().expect("as it must").len() > 3 << 20);
    });
}

#[test]
fn a_write_without_room_fails_at_once_where_that_is_wanted() {
    limited(120, || {
        let volume = Volume::mount(&["--mode", "strict", "--size", "4M", "--full", "enospc"]);
        let mut file = File::create(volume.target().join("app.log")).expect("as it must");
        let (error, took_ms) = fill(&mut file);
        assert_eq!(error, ErrorKind::StorageFull);
        assert_within("a refusal", Duration::from_millis(took_ms), Duration::from_secs(1));
    });
}

#[test]
fn names_that_run_out_are_an_error_and_what_was_being_made_is_gone() {
    limited(120, || {
        let volume = Volume::mount(&["--size", "256K"]);
        let path = |number: u32| volume.target().join(format!("{number}.log"));
        let refused = (0..1000).find_map(|it| File::create(path(it)).err());
        assert_eq!(refused.expect("there is an end").kind(), ErrorKind::StorageFull);
        for number in 0..100 {
            drop(File::create(path(1000 + number)));
        }
        let left = std::fs::read_dir(volume.store().join("new")).expect("as it must").count();
        assert_eq!(left, 0);
        std::fs::remove_file(path(0)).expect("as it must");
        wait_until("room for a name", || File::create(path(0)).is_ok(), |it| *it);
    });
}

#[test]
fn the_page_cache_of_a_full_volume_says_so_when_it_is_synced() {
    limited(120, || {
        let volume = Volume::mount(&["--size", "4M", "--full-seconds", "1"]);
        let mut file = File::create(volume.target().join("app.log")).expect("as it must");
        let mut written = 0;
        while written < 12 << 20 {
            // The kernel may tell it here already.
            if file.write_all(&[b'x'; 16 << 10]).is_err() {
                break;
            }
            written += 16 << 10;
        }
        assert!(file.sync_all().is_err(), "what cannot be stored is told");
        drop(file);
        std::thread::sleep(Duration::from_millis(10));
        assert!(volume.daemon().is_some());
    });
}

#[test]
fn a_write_that_waits_for_room_longer_than_a_hang_may_take_is_none() {
    limited(120, || {
        for mode in super::MODES {
            let options = ["--size", "4M", "--full-seconds", "5", "--hang-seconds", "1"];
            let volume = Volume::mount(&[mode, &options].concat());
            let daemon = volume.daemon();
            let mut file = File::create(volume.target().join("app.log")).expect("as it must");
            // More than the kernel gives to the daemon at once.
            let mut written = Ok(());
            for _ in 0..24 {
                written = written.and_then(|()| file.write_all(&[b'x'; 1 << 20]));
            }
            assert!(written.and_then(|()| file.sync_all()).is_err(), "it did not fit");
            assert_eq!(volume.daemon(), daemon, "{}", volume.log());
        }
    });
}

/// Whoever reads the volume's files meanwhile, as the agent does, sees no hole that is filled later.
#[test]
fn what_waits_behind_a_write_that_waits_for_room_is_not_stored_before_it() {
    limited(180, || {
        let options = ["--size", "16M", "--only", "app.log", "--full-seconds", "120"];
        let volume = Volume::mount(&options);
        let ballast: Vec<_> =
            (0..1500).map(|it| volume.target().join(format!("ballast-{it}"))).collect();
        for path in &ballast {
            std::fs::write(path, [b'x'; 8 << 10]).expect("there is room");
            File::open(path).and_then(|it| it.sync_all()).expect("there is room");
        }
        let log = volume.target().join("app.log");
        let writer = thread::spawn(move || {
            let mut file = File::create(log).expect("as it must");
            let lines = [b'x'; 64 << 10];
            (0..160).for_each(|_| file.write_all(&lines).expect("never fails"));
            file.sync_all().expect("there was room in the end");
        });
        let seen = volume.store().join("logs/app.log");
        let holes = || {
            let bytes = std::fs::read(&seen).unwrap_or_default();
            bytes.iter().position(|it| *it == 0).map(|at| (at, bytes.len()))
        };
        let blocked = || volume.metric("logdisk_blocked_writes_total ");
        wait_until("a write that waits", blocked, |it| *it > 0);
        // A little room comes at a time, at any moment.
        let remover = thread::spawn(move || {
            for path in ballast {
                std::fs::remove_file(path).expect("as it must");
                thread::sleep(Duration::from_millis(4));
            }
        });
        while !remover.is_finished() {
            assert_eq!(holes(), None, "stored before what stands in front of it");
        }
        remover.join().expect("no panic");
        writer.join().expect("no write failed");
        assert_eq!(holes(), None);
        assert_eq!(seen.metadata().expect("as it must").len(), 160 * (64 << 10));
    });
}
