//! Generations that the kubelet compresses while they are read: row A9, and what A3 needs.
//!
//! `X` and `X.gz` are the same generation and never both delivered; `X.tmp` is never read.

use std::fs;

use rustix::process::Signal;

use crate::kit::{Agent, Bed, Container, Operation, POD, append};

/// A container of a compressing kubelet, with lines of its own.
fn container(bed: &Bed) -> Container {
    bed.configure_pods();
    let mut container = Container::create(&bed.path(POD)).compressing();
    container.write(10);
    container
}

/// The folder as a kubelet leaves it that is killed after so many steps of a rotation; there is a
/// compressed file, and one to be compressed. Returns `false` if a rotation has fewer steps.
fn kill_kubelet_after(container: &mut Container, steps: usize) -> bool {
    container.rotate();
    container.write(10);
    container.rotate();
    container.write(10);
    let plan = container.plan();
    let Some(done) = plan.get(..steps) else { return false };
    for operation in done {
        container.perform(operation);
        container.write(3);
    }
    if !container.live().try_exists().unwrap() {
        container.perform(&Operation::Reopen);
    }
    container.write(10);
    true
}

#[test]
fn a9_a_kubelet_killed_while_it_compresses_costs_and_doubles_nothing_to_a_running_agent() {
    for steps in 0.. {
        let bed = Bed::new();
        let mut container = container(&bed);
        let agent = Agent::start(&bed);
        bed.wait_for_lines(&container);
        if !kill_kubelet_after(&mut container, steps) {
            assert_eq!(steps, 6, "compress, rename, remove; rename, reopen");
            return;
        }
        bed.wait_for_lines(&container);
        // The next kubelet clears up and goes on.
        container.rotate();
        container.write(10);
        bed.wait_for_lines(&container);
        agent.stop();
        bed.assert_audit_clean();
    }
}

#[test]
fn a9_a_kubelet_killed_while_it_compresses_costs_and_doubles_nothing_to_the_next_agent() {
    for steps in 0.. {
        let bed = Bed::new();
        let mut container = container(&bed);
        let agent = Agent::start(&bed);
        bed.wait_for_lines(&container);
        agent.kill();
        if !kill_kubelet_after(&mut container, steps) {
            return;
        }
        let agent = Agent::start(&bed);
        bed.wait_for_lines(&container);
        container.rotate();
        container.write(10);
        bed.wait_for_lines(&container);
        agent.stop();
        bed.assert_audit_clean();
    }
}

/// Whatever there is at the first start, with a kubelet that was killed after each step.
#[test]
fn a9_plain_and_compressed_of_one_generation_are_delivered_once_at_the_first_start() {
    for steps in 0.. {
        let bed = Bed::new();
        let mut container = container(&bed);
        if !kill_kubelet_after(&mut container, steps) {
            return;
        }
        let agent = Agent::start(&bed);
        bed.wait_for_lines(&container);
        agent.stop();
        bed.assert_audit_clean();
    }
}

#[test]
fn a9_a_temporary_file_that_is_whole_gzip_is_not_read() {
    let bed = Bed::new();
    let mut container = container(&bed);
    container.rotate();
    container.write(10);
    let rotated = container.rotated().pop().unwrap();
    let temporary = format!("{}.tmp", rotated.display());
    container.perform(&Operation::Compress(rotated.clone(), temporary.clone().into()));
    // Even if it were another's content: what a temporary file holds is nobody's log yet.
    append(temporary.as_ref(), b"torn");
    let agent = Agent::start(&bed);
    bed.wait_for_lines(&container);
    fs::remove_file(&rotated).unwrap();
    container.write(5);
    bed.wait_for_lines(&container);
    agent.stop();
    bed.assert_audit_clean();
}

/// Rotations with compression while the agent stands still: it finds `.gz` files of which it knows
/// one, half read, and none of the others.
#[test]
fn a9_files_compressed_while_the_agent_stands_still_are_read_in_order() {
    let bed = Bed::new();
    let mut container = container(&bed);
    let agent = Agent::start(&bed);
    bed.wait_for_lines(&container);
    agent.freeze();
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
