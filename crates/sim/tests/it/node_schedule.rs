//! Schedules of a whole node: what its writers do, which of its parts has its turn, what fails, and when
//! it dies.

use std::collections::BTreeSet;

use proptest::prelude::*;

use pipeline::frame::Format;
use sim::{DiskFault, KafkaSetting, KafkaStep, Mode, World};

use crate::actor::{Actor, Text};
use crate::bed::{FLUSH_NS, LATE_NS};
use crate::node::{Limits, Node, Plan, STREAMS, Stage, Truth, directory};
use crate::schedule::{Step, config, rotator_step, world_step};

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
    /// Somebody is shown what there is of all streams.
    Show,
    /// The queue behaves so from now on.
    Queue(Mode),
    /// To brokers, or to what is on its way to them.
    Kafka(KafkaStep),
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
    /// The same, and so many records of the next section stay.
    KillInside(usize, usize),
    /// The power is cut, too.
    PowerCut(usize, usize, bool),
    /// The agent is asked to end.
    Stop,
    Wait(u64),
}

/// A node before anything happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) format: Format,
    pub(crate) limits: Limits,
    /// A tenant that at the end is stuck for a while, beside the other.
    pub(crate) stuck: Option<usize>,
    /// Writers end their lines and nothing is removed: every line must arrive.
    pub(crate) is_tidy: bool,
    /// It delivers to Kafka.
    pub(crate) kafka: Option<KafkaSetting>,
}

impl Setting {
    pub(crate) fn new(format: Format, open_files_max: u64) -> Setting {
        let limits = Limits { open_files_max, pinned_bytes_max: u64::MAX };
        Setting { format, limits, stuck: None, is_tidy: false, kafka: None }
    }
}

/// Does the steps, looks at what must hold after each, then waits until everything is quiet, and checks.
pub(crate) fn run(setting: Setting, steps: &[NodeStep]) -> Result<(), String> {
    run_counted(setting, steps).0
}

/// As [`run`]; and how many steps there were to the disk.
pub(crate) fn run_counted(setting: Setting, steps: &[NodeStep]) -> (Result<(), String>, u64) {
    let mut node = Node::new(setting.format, Plan::of_two(setting.limits), setting.kafka);
    let outcome = run_on(&mut node, setting, steps)
        .map_err(|why| format!("{why}\n  with {setting:?} after {steps:?}"));
    (outcome, node.disk.steps())
}

fn run_on(node: &mut Node, setting: Setting, steps: &[NodeStep]) -> Result<(), String> {
    let worlds = node.worlds.clone();
    let mut actors: Vec<Actor> = (0..STREAMS)
        .map(|stream| Actor::new_in(&directory(stream), worlds[stream].clone(), setting.format))
        .map(|actor| if setting.is_tidy { actor.tidy() } else { actor })
        .collect();
    let mut unheard = vec![BTreeSet::new(); STREAMS];
    for step in steps {
        act(node, &mut actors, step);
        node.look()?;
        if setting.is_tidy && node.is_dead() {
            for (stream, actor) in actors.iter().enumerate() {
                unheard[stream].append(&mut node.unheard_of(stream, actor.written())?);
            }
        }
    }
    if let Some(stuck) = setting.stuck {
        lift_faults(&worlds[1 - stuck]);
        let text = Text { len: 1000, is_stderr: false, is_partial: false };
        let truth = truth(setting, &mut actors, &unheard);
        node.verdict_beside(stuck, &truth, || {
            actors[stuck].step(&Step::Append(vec![text; 3], 0));
        })?;
    }
    worlds.iter().for_each(lift_faults);
    let truth = truth(setting, &mut actors, &unheard);
    node.verdict(&truth)
}

/// Does one step.
pub(crate) fn act(node: &mut Node, actors: &mut [Actor], step: &NodeStep) {
    let clock = node.worlds[0].clock();
    clock.advance(1);
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
        NodeStep::Show => node.show(),
        NodeStep::Queue(mode) => node.queues[0].set_mode(*mode),
        NodeStep::Kafka(step) => node.queues[0].step(*step),
        NodeStep::Settle(payloads) => node.settle(*payloads),
        NodeStep::MakeSafe(payloads) => node.queues.iter().for_each(|it| it.make_safe(*payloads)),
        NodeStep::Acknowledge(number) => node.acknowledge(*number),
        NodeStep::Disk(steps, fault) => node.disk.fail_after(*steps, *fault),
        NodeStep::Kill(kept) => node.kill(*kept, 0, None),
        NodeStep::KillInside(kept, records) => node.kill(*kept, *records, None),
        NodeStep::PowerCut(kept, torn, names) => node.kill(*kept, 0, Some((*torn, *names))),
        NodeStep::Stop => node.stop(),
        NodeStep::Wait(time_ns) => clock.advance(*time_ns),
    }
}

fn truth(setting: Setting, actors: &mut [Actor], unheard: &[BTreeSet<u32>]) -> Truth {
    if setting.is_tidy {
        let lines = actors.iter_mut().map(|it| it.finish().to_vec());
        Truth::Lines(lines.zip(unheard.iter().cloned()).collect())
    } else {
        Truth::Bytes
    }
}

pub(crate) fn lift_faults(world: &World) {
    world.refuse_opens(None);
    world.refuse_reads(None);
    world.shorten_reads(None);
}

pub(crate) fn setting(format: Format, is_tidy: bool) -> impl Strategy<Value = Setting> {
    let little = if is_tidy { u64::MAX..=u64::MAX } else { 0..=3000u64 };
    let pinned = prop_oneof![3 => Just(u64::MAX), 1 => little];
    let stuck = prop::option::weighted(0.2, 0..STREAMS);
    (0..3u64, pinned, stuck).prop_map(move |(open_files_max, pinned_bytes_max, stuck)| Setting {
        format,
        limits: Limits { open_files_max, pinned_bytes_max },
        stuck,
        is_tidy,
        kafka: None,
    })
}

pub(crate) fn stage() -> impl Strategy<Value = Stage> {
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

pub(crate) fn disk_fault() -> impl Strategy<Value = DiskFault> {
    prop_oneof![
        Just(DiskFault::Fails(std::io::ErrorKind::StorageFull)),
        Just(DiskFault::Fails(std::io::ErrorKind::Other)),
        (0..200usize).prop_map(DiskFault::Short),
        (0..200usize).prop_map(DiskFault::Dies),
    ]
}

pub(crate) fn node_step<S>(world_step: impl Fn() -> S) -> impl Strategy<Value = NodeStep>
where
    S: Strategy<Value = Step> + 'static,
{
    let round = Just([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);
    let time = prop_oneof![1..FLUSH_NS / 2, Just(FLUSH_NS), Just(LATE_NS)];
    prop_oneof![
        30 => (0..STREAMS, world_step()).prop_map(|(stream, step)| NodeStep::World(stream, step)),
        14 => (stage(), 1..6usize).prop_map(|(stage, times)| NodeStep::Tick(stage, times)),
        8 => round.prop_shuffle().prop_map(NodeStep::Round),
        4 => (0..STREAMS).prop_map(NodeStep::Hear),
        2 => Just(NodeStep::Show),
        4 => mode().prop_map(NodeStep::Queue),
        3 => (1..4usize).prop_map(NodeStep::Settle),
        2 => (1..4usize).prop_map(NodeStep::MakeSafe),
        2 => (0..4usize).prop_map(NodeStep::Acknowledge),
        3 => (0..12u64, disk_fault()).prop_map(|(steps, fault)| NodeStep::Disk(steps, fault)),
        2 => (0..4usize).prop_map(NodeStep::Kill),
        1 => (0..3usize, 1..5usize)
            .prop_map(|(kept, records)| NodeStep::KillInside(kept, records)),
        1 => (0..4usize, 0..200usize, any::<bool>())
            .prop_map(|(kept, torn, names)| NodeStep::PowerCut(kept, torn, names)),
        1 => Just(NodeStep::Stop),
        3 => time.prop_map(NodeStep::Wait),
    ]
}

/// Schedules of one rotator, that compresses or not.
fn rotated(format: Format) -> impl Strategy<Value = Vec<NodeStep>> {
    any::<(bool, bool)>().prop_flat_map(move |(is_copied, is_packed)| {
        let is_in = move |step: &NodeStep| match step {
            NodeStep::World(_, Step::Compress(_)) => is_packed,
            _ => true,
        };
        let steps =
            prop::collection::vec(node_step(move || rotator_step(format, is_copied)), 1..80);
        steps.prop_map(move |steps| steps.into_iter().filter(is_in).collect())
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_node_delivers_plain_lines_once_whatever_fails(
        setting in setting(Format::Plain, false),
        steps in prop::collection::vec(node_step(world_step), 1..80),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_node_delivers_container_lines_once_whatever_fails(
        setting in setting(Format::Cri, false),
        steps in prop::collection::vec(node_step(world_step), 1..80),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn plain_lines_of_files_that_are_copied_linked_and_compressed_arrive_once(
        setting in setting(Format::Plain, true),
        steps in rotated(Format::Plain),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn container_lines_of_files_that_are_copied_linked_and_compressed_arrive_once(
        setting in setting(Format::Cri, true),
        steps in rotated(Format::Cri),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn docker_lines_of_files_that_are_copied_linked_and_compressed_arrive_once(
        setting in setting(Format::Docker, true),
        steps in rotated(Format::Docker),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }
}
