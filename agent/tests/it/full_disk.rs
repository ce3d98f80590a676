//! Full disks: the files keep the lines until there is room again.

use std::fs;
use std::os::unix::fs::symlink;

use benches::load::{Limits, LoadSpec};
use benches::truth::StreamTruth;
use rustix::process::Signal;

use crate::kit::{
    Agent, Bed, Mount, SMALL_QUEUE, Tmpfs, append, assert_exact, assert_within_ms, files, get,
    load, queue_sink, sleep_ms, wait_until, write,
};

/// A bed whose queue is on a disk of 3 MiB.
fn bed_with_small_queue_disk(agent: &str) -> (Bed, Tmpfs) {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 3 << 20);
    bed.configure(&[&bed.agent(agent), SMALL_QUEUE, &files("files", "*.log", "")]);
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    (bed, disk)
}

/// A bed whose checkpoints are on a disk of 64 KiB.
fn bed_with_small_state_disk() -> (Bed, Tmpfs) {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 64 << 10);
    let agent = bed.agent("").replace("{dir}/state", "{dir}/disk/state");
    bed.configure(&[&agent, &queue_sink(""), &files("files", "*.log", "")]);
    (bed, disk)
}

/// Writes 1.5 MB of lines.
fn write_more_than_fits(bed: &Bed) -> Vec<StreamTruth> {
    let limits = Limits { bytes: Some(1_500_000), ..Limits::default() };
    write(&LoadSpec { limits, ..load(&bed.path("logs"), 2) })
}

#[test]
fn a_full_queue_disk_makes_the_agent_wait_and_then_everything_arrives_once() {
    let (bed, disk) = bed_with_small_queue_disk("");
    let mut agent = Agent::start(&bed);
    disk.fill(300 << 10);

    let truth = write_more_than_fits(&bed);
    let ready = wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    assert!(ready.1.contains("sink default: 1 lanes are refused and tried again"), "{ready:?}");
    let retries = agent.metric("logferry_retries_total");
    wait_until("more retries", || agent.metric("logferry_retries_total"), |it| *it > retries + 3.0);
    agent.wait_said("No space left");
    agent.assert_running();
    let verdict = bed.verdict(&truth);
    assert!(verdict.arrived < verdict.lines, "the disk was never full: {verdict}");

    disk.free();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    wait_until("ready again", || agent.ready(), |it| it.0 == 200);
    agent.stop();
}

#[test]
fn a_kill_on_a_full_queue_disk_loses_and_doubles_nothing() {
    let (bed, disk) = bed_with_small_queue_disk("");
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    let truth = write_more_than_fits(&bed);
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    agent.kill();
    let agent = Agent::spawn(&bed);
    sleep_ms(500);
    agent.kill();
    disk.free();
    let mut agent = Agent::start(&bed);
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
}

#[test]
fn a_stop_that_cannot_deliver_ends_with_the_grace_and_its_own_exit_code() {
    let (bed, disk) = bed_with_small_queue_disk("  shutdownGrace: 1s\n");
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    let truth = write_more_than_fits(&bed);
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    let (status, said) = agent.terminate();
    assert_eq!(status.code(), Some(4), "{said}");
    disk.free();
    let mut agent = Agent::start(&bed);
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

/// Nothing of the queue can be made; or its folder can, and no segment.
#[test]
fn a_queue_disk_that_is_full_at_the_first_start_is_waited_for_and_said_once() {
    for left in [0, 16 << 10] {
        let bed = Bed::new();
        let disk = Mount::ext4(bed.path("disk"));
        symlink(disk.path().join("queue"), bed.queue()).unwrap();
        bed.configure(&[&bed.agent(""), SMALL_QUEUE, &files("files", "*.log", "")]);
        disk.fill(left);
        let before = write_more_than_fits(&bed);
        // A death while it waits costs nothing.
        let agent = Agent::spawn(&bed);
        agent.wait_said("No space left");
        agent.kill();
        let mut agent = Agent::spawn(&bed);
        agent.wait_said("No space left");
        let (status, text) = wait_until("not ready", || agent.ready(), |it| it.0 == 503);
        assert!(text.contains("sink default"), "{left}: {status} {text}");
        sleep_ms(3_000);
        agent.assert_running();
        let stderr = agent.stderr();
        let said: Vec<&str> = stderr.lines().filter(|it| it.contains("No space left")).collect();
        assert_eq!(said.len(), 1, "{said:#?}");
        let (place, cure) = (disk.path().to_str().unwrap(), "free space, or lower");
        assert!(said[0].contains(place) && said[0].contains(cure), "{said:#?}");
        disk.free();
        assert_exact(&bed.wait_for_truth(&mut agent, &before));
        wait_until("ready", || agent.ready(), |it| it.0 == 200);
        append(&bed.log("later.log"), b"later\n");
        let is_last = |it: &Vec<String>| it.last().is_some_and(|it| it == "later");
        wait_until("what came later", || bed.bodies(), is_last);
        agent.stop();
        bed.assert_audit_clean();
        drop(disk);
    }
}

/// Once the readers had ended, the tracker's channel was closed, and it span until the shippers were
/// done too: a whole core, for as long as the grace.
#[test]
fn a_stop_that_waits_for_a_full_queue_disk_sleeps() {
    let (bed, disk) = bed_with_small_queue_disk("  shutdownGrace: 20s\n");
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    write_more_than_fits(&bed);
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    agent.signal(Signal::TERM);
    wait_until("the readers' end", || agent.threads(), |it| !it.iter().any(|it| it == "lf-read-0"));
    let before = agent.cpu_ms();
    sleep_ms(2_000);
    let spent = agent.cpu_ms() - before;
    assert_within_ms("CPU of 2 s of waiting", spent, 500);
}

/// A liveness probe that fails would have the agent killed for a fault of its queue.
#[test]
fn the_agent_answers_while_a_reload_waits_for_a_full_queue_disk() {
    let (bed, disk) = bed_with_small_queue_disk("");
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    write_more_than_fits(&bed);
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    reload(&bed, "  shutdownGrace: 20s\n");
    agent.wait_said("configuration changed; putting it in force");
    for _ in 0..3 {
        let answer = get(bed.listen, "/live");
        assert_eq!(answer.map(|it| it.0), Some(200), "no answer to /live within 5 s");
    }
}

#[test]
fn a_reload_on_a_full_queue_disk_loses_and_doubles_nothing_and_counts_right() {
    let (bed, disk) = bed_with_small_queue_disk("  shutdownGrace: 1s\n");
    let mut agent = Agent::start(&bed);
    disk.fill(300 << 10);
    let truth = write_more_than_fits(&bed);
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    reload(&bed, "  shutdownGrace: 2s\n");
    agent.wait_said("not everything read was delivered; it is read again");
    disk.free();
    let lines: u64 = truth.iter().map(|it| it.lines).sum();
    let verdict = wait_until("all lines", || bed.verdict(&truth), |it| it.arrived >= lines);
    assert_exact(&verdict);
    agent.assert_running();
    wait_until("nothing in flight", || agent.metric("logferry_in_flight_bytes"), |it| *it == 0.0);
    let bytes: u64 = truth.iter().map(|it| it.file_bytes).sum();
    assert_eq!(agent.metric("logferry_read_bytes_total"), bytes as f64);
    agent.stop();
}

fn reload(bed: &Bed, agent: &str) {
    bed.configure(&[&bed.agent(agent), SMALL_QUEUE, &files("files", "*.log", "")]);
}

#[test]
fn a_full_state_disk_is_counted_and_shipping_goes_on() {
    let (bed, disk) = bed_with_small_state_disk();
    let mut agent = Agent::start(&bed);
    disk.fill(0);
    let mut lines = 0;
    let mut write_one = || {
        append(&bed.log("app.log"), format!("line {lines}\n").as_bytes());
        lines += 1;
    };
    wait_until(
        "a checkpoint that could not be stored",
        || {
            write_one();
            sleep_ms(50);
            agent.metric("logferry_checkpoint_errors_total")
        },
        |it| *it > 0.0,
    );
    agent.assert_running();
    write_one();
    let want = (0..lines).map(|number| format!("line {number}")).collect::<Vec<_>>();
    wait_until("lines in the queue", || bed.bodies(), |it| *it == want);
    assert_eq!(agent.ready().0, 200, "what is shipped needs no checkpoint");

    disk.free();
    let stored = agent.metric("logferry_checkpoints_total");
    wait_until(
        "checkpoints again",
        || agent.metric("logferry_checkpoints_total"),
        |it| *it > stored,
    );
    agent.kill();
    fs::write(bed.log("other.log"), "last\n").unwrap();
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(want.len() + 1);
    assert_eq!(records.last().unwrap()["body"], "last");
    agent.stop();
}

#[test]
fn a_state_disk_that_is_full_at_the_start_is_no_reason_not_to_start() {
    let (bed, disk) = bed_with_small_state_disk();
    Agent::start(&bed).stop();
    disk.fill(0);
    append(&bed.log("app.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    disk.free();
    wait_until("a checkpoint", || agent.metric("logferry_checkpoints_total"), |it| *it > 0.0);
    agent.stop();
}
