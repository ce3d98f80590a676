//! State that is lost or damaged between two runs: checkpoint and queue make up for each other.

use std::fs;
use std::path::PathBuf;

use benches::load::LoadSpec;

use crate::kit::{Agent, Bed, Writer, append, assert_exact, load, rotation, sleep_ms, wait_until};

fn rotating(bed: &Bed) -> LoadSpec {
    LoadSpec { rotation: rotation(128 << 10), ..load(&bed.path("logs"), 3) }
}

/// Checkpoint files, oldest first.
fn checkpoints(bed: &Bed) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.path("state")).unwrap().map(|it| it.unwrap().path());
    let is_checkpoint =
        |it: &PathBuf| it.file_name().unwrap().to_str().unwrap().starts_with("checkpoint.0");
    let mut files: Vec<PathBuf> = entries.filter(is_checkpoint).collect();
    files.sort();
    files
}

/// Waits until a checkpoint of delivered lines is stored.
fn wait_checkpointed(agent: &Agent) {
    wait_until("a checkpoint", || agent.metric("logferry_checkpoints_total"), |it| *it > 0.0);
}

#[test]
fn a_lost_state_directory_loses_and_doubles_nothing_because_the_queue_tells() {
    let bed = Bed::new();
    bed.configure_files();
    let writer = Writer::start(&rotating(&bed));
    for is_killed in [true, false, true] {
        let agent = Agent::start(&bed);
        wait_checkpointed(&agent);
        sleep_ms(300);
        if is_killed {
            agent.kill()
        } else {
            agent.stop()
        }
        fs::remove_dir_all(bed.path("state")).unwrap();
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_damaged_checkpoint_is_reported_and_loses_and_doubles_nothing() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("bytes flipped in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 4].iter_mut().for_each(|byte| *byte ^= 0xff);
        }),
        ("magic flipped", |bytes| bytes[1] ^= 1),
        ("snapshot flipped", |bytes| bytes[40] ^= 1),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("last byte cut", |bytes| bytes.truncate(bytes.len() - 1)),
        ("empty", Vec::clear),
    ];
    let bed = Bed::new();
    bed.configure_files();
    let writer = Writer::start(&rotating(&bed));
    Agent::start(&bed).stop();
    for (what, damage) in damages {
        let agent = Agent::start(&bed);
        wait_checkpointed(&agent);
        agent.kill();
        let newest = checkpoints(&bed).pop().unwrap();
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, bytes).unwrap();
        let agent = Agent::start(&bed);
        let said = agent.stderr();
        let report = said.lines().find(|line| line.contains(" checkpoint damage="));
        let report = report.unwrap_or_else(|| panic!("{what}: no report in {said}"));
        let place = format!("{}: byte ", newest.display());
        assert!(report.contains("ERROR") && report.contains(&place), "{what}: {report}");
        agent.kill();
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn without_any_whole_checkpoint_the_queue_tells() {
    let bed = Bed::new();
    bed.configure_files();
    let writer = Writer::start(&rotating(&bed));
    let agent = Agent::start(&bed);
    wait_checkpointed(&agent);
    agent.kill();
    for checkpoint in checkpoints(&bed) {
        fs::write(checkpoint, "not a checkpoint, but as long as the header of one is").unwrap();
    }
    let mut agent = Agent::start(&bed);
    agent.wait_said("no whole checkpoint is left");
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_lost_queue_with_a_kept_checkpoint_goes_on_with_new_lines_only() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"one\ntwo\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one", "two"]);
    agent.stop();
    fs::remove_dir_all(bed.queue()).unwrap();
    append(&bed.log("app.log"), b"three\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["three"]);
    assert_eq!(bed.records()[0]["log.cursor"], 8);
    // And once more, with both again.
    agent.stop();
    append(&bed.log("app.log"), b"four\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["three", "four"]);
    agent.stop();
}

#[test]
fn with_state_and_queue_lost_everything_is_read_again_in_a_new_epoch() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    let epoch = bed.records()[0]["log.epoch"].as_u64().unwrap();
    agent.stop();
    for lost in ["state", "queue"] {
        fs::remove_dir_all(bed.path(lost)).unwrap();
    }
    // Epochs are counted in seconds.
    sleep_ms(1100);
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    let records = bed.records();
    assert!(records[0]["log.epoch"].as_u64().unwrap() > epoch, "{records:?} after epoch {epoch}");
    agent.stop();
}
