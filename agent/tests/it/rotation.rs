//! Rotation as the kubelet and others do it, while the agent reads: rows A1, A2, A9 and A11.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use benches::layout::Layout;
use benches::load::{Limits, LoadSpec};
use benches::rotation::Rotation;
use benches::wrap::Format;
use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{
    Agent, Bed, Container, Mount, Operation, POD, Tmpfs, Writer, append, assert_exact, body,
    containers, files, get, load, queue_sink, sleep_ms, wait_until,
};

/// A running agent, and a container whose first lines it has delivered.
fn agent_and_container(bed: &Bed) -> (Agent, Container) {
    bed.configure_pods();
    let mut container = Container::create(&bed.path(POD));
    container.write(10);
    let agent = Agent::start(bed);
    bed.wait_for_lines(&container);
    (agent, container)
}

#[test]
fn a1_late_writes_for_seconds_after_the_rename_arrive_at_once_and_in_order() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    let plan = container.plan();
    let (reopen, rename) = plan.split_last().unwrap();
    rename.iter().for_each(|it| container.perform(it));
    // The runtime has not heard of it yet.
    for _ in 0..5 {
        sleep_ms(600);
        container.write(3);
        bed.wait_for_lines(&container);
    }
    container.perform(reopen);
    container.write(10);
    bed.wait_for_lines(&container);
    agent.stop();
    bed.assert_audit_clean();
}

/// The directory is looked through once a minute only: what was heard of must be enough.
#[test]
fn a1_late_writes_are_heard_of_under_the_rotated_name() {
    let bed = Bed::new();
    let pods = containers("pods", "", "");
    bed.configure(&[&bed.agent("  scanInterval: 5m\n"), &queue_sink(""), &pods]);
    let mut container = Container::create(&bed.path(POD));
    container.write(1);
    let agent = Agent::start(&bed);
    bed.wait_for_lines(&container);
    let plan = container.plan();
    let (reopen, rename) = plan.split_last().unwrap();
    rename.iter().for_each(|it| container.perform(it));
    // Let the looks that the renaming itself causes be over.
    sleep_ms(1_000);
    container.write(1);
    bed.wait_for_lines(&container);
    container.perform(reopen);
    container.write(1);
    bed.wait_for_lines(&container);
    agent.stop();
}

/// A writer that never hears of the rotation goes on in the old file, longer than it is waited for.
#[test]
fn a1_a_writer_that_keeps_on_writing_is_followed_for_as_long_as_it_does() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  rotation: {lateWrites: 1s}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let path = bed.log("app.log");
    let mut writer = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    writer.write_all(b"line 0\n").unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["line 0"]);
    fs::remove_file(&path).unwrap();
    let mut want = vec!["line 0".to_owned()];
    for number in 1..=12 {
        sleep_ms(400);
        writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
        want.push(format!("line {number}"));
    }
    let bodies = wait_until("all lines", || bed.bodies(), |it| it.len() >= want.len());
    assert_eq!(bodies, want);
    wait_until("let go in the end", || agent.metric("logferry_open_files"), |it| *it == 0.0);
    agent.stop();
}

#[test]
fn a2_rotation_every_fifth_of_a_second_with_five_files_kept_loses_and_doubles_nothing() {
    let bed = Bed::new();
    bed.configure_pods();
    let mut agent = Agent::start(&bed);
    let spec = LoadSpec {
        layout: Layout::Pods,
        format: Format::Cri,
        rotation: Some(Rotation { bytes: 4 << 20, files_max: 5, late_ns: 0 }),
        rate: 20 << 20,
        limits: Limits { bytes: Some(60 << 20), ..Limits::default() },
        ..load(&bed.path("pods"), 1)
    };
    let truth = Writer::start(&spec).finish();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a2_several_rotations_while_the_agent_stands_still_are_read_in_order() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    agent.freeze();
    // As many as are kept: nothing that was not seen is removed.
    for _ in 0..4 {
        container.write(50);
        container.rotate();
    }
    container.write(50);
    agent.signal(Signal::CONT);
    bed.wait_for_lines(&container);
    agent.stop();
    bed.assert_audit_clean();
}

/// More rotations than files are kept: what nobody saw is declared, file by file.
#[test]
fn a2_generations_that_came_and_went_while_the_agent_stood_still_are_declared() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    agent.freeze();
    // Of eight rotated files four are kept; the first was open, so three are lost.
    for _ in 0..8 {
        container.write(50);
        container.rotate();
    }
    container.write(50);
    agent.signal(Signal::CONT);
    let all = container.bodies();
    let want = [&all[..60], &all[210..]].concat();
    let is_gap = |it: &Value| it["log.gap.reason"] == "rotated_before_read";
    let records = wait_until("lines and gaps", || bed.records(), |it| it.len() >= want.len() + 3);
    let (gaps, lines): (Vec<Value>, Vec<Value>) = records.into_iter().partition(is_gap);
    assert_eq!(lines.iter().map(body).collect::<Vec<_>>(), want);
    assert_eq!(gaps.len(), 3, "{gaps:#?}");
    assert_eq!(agent.metric("logferry_gaps_total"), 3.0);
    let begin = lines[60]["log.cursor"].as_u64().unwrap();
    assert!(gaps.iter().all(|it| it["log.cursor"].as_u64().unwrap() >= begin), "{gaps:#?}");
    agent.stop();
    let (_, report) = bed.audit();
    assert_eq!(
        (
            &report["clean"],
            &report["tenants"]["shop"]["totals"]["gaps"]["rotated_before_read"]["count"]
        ),
        (&true.into(), &3.into()),
        "{report:#}"
    );
}

/// A file that was closed for want of descriptors, written to and removed while the agent stood still.
#[test]
fn a2_a_closed_file_that_was_written_to_and_rotated_away_is_declared() {
    let bed = Bed::new();
    let pods = containers("pods", "", "");
    // Of the same tenant: another's would not cost it its own.
    let others = files("files", "*.log", "  tenant: shop\n");
    bed.configure(&[&bed.agent("  openFilesMax: 16\n"), &queue_sink(""), &pods, &others]);
    (0..40).for_each(|number| append(&bed.log(format!("{number}.log")), b"other\n"));
    let agent = Agent::start(&bed);
    bed.wait_for_records(40);
    let mut container = Container::create(&bed.path(POD));
    container.write(10);
    bed.wait_for_records(50);
    // It is the least recently active one once others were.
    (0..40).for_each(|number| append(&bed.log(format!("{number}.log")), b"more\n"));
    bed.wait_for_records(90);
    let live = container.live();
    // Whichever of its looks came last: others are active again, until it is the least recent one.
    let others_are_active = || {
        (0..40).for_each(|number| append(&bed.log(format!("{number}.log")), b"again\n"));
        sleep_ms(200);
        is_open(agent.pid(), &live)
    };
    wait_until("closed", others_are_active, |it| !it);
    agent.freeze();
    for _ in 0..5 {
        container.write(50);
        container.rotate();
    }
    container.write(50);
    agent.signal(Signal::CONT);
    let all = container.bodies();
    let want = [&all[..10], &all[60..]].concat();
    let run = || bed.tail(&["--all", "--namespace", "shop"]).json_lines();
    let records = wait_until("lines and the gap", run, |it| it.len() > want.len());
    let is_gap = |it: &Value| it["log.gap.reason"] == "rotated_before_read";
    let (gaps, lines): (Vec<Value>, Vec<Value>) = records.into_iter().partition(is_gap);
    assert_eq!(lines.iter().map(body).collect::<Vec<_>>(), want);
    assert_eq!(gaps.len(), 1, "{gaps:#?}");
    agent.stop();
    bed.assert_audit_clean();
}

fn is_open(pid: u32, path: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    descriptors.flatten().any(|it| fs::read_link(it.path()).is_ok_and(|it| it == path))
}

#[test]
fn a9_a_kubelet_killed_after_any_step_of_a_rotation_costs_and_doubles_nothing() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    // Until there are rotated files to remove, a rotation has fewer steps.
    for _ in 0..4 {
        container.rotate();
        container.write(5);
    }
    let steps = container.plan().len();
    assert_eq!(steps, 3, "remove the oldest, rename, reopen");
    for killed_after in 0..=steps {
        for operation in &container.plan()[..killed_after.min(container.plan().len())] {
            container.perform(operation);
            container.write(5);
        }
        // The runtime is told again, in the end, of a file that has no name any more.
        if !container.live().try_exists().unwrap() {
            container.perform(&Operation::Reopen);
        }
        container.write(5);
        bed.wait_for_lines(&container);
    }
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a9_a_file_that_is_renamed_back_is_the_same_generation() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    for is_noticed in [true, false] {
        let plan = container.plan();
        let (_, rename) = plan.split_last().unwrap();
        rename.iter().for_each(|it| container.perform(it));
        container.write(5);
        if is_noticed {
            bed.wait_for_lines(&container);
        }
        container.rename_back();
        container.write(5);
        bed.wait_for_lines(&container);
    }
    container.rotate();
    container.write(5);
    bed.wait_for_lines(&container);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a9_what_a_killed_kubelet_left_in_a_temporary_file_is_never_read() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    container.rotate();
    let rotated = container.rotated().pop().unwrap();
    let temporary = format!("{}.tmp", rotated.display());
    container.perform(&Operation::Compress(rotated, temporary.clone().into()));
    container.write(5);
    bed.wait_for_lines(&container);
    agent.stop();
    assert!(Path::new(&temporary).try_exists().unwrap());
    bed.assert_audit_clean();
}

#[test]
fn a11_a_file_renamed_to_a_name_that_is_not_selected_is_followed() {
    let bed = Bed::new();
    bed.configure_files();
    let path = bed.log("app.log");
    let mut writer = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    writer.write_all(b"one\n").unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    writer.write_all(b"two\n").unwrap();
    fs::rename(&path, bed.log("app.txt")).unwrap();
    writer.write_all(b"three\n").unwrap();
    wait_until("renaming noticed", || sources(&bed), |it| it.contains(r#""gone":true"#));
    writer.write_all(b"four\n").unwrap();
    bed.wait_for_bodies(&["one", "two", "three", "four"]);
    // The old name is free for another file.
    append(&path, b"new\n");
    bed.wait_for_bodies(&["one", "two", "three", "four", "new"]);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a11_a_pod_folder_that_is_renamed_is_followed() {
    let bed = Bed::new();
    let (agent, mut container) = agent_and_container(&bed);
    container.write(5);
    let pod = bed.path(POD).parent().unwrap().to_owned();
    fs::rename(&pod, bed.path("elsewhere")).unwrap();
    container.write(5);
    wait_until("renaming noticed", || sources(&bed), |it| it.contains(r#""gone":true"#));
    container.write(5);
    bed.wait_for_lines(&container);
    agent.stop();
    bed.assert_audit_clean();
}

/// A write makes the overlay copy the file to its upper layer: its time of birth changes.
#[test]
fn a11_a_file_that_an_overlay_copies_up_is_the_same_file() {
    let bed = Bed::new();
    let lower = bed.path("lower");
    fs::create_dir(&lower).unwrap();
    append(&lower.join("app.log"), b"one\ntwo\n");
    let changes = Tmpfs::mount(bed.path("changes"), 1 << 20);
    let overlay = Mount::overlay(bed.path("logs"), &lower, &changes);
    bed.configure_files();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one", "two"]);
    append(&overlay.path().join("app.log"), b"three\n");
    bed.wait_for_bodies(&["one", "two", "three"]);
    // What a look at the directory makes of it.
    append(&overlay.path().join("other.log"), b"other\n");
    let records = bed.wait_for_records(4);
    assert_eq!(body(&records[3]), "other");
    append(&overlay.path().join("app.log"), b"four\n");
    let records = bed.wait_for_records(5);
    assert_eq!(body(&records[4]), "four");
    agent.stop();
    // Nor is it another one to the next agent.
    let agent = Agent::start(&bed);
    append(&overlay.path().join("app.log"), b"five\n");
    let records = bed.wait_for_records(6);
    assert_eq!(body(&records[5]), "five");
    agent.stop();
    bed.assert_audit_clean();
}

fn sources(bed: &Bed) -> String {
    get(bed.listen, "/debug/sources").map_or_else(String::new, |it| it.1)
}
