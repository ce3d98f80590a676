//! Plan: what a schedule may do, and how its agent is configured. It follows from the seed.

use super::dice::Dice;

/// What happens to the files of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They are rotated, copied and compressed, and all that was written stays: nothing may be missing.
    Keeping,
    /// They are removed, cut and moved away too, read or unread.
    Losing,
    /// The disk that they are on loses its power, and what was not synced.
    Dark,
}

/// What the files of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Plain lines.
    Plain,
    /// A container's log in the kubelet's layout: CRI lines, some of them in two parts, and the kubelet's rotation.
    Container,
    /// Links to files that are elsewhere; rotation renames the links.
    Linked,
    /// Plain lines, between which the writer makes the file longer without writing.
    Holed,
}

/// What was chosen for one schedule.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// How long removed and rotated files are watched for late writes.
    pub(super) late_writes_ms: u64,
    /// How long the agent gathers before it reads: bytes are seen, and not read yet.
    pub(super) linger_ms: u64,
    /// Further files that are open, so that others are closed. The agent may have 16 open.
    pub(super) crowd: usize,
    /// Most descriptors of the agent's process.
    pub(super) descriptors: u64,
    /// Most memory of the agent's process; none for as much as there is.
    pub(super) memory_bytes: Option<u64>,
    pub(super) steps: u64,
    /// What the files of each stream that is rotated are.
    pub(super) forms: [Form; STREAMS],
    /// The queue is Kafka, and not the embedded one.
    pub(super) has_kafka: bool,
}

/// Streams that are rotated: two of each tenant.
pub(super) const STREAMS: usize = 4;
/// Files beside those, where descriptors are to be scarce: more than the agent may have open.
const CROWD: usize = 18;
/// Memory of a limited agent: twice what it has when it starts.
const MEMORY_BYTES: u64 = 32 << 20;

/// One of so many schedules has Kafka, unless `CHAOS_KAFKA` says something else. No multiple of 3, so that all
/// kinds have their turn.
const KAFKA_EVERY: u64 = 20;
/// What the dice for forms begin with beside the seed, so that they decide of nothing else.
const FORM_DICE: u64 = 0x5eed_f02e;

impl Plan {
    pub(super) fn of(seed: u64, dice: &mut Dice) -> Plan {
        let kind = [Kind::Keeping, Kind::Losing, Kind::Dark][(seed % 3) as usize];
        let is_losing = kind == Kind::Losing;
        // What is removed is closed before where descriptors are scarce.
        let is_crowded = dice.one_in(if is_losing { 2 } else { 4 });
        let mut form_dice = Dice(seed ^ FORM_DICE);
        // What a power cut leaves is compared with lines as they are.
        let mut form = || match form_dice.roll(8) {
            _ if kind == Kind::Dark => Form::Plain,
            0 | 1 => Form::Container,
            2 => Form::Linked,
            3 => Form::Holed,
            _ => Form::Plain,
        };
        Plan {
            kind,
            late_writes_ms: if dice.one_in(2) { 5000 } else { 400 },
            linger_ms: if is_losing && dice.one_in(2) { 300 } else { 50 },
            crowd: if is_crowded { CROWD } else { 0 },
            descriptors: 300 + dice.roll(1000),
            memory_bytes: dice.one_in(3).then_some(MEMORY_BYTES),
            steps: 10 + dice.roll(30),
            forms: std::array::from_fn(|_| form()),
            has_kafka: match std::env::var("CHAOS_KAFKA").as_deref() {
                Ok("all") => true,
                Ok("none") => false,
                _ => seed.is_multiple_of(KAFKA_EVERY),
            },
        }
    }

    /// Whether the agent may have few files open.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowd > 0
    }
}
