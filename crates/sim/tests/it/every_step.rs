//! Every step to the disk of checkpoints fails once, in every way, and the process dies at every step,
//! with the power cut then or not: the node delivers everything once, and never goes back.

use std::io::ErrorKind;

use pipeline::frame::Format;
use sim::{DiskFault, Mode};

use crate::actor::Text;
use crate::node::Stage;
use crate::node_schedule::{NodeStep, Setting, run_counted};
use crate::schedule::Step;

const ROUND: NodeStep =
    NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);
const LINE: Text = Text { len: 20, is_stderr: false, is_partial: false };

/// Two streams that grow and rotate, an agent that stores what it did, is asked to end, and is killed.
fn scenario() -> Vec<NodeStep> {
    let mut steps = Vec::new();
    for life in 0..3 {
        for _ in 0..2 {
            for stream in 0..2 {
                let append = Step::Append(vec![LINE, LINE], 0);
                steps.push(NodeStep::World(stream, append));
            }
            steps.extend([ROUND, ROUND]);
            steps.push(NodeStep::World(0, Step::Rotate));
            steps.push(NodeStep::World(0, Step::Reopen));
            steps.push(ROUND);
        }
        steps.push(NodeStep::Queue(Mode::Held));
        steps.push(NodeStep::World(1, Step::Append(vec![LINE], 0)));
        steps.extend([ROUND, ROUND]);
        steps.push(NodeStep::Settle(1));
        steps.push(NodeStep::Tick(Stage::Tracker, 1));
        steps.push(if life == 1 { NodeStep::Stop } else { NodeStep::Kill(1) });
    }
    steps
}

#[test]
fn every_step_to_the_disk_of_checkpoints_may_fail_or_be_the_last() {
    let (clean, steps) = run_counted(Setting::new(Format::Cri, 2), &scenario());
    clean.unwrap_or_else(|why| panic!("{why}"));
    assert!(steps > 30, "{steps} steps");
    let bytes = [0, 1, 23, 60, 100_000];
    let faults = [DiskFault::Fails(ErrorKind::StorageFull), DiskFault::Fails(ErrorKind::Other)];
    let faults = faults.into_iter().chain(bytes.map(DiskFault::Short));
    for fault in faults.chain(bytes.map(DiskFault::Dies)) {
        for step in 0..steps {
            for power in [None, Some((0, false)), Some((0, true)), Some((30, true))] {
                let mut schedule = vec![NodeStep::Disk(step, fault)];
                schedule.extend(scenario());
                if let Some((torn, names)) = power {
                    schedule.push(NodeStep::PowerCut(0, torn, names));
                }
                let (outcome, _) = run_counted(Setting::new(Format::Cri, 2), &schedule);
                if let Err(why) = outcome {
                    panic!("{fault:?} at step {step} of {steps}, power {power:?}: {why}");
                }
            }
        }
    }
}
