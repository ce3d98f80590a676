//! What is written in any order, by writes or by memory maps, is what is read.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{MODES, agent};
use crate::kit::{Volume, limited, wait_until};

/// Has fio write `file`, and read it again, each block against its checksum.
fn fio(file: &Path, arguments: &[&str]) {
    let mut command = Command::new("fio");
    command.args(["--name=verified", "--verify=crc32c", "--verify_fatal=1", "--fallocate=none"]);
    // It leaves a file with its state where it is started.
    command.args(["--verify_state_save=0", "--allow_file_create=1"]).args(arguments);
    command.arg(format!("--filename={}", file.display()));
    let output = command.output().expect("fio is installed");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn fio_reads_what_it_wrote_in_blocks_of_any_size() {
    limited(300, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            for (bs, size) in [("256", "2M"), ("4k", "8M"), ("64k", "16M")] {
                let file = volume.target().join(format!("{bs}.log"));
                let arguments = [format!("--bs={bs}"), format!("--size={size}")];
                fio(&file, &["--rw=write", &arguments[0], &arguments[1]]);
            }
        }
    });
}

/// A prototype lost what was written over while it was handed over.
#[test]
fn fio_writes_over_what_the_agent_is_collecting_and_reads_that() {
    limited(300, || {
        for mode in MODES {
            let options = ["--agent-state", "{dir}/state"];
            let volume = Volume::mount(&[mode, &options].concat());
            let agent = agent::start(&volume);
            let file = volume.target().join("app.log");
            // As much as is kept for readers.
            fio(&file, &["--rw=write", "--bs=16k", "--size=1M"]);
            fio(&file, &["--rw=randwrite", "--bs=4k", "--size=1M", "--loops=8"]);
            let undelivered = || volume.metric("logdisk_released_bytes_total ");
            fio(&file.with_file_name("more.log"), &["--rw=write", "--bs=64k", "--size=4M"]);
            wait_until("the agent delivers", undelivered, |it| *it > 0);
            fio(&file, &["--rw=randwrite", "--bs=4k", "--size=1M", "--loops=4"]);
            drop(agent);
        }
    });
}

#[test]
fn fio_reads_what_it_wrote_by_a_memory_map() {
    limited(300, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let file = volume.target().join("app.log");
            fio(&file, &["--ioengine=mmap", "--rw=write", "--bs=4k", "--size=8M"]);
            fio(&file, &["--ioengine=mmap", "--rw=randwrite", "--bs=4k", "--size=8M"]);
        }
    });
}

const MAPPED: &str = r#"
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
    assert shared[:5] == b"hello", shared[:5]
    shared[6:11] = b"world"
    shared.flush()
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as read:
    assert read[:] == b"hello world\n", read[:]
"#;

#[test]
fn what_is_written_by_a_memory_map_is_collected() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let file = volume.target().join("app.log");
            fs::write(&file, b"hello .....\n").expect("as it must");
            let output = Command::new("python3").args(["-c", MAPPED]).arg(&file).output();
            let output = output.expect("as it must");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{mode:?}: {said}");
            volume.wait_for_lines(vec!["hello world".to_owned()]);
        }
    });
}
