//! Schedules of a whole node that delivers to Kafka: as those of a node, and what happens to brokers and to
//! what is on its way to them. The sink is the real one, but for librdkafka.

use flow::Encoding;
use pipeline::frame::Format;
use proptest::prelude::*;
use sim::{Fate, KafkaSetting, KafkaStep, Mode};

use crate::actor::Text;
use crate::node::{Limits, Stage};
use crate::node_schedule::{NodeStep, Setting, node_step, run, setting};
use crate::schedule::{Step, config, world_step};

fn kafka_setting(format: Format) -> impl Strategy<Value = Setting> {
    let encoding =
        prop_oneof![Just(Encoding::OtlpProto), Just(Encoding::JsonLines), Just(Encoding::Json)];
    (setting(format, false), encoding, any::<bool>()).prop_map(|(setting, encoding, is_shared)| {
        // Whose topic it is cannot be kept from it alone.
        let stuck = setting.stuck.filter(|_| !is_shared);
        Setting { kafka: Some(KafkaSetting { encoding, is_shared }), stuck, ..setting }
    })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        3 => Just(Fate::Stored),
        2 => Just(Fate::Rejected),
        1 => Just(Fate::UnknownStored),
        1 => Just(Fate::UnknownLost),
        1 => Just(Fate::UnknownLate),
        1 => Just(Fate::Concluded),
    ]
}

fn kafka_step() -> impl Strategy<Value = KafkaStep> {
    prop_oneof![
        16 => (0..2usize, 1..4usize, fate())
            .prop_map(|(which, messages, fate)| KafkaStep::Request(which, messages, fate)),
        4 => (0..4usize).prop_map(KafkaStep::Hear),
        1 => Just(KafkaStep::Fence),
        2 => any::<bool>().prop_map(KafkaStep::Away),
        1 => Just(KafkaStep::Restart),
        1 => Just(KafkaStep::Delete),
        2 => (0..4usize).prop_map(KafkaStep::Create),
        2 => prop::option::of(600..6000u64).prop_map(KafkaStep::Limit),
        1 => any::<bool>().prop_map(KafkaStep::Full),
        1 => any::<bool>().prop_map(KafkaStep::KeepsNothing),
    ]
}

fn steps() -> impl Strategy<Value = Vec<NodeStep>> {
    let step = prop_oneof![
        3 => node_step(world_step),
        1 => kafka_step().prop_map(NodeStep::Kafka),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_node_delivers_plain_lines_to_kafka_once_whatever_fails(
        setting in kafka_setting(Format::Plain),
        steps in steps(),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_node_delivers_container_lines_to_kafka_once_whatever_fails(
        setting in kafka_setting(Format::Cri),
        steps in steps(),
    ) {
        run(setting, &steps).map_err(TestCaseError::fail)?;
    }
}

const LINE: Text = Text { len: 20, is_stderr: false, is_partial: false };
const ROUND: NodeStep =
    NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);
/// Longer than the offsets that the agent keeps stay behind its checkpoints.
const SECOND: NodeStep = NodeStep::Wait(1_000_000_001);

/// A line of the first stream, read and on its way.
fn line() -> [NodeStep; 2] {
    [NodeStep::World(0, Step::Append(vec![LINE], 0)), ROUND]
}

fn outcome(encoding: Encoding, steps: &[NodeStep]) -> Result<(), String> {
    let kafka = Some(KafkaSetting { encoding, is_shared: false });
    run(Setting { kafka, ..Setting::new(Format::Plain, 2) }, steps)
}

fn check(steps: &[NodeStep]) {
    for encoding in [Encoding::OtlpProto, Encoding::JsonLines, Encoding::Json] {
        outcome(encoding, steps).unwrap_or_else(|why| panic!("{encoding}: {why}"));
    }
}

/// Each line is a message.
const JSON: KafkaSetting = KafkaSetting { encoding: Encoding::Json, is_shared: false };

/// Where no file stays open.
fn check_without_open_files(format: Format, kafka: KafkaSetting, steps: &[NodeStep]) {
    let limits = Limits { open_files_max: 0, pinned_bytes_max: u64::MAX };
    run(Setting { kafka: Some(kafka), limits, ..Setting::new(format, 2) }, steps)
        .unwrap_or_else(|why| panic!("{why}"));
}

/// So much of the first request.
fn request(messages: usize, fate: Fate) -> NodeStep {
    NodeStep::Kafka(KafkaStep::Request(0, messages, fate))
}

/// A line delivered, its offset kept, and then another one on its way.
fn one_line_known_and_one_on_its_way() -> Vec<NodeStep> {
    let mut steps = line().to_vec();
    for _ in 0..4 {
        steps.extend([SECOND, ROUND]);
    }
    steps.push(NodeStep::Queue(Mode::Held));
    steps.extend(line());
    steps
}

#[test]
fn a_request_that_ends_unknown_is_read_back_before_anything_is_sent_again() {
    for fate in [Fate::UnknownStored, Fate::UnknownLost, Fate::UnknownLate] {
        let mut steps = one_line_known_and_one_on_its_way();
        steps.push(request(1, fate));
        check(&steps);
    }
}

#[test]
fn a_request_of_the_dead_that_a_broker_stores_late_is_waited_for() {
    let mut steps = one_line_known_and_one_on_its_way();
    steps.push(NodeStep::Kill(1));
    check(&steps);
}

#[test]
fn a_request_of_the_dead_that_is_stored_behind_the_read_back_is_seen_as_a_double() {
    let mut steps = one_line_known_and_one_on_its_way();
    steps.extend([NodeStep::Kafka(KafkaStep::Tardy), NodeStep::Kill(1), ROUND]);
    let why = outcome(Encoding::OtlpProto, &steps).expect_err("it comes again, and nobody sees it");
    assert!(why.contains("doubled"), "{why}");
}

#[test]
fn a_producer_that_is_fenced_is_followed_by_another_that_reads_back() {
    let mut steps = one_line_known_and_one_on_its_way();
    steps.extend([request(1, Fate::Stored), NodeStep::Kafka(KafkaStep::Fence)]);
    check(&steps);
}

#[test]
fn a_broker_that_starts_anew_before_its_answer_costs_nothing() {
    let mut steps = one_line_known_and_one_on_its_way();
    steps.extend([request(1, Fate::Stored), NodeStep::Kafka(KafkaStep::Restart)]);
    check(&steps);
    steps.push(NodeStep::Kill(1));
    check(&steps);
}

#[test]
fn what_is_stored_without_an_answer_and_then_refused_is_not_lost() {
    let mut steps = one_line_known_and_one_on_its_way();
    steps.extend([request(1, Fate::Stored), NodeStep::Kafka(KafkaStep::Restart)]);
    steps.push(request(1, Fate::Rejected));
    check(&steps);
    steps.push(NodeStep::Kill(0));
    check(&steps);
}

#[test]
fn what_a_deleted_topic_took_along_before_its_answer_comes_in_the_next_one() {
    let mut steps = vec![NodeStep::Queue(Mode::Held)];
    steps.extend(line());
    steps.push(request(1, Fate::Stored));
    // The client sends it again, to where there is no topic.
    steps.extend([NodeStep::Kafka(KafkaStep::Delete), NodeStep::Kafka(KafkaStep::Restart)]);
    steps.push(request(1, Fate::Answered));
    check(&steps);
    steps.push(NodeStep::Kill(0));
    check(&steps);
}

/// The first life's messages stand behind a hole, and tell where its section ended; those of the second fill the hole, and end
/// inside of a longer one. The third goes on where the first one's ended.
#[test]
fn what_stands_behind_a_hole_that_was_filled_tells_where_a_section_ended() {
    let text = |len, is_partial| Text { len, is_stderr: false, is_partial };
    let append = |texts| NodeStep::World(0, Step::Append(texts, 0));
    let steps = [
        append(vec![text(0, false), text(200, false), text(0, true)]),
        NodeStep::Round([Stage::Discovery, Stage::Shipper, Stage::Tracker, Stage::Reader]),
        append(vec![text(0, false), text(0, false)]),
        NodeStep::Queue(Mode::Breaks(0)),
        NodeStep::Tick(Stage::Shipper, 1),
        request(1, Fate::Rejected),
        NodeStep::Kill(2),
        ROUND,
        NodeStep::Kill(3),
    ];
    check_without_open_files(Format::Cri, JSON, &steps);
}

/// The first life's part of a line stands behind a hole, and ends its section; the second fills the hole, and sends that part
/// again within a longer section. The third goes on where the first one's ended, with the rest of the line.
#[test]
fn what_goes_on_behind_a_section_that_another_life_ended_says_so() {
    let text = |len, is_partial| Text { len, is_stderr: false, is_partial };
    let append = |texts| NodeStep::World(1, Step::Append(texts, 0));
    let steps = [
        append(vec![text(0, false)]),
        NodeStep::Round([Stage::Tracker, Stage::Shipper, Stage::Reader, Stage::Discovery]),
        NodeStep::Round([Stage::Shipper, Stage::Reader, Stage::Discovery, Stage::Tracker]),
        append(vec![text(400, true)]),
        ROUND,
        NodeStep::Queue(Mode::Held),
        ROUND,
        request(1, Fate::Concluded),
        NodeStep::Settle(2),
        append(vec![text(0, false), text(0, false)]),
        NodeStep::Round([Stage::Shipper, Stage::Tracker, Stage::Discovery, Stage::Reader]),
        NodeStep::Tick(Stage::Shipper, 1),
        request(3, Fate::UnknownStored),
    ];
    check_without_open_files(Format::Cri, JSON, &steps);
}

/// The first life's section ends with a part of a line, behind a hole. The second joins it with the rest, behind which it has
/// a line of the other stream, and dies before it has sent that.
#[test]
fn what_a_later_life_joined_is_not_gone_on_with_where_an_earlier_one_ended() {
    let text = |len, is_stderr, is_partial| Text { len, is_stderr, is_partial };
    let append = |stream, texts| NodeStep::World(stream, Step::Append(texts, 0));
    let end = text(0, false, false);
    let steps = [
        append(1, vec![end]),
        NodeStep::Round([Stage::Tracker, Stage::Shipper, Stage::Reader, Stage::Discovery]),
        NodeStep::Round([Stage::Shipper, Stage::Reader, Stage::Discovery, Stage::Tracker]),
        append(1, vec![text(400, false, false), text(0, false, true)]),
        ROUND,
        NodeStep::Queue(Mode::Held),
        NodeStep::Tick(Stage::Shipper, 1),
        NodeStep::Wait(1_000_000_000),
        ROUND,
        request(1, Fate::Concluded),
        NodeStep::PowerCut(3, 0, false),
        NodeStep::Tick(Stage::Discovery, 1),
        append(1, vec![text(0, true, false), end, end, end]),
        append(0, vec![end]),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Tick(Stage::Shipper, 1),
        append(0, vec![end]),
        request(2, Fate::Answered),
        append(0, vec![end]),
        append(0, vec![end]),
        request(2, Fate::UnknownLate),
    ];
    check_without_open_files(Format::Cri, JSON, &steps);
}

/// The first life's part of a line stands behind a hole, and ended its section. The second joins it with the rest, behind which
/// lies a line of the other stream; the message with both is refused, what follows is stored, and it dies. What the first one
/// has there is not what is missing: the third went on behind all of it, without the rest of the line.
#[test]
fn a_hole_in_a_section_is_not_filled_by_a_part_that_an_earlier_life_ended_with() {
    let text = |len, is_stderr, is_partial| Text { len, is_stderr, is_partial };
    let append = |texts| NodeStep::World(1, Step::Append(texts, 0));
    let end = text(0, false, false);
    let steps = [
        append(vec![end]),
        NodeStep::Round([Stage::Tracker, Stage::Shipper, Stage::Reader, Stage::Discovery]),
        NodeStep::Round([Stage::Shipper, Stage::Reader, Stage::Discovery, Stage::Tracker]),
        append(vec![text(100, false, false), text(0, false, true)]),
        ROUND,
        NodeStep::Queue(Mode::Held),
        NodeStep::Tick(Stage::Shipper, 1),
        NodeStep::Wait(1_000_000_000),
        ROUND,
        request(1, Fate::Concluded),
        NodeStep::PowerCut(3, 0, false),
        NodeStep::Tick(Stage::Discovery, 1),
        append(vec![text(0, true, false), end]),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Tick(Stage::Shipper, 1),
        request(1, Fate::Answered),
        request(1, Fate::Rejected),
        request(1, Fate::Answered),
        NodeStep::Kill(0),
    ];
    check_without_open_files(Format::Cri, JSON, &steps);
}

#[test]
fn of_a_payload_that_is_taken_in_part_the_rest_is_sent_again() {
    let mut steps = vec![NodeStep::Queue(Mode::Held)];
    steps.extend([NodeStep::World(0, Step::Append(vec![LINE; 4], 0)), ROUND]);
    steps.extend([request(1, Fate::Answered), request(1, Fate::Rejected)]);
    steps.push(request(1, Fate::Answered));
    check(&steps);
    steps.push(NodeStep::Kill(0));
    check(&steps);
}

#[test]
fn what_stands_in_a_topic_made_anew_is_read_back_from_its_begin() {
    let mut steps = Vec::new();
    for _ in 0..3 {
        steps.extend(line());
        steps.extend([SECOND, ROUND, SECOND, ROUND, SECOND, ROUND]);
    }
    steps.extend([NodeStep::Kafka(KafkaStep::Delete), NodeStep::Kafka(KafkaStep::Create(0))]);
    steps.push(NodeStep::Queue(Mode::Held));
    // Stored far below the offset that is kept.
    steps.extend(line());
    steps.extend([request(1, Fate::Stored), NodeStep::Kill(0)]);
    check(&steps);
}

#[test]
fn an_offset_is_not_kept_before_a_checkpoint_has_what_is_below_it() {
    let full = sim::DiskFault::Fails(std::io::ErrorKind::StorageFull);
    let mut steps = one_line_known_and_one_on_its_way();
    steps.extend([NodeStep::Disk(0, full), request(1, Fate::Answered)]);
    for _ in 0..4 {
        // The tracker has no turn: nothing is in a checkpoint.
        steps.extend([SECOND, NodeStep::Tick(Stage::Shipper, 1)]);
    }
    steps.push(NodeStep::Kill(0));
    check(&steps);
}

#[test]
fn an_offset_is_not_kept_while_something_below_it_is_open() {
    let kafka = Some(KafkaSetting { encoding: Encoding::OtlpProto, is_shared: true });
    let mut steps = Vec::new();
    for stream in 0..2 {
        steps.extend([NodeStep::World(stream, Step::Append(vec![LINE], 0)), ROUND]);
    }
    for _ in 0..4 {
        steps.extend([SECOND, ROUND]);
    }
    steps.push(NodeStep::Queue(Mode::Held));
    for stream in 0..2 {
        steps.extend([NodeStep::World(stream, Step::Append(vec![LINE], 0)), ROUND]);
    }
    // Both are stored, and of one nobody hears.
    steps.extend([request(2, Fate::Stored), request(2, Fate::Stored)]);
    steps.push(NodeStep::Kafka(KafkaStep::HearLast));
    for _ in 0..4 {
        steps.extend([SECOND, ROUND]);
    }
    steps.push(NodeStep::Kill(0));
    run(Setting { kafka, ..Setting::new(Format::Plain, 2) }, &steps)
        .unwrap_or_else(|why| panic!("{why}"));
}

fn text(len: u16) -> Text {
    Text { len, ..LINE }
}

fn lines(lens: [u16; 3], cut: usize) -> NodeStep {
    NodeStep::World(0, Step::Append(lens.map(text).to_vec(), cut))
}

#[test]
fn what_stands_behind_a_hole_is_not_what_follows_in_a_file_that_was_cut() {
    let steps = [
        lines([15, 32, 49], 0),
        NodeStep::Round([Stage::Discovery, Stage::Shipper, Stage::Tracker, Stage::Reader]),
        NodeStep::Queue(Mode::Held),
        NodeStep::Tick(Stage::Shipper, 1),
        request(1, Fate::Rejected),
        ROUND,
        NodeStep::World(0, Step::Truncate),
        lines([39, 58, 0], 1),
        NodeStep::Stop,
    ];
    outcome(Encoding::Json, &steps).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn what_stands_behind_a_hole_is_not_what_follows_in_a_file_made_anew() {
    let steps = [
        ROUND,
        lines([18, 48, 0], 0),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::World(0, Step::Recreate),
        NodeStep::Queue(Mode::Breaks(0)),
        ROUND,
        request(1, Fate::Rejected),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::World(0, Step::AppendLate(vec![text(0)], 0)),
        lines([0, 32, 26], 0),
        NodeStep::Stop,
    ];
    outcome(Encoding::Json, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// What was divided between messages was acknowledged with the last of them, though the first was refused: its topic was gone.
#[test]
fn what_is_refused_of_a_section_that_was_divided_is_not_acknowledged_with_the_rest() {
    let steps = [
        NodeStep::World(0, Step::Append(vec![text(7394), text(0)], 0)),
        NodeStep::Kafka(KafkaStep::Limit(Some(4592))),
        ROUND,
        NodeStep::Tick(Stage::Shipper, 1),
        NodeStep::Queue(Mode::Held),
        NodeStep::Kafka(KafkaStep::Delete),
        ROUND,
        request(1, Fate::Answered),
    ];
    check_without_open_files(Format::Plain, KafkaSetting { is_shared: true, ..JSON }, &steps);
}

/// The first life's messages stand behind a hole; the second sends what the file holds since it was cut, and ends inside of what
/// the first one's have. The third went on where these end.
#[test]
fn what_begins_inside_of_what_a_later_life_sent_does_not_follow_on_that() {
    let steps = [
        NodeStep::Queue(Mode::Breaks(0)),
        NodeStep::World(0, Step::Append(vec![Text { len: 445, ..LINE }], 0)),
        ROUND,
        NodeStep::World(0, Step::Append(vec![text(0)], 0)),
        request(1, Fate::Rejected),
        NodeStep::World(0, Step::Truncate),
        request(1, Fate::Answered),
        NodeStep::World(0, Step::Append(vec![text(0), text(200)], 0)),
        NodeStep::KillInside(1, 1),
        ROUND,
        NodeStep::World(0, Step::Append(vec![text(0)], 0)),
        NodeStep::World(0, Step::Append(vec![text(0)], 0)),
        request(2, Fate::UnknownStored),
    ];
    check_without_open_files(Format::Cri, JSON, &steps);
}

/// The first life's section stands behind a hole; the second fills the hole, and sends the begin of that section anew, of what the
/// file holds by then. The third went on where the first one's ended: if the file had been cut, all of it came again, under
/// other cursors.
#[test]
fn what_begins_with_a_section_that_a_later_life_sent_in_part_does_not_follow_on_that() {
    let lines = || NodeStep::World(0, Step::Append(vec![text(5497), text(6708)], 0));
    let begin = [
        NodeStep::Queue(Mode::Held),
        NodeStep::World(0, Step::Reopen),
        NodeStep::Round([Stage::Tracker, Stage::Shipper, Stage::Reader, Stage::Discovery]),
        lines(),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Tick(Stage::Shipper, 1),
        request(2, Fate::Rejected),
        NodeStep::Kill(1),
    ];
    let end = [
        ROUND,
        request(2, Fate::Answered),
        NodeStep::Kafka(KafkaStep::Limit(Some(600))),
        request(1, Fate::Answered),
        ROUND,
        NodeStep::Kill(1),
    ];
    let kafka = KafkaSetting { encoding: Encoding::OtlpProto, is_shared: false };
    for cut in [vec![], vec![NodeStep::World(0, Step::Truncate), lines()]] {
        let steps = [&begin[..], &cut, &end].concat();
        check_without_open_files(Format::Cri, kafka, &steps);
    }
}

/// The check took the second for a double; with a line between them, too.
#[test]
fn a_gap_of_unknown_size_comes_again_with_its_topic_gone() {
    let line = NodeStep::World(1, Step::Append(vec![text(0)], 0));
    let mut steps = vec![
        line.clone(),
        ROUND,
        NodeStep::World(1, Step::Recreate),
        NodeStep::World(0, Step::Append(vec![text(0)], 0)),
        NodeStep::Kill(0),
        ROUND,
        NodeStep::Wait(5_000_000_000),
        NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Tracker, Stage::Shipper]),
        NodeStep::Kill(0),
        NodeStep::Kafka(KafkaStep::Delete),
    ];
    let kafka = KafkaSetting { encoding: Encoding::OtlpProto, is_shared: false };
    for format in [Format::Plain, Format::Cri] {
        check_without_open_files(format, kafka, &steps);
    }
    steps.push(line);
    for format in [Format::Plain, Format::Cri] {
        check_without_open_files(format, kafka, &steps);
    }
}
