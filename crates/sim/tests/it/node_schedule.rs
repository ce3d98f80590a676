//! Schedules of a whole node: what its writers do, which of its parts has its turn, what fails, and when
//! it dies.

use proptest::prelude::*;

use pipeline::frame::Format;
use sim::{DiskFault, Mode};

use crate::actor::Actor;
use crate::bed::{FLUSH_NS, LATE_NS};
use crate::node::{Node, STREAMS, Stage, directory};
use crate::schedule::{Step, config, world_step};

/// One thing that happens to a node.
#[derive(Debug, Clone)]
pub(crate) enum NodeStep {
    /// To the files of a stream.
    World(usize, Step),
    /// A stage has so many turns.
    Tick(Stage, usize),
    /// All stages have a turn, in this order.
    Round([Stage; 4]),
    /// The watch hears of a stream.
    Hear(usize),
    /// The queue behaves so from now on.
    Queue(Mode),
    /// The queue makes so many payloads safe, and says so.
    Settle(usize),
    /// The queue makes so many payloads safe, and says nothing.
    MakeSafe(usize),
    /// The queue says of one payload that it is safe, of any.
    Acknowledge(usize),
    /// A step to the disk of checkpoints has a fault, after so many others.
    Disk(u64, DiskFault),
    /// The agent is killed; so many sections that were not acknowledged stay.
    Kill(usize),
    /// The power is cut, too.
    PowerCut(usize, usize, bool),
    /// The agent is asked to end.
    Stop,
    Wait(u64),
}

/// Does the steps, looks at what must hold after each, then waits until everything is quiet, and checks.
pub(crate) fn run(format: Format, open_files_max: u64, steps: &[NodeStep]) -> Result<(), String> {
    run_counted(format, open_files_max, steps).0
}

/// As [`run`]; and how many steps there were to the disk.
pub(crate) fn run_counted(
    format: Format,
    open_files_max: u64,
    steps: &[NodeStep],
) -> (Result<(), String>, u64) {
    let mut node = Node::new(format, open_files_max);
    let outcome = run_on(&mut node, format, steps);
    (outcome, node.disk.steps())
}

fn run_on(node: &mut Node, format: Format, steps: &[NodeStep]) -> Result<(), String> {
    let worlds = node.worlds.clone();
    let mut actors: Vec<Actor> = (0..STREAMS)
        .map(|stream| Actor::new_in(&directory(stream), worlds[stream].clone(), format))
        .collect();
    let told = |why: String| format!("{why}\n  after {steps:?}");
    for step in steps {
        worlds[0].clock().advance(1);
        match step {
            NodeStep::World(stream, step) => actors[*stream].step(step),
            NodeStep::Tick(stage, times) => {
                for _ in 0..*times {
                    node.tick(*stage);
                }
            }
            NodeStep::Round(stages) => {
                for stage in stages {
                    node.tick(*stage);
                }
            }
            NodeStep::Hear(stream) => node.hear(*stream),
            NodeStep::Queue(mode) => node.queue.set_mode(*mode),
            NodeStep::Settle(payloads) => node.settle(*payloads),
            NodeStep::MakeSafe(payloads) => node.queue.make_safe(*payloads),
            NodeStep::Acknowledge(number) => node.acknowledge(*number),
            NodeStep::Disk(steps, fault) => node.disk.fail_after(*steps, *fault),
            NodeStep::Kill(kept) => node.kill(*kept, None),
            NodeStep::PowerCut(kept, torn, names) => node.kill(*kept, Some((*torn, *names))),
            NodeStep::Stop => node.stop(),
            NodeStep::Wait(time_ns) => worlds[0].clock().advance(*time_ns),
        }
        node.look().map_err(told)?;
    }
    for world in &worlds {
        world.refuse_opens(None);
        world.refuse_reads(None);
        world.shorten_reads(None);
    }
    node.verdict().map_err(told)
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        2 => Just(Stage::Discovery),
        4 => Just(Stage::Reader),
        3 => Just(Stage::Shipper),
        2 => Just(Stage::Tracker),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        2 => Just(Mode::Safe),
        3 => Just(Mode::Held),
        1 => Just(Mode::Refuses),
        1 => Just(Mode::IsBusy),
        1 => (0..3usize).prop_map(Mode::Breaks),
    ]
}

fn disk_fault() -> impl Strategy<Value = DiskFault> {
    prop_oneof![
        Just(DiskFault::Fails(std::io::ErrorKind::StorageFull)),
        Just(DiskFault::Fails(std::io::ErrorKind::Other)),
        (0..200usize).prop_map(DiskFault::Short),
        (0..200usize).prop_map(DiskFault::Dies),
    ]
}

fn node_step() -> impl Strategy<Value = NodeStep> {
    let round = Just([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);
    let time = prop_oneof![1..FLUSH_NS / 2, Just(FLUSH_NS), Just(LATE_NS)];
    prop_oneof![
        30 => (0..STREAMS, world_step()).prop_map(|(stream, step)| NodeStep::World(stream, step)),
        14 => (stage(), 1..6usize).prop_map(|(stage, times)| NodeStep::Tick(stage, times)),
        8 => round.prop_shuffle().prop_map(NodeStep::Round),
        4 => (0..STREAMS).prop_map(NodeStep::Hear),
        4 => mode().prop_map(NodeStep::Queue),
        3 => (1..4usize).prop_map(NodeStep::Settle),
        2 => (1..4usize).prop_map(NodeStep::MakeSafe),
        2 => (0..4usize).prop_map(NodeStep::Acknowledge),
        3 => (0..12u64, disk_fault()).prop_map(|(steps, fault)| NodeStep::Disk(steps, fault)),
        2 => (0..4usize).prop_map(NodeStep::Kill),
        1 => (0..4usize, 0..200usize, any::<bool>())
            .prop_map(|(kept, torn, names)| NodeStep::PowerCut(kept, torn, names)),
        1 => Just(NodeStep::Stop),
        3 => time.prop_map(NodeStep::Wait),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_node_delivers_plain_lines_once_whatever_fails(
        steps in prop::collection::vec(node_step(), 1..80),
        open_files_max in 0..3u64,
    ) {
        run(Format::Plain, open_files_max, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_node_delivers_container_lines_once_whatever_fails(
        steps in prop::collection::vec(node_step(), 1..80),
        open_files_max in 0..3u64,
    ) {
        run(Format::Cri, open_files_max, &steps).map_err(TestCaseError::fail)?;
    }
}
