//! Tenants: schedules of a node where one tenant floods, one has a sink that stalls, and one is misconfigured;
//! what the others get is held against their shares ([`shares`]), what is limited against its rate ([`rates`]) and what waits for that ([`waits`]), and
//! what is in use against its budget ([`ledger`]).

use std::sync::Arc;

use pipeline::frame::Format;
use pipeline::limits::{AtLimit, LogConfigLimits, Rates};
use proptest::prelude::*;
use sim::Mode;

use crate::actor::{Actor, Text};
use crate::bed::{FLUSH_NS, LATE_NS};
use crate::node::{Node, NodeSpool, Plan, Stage, Truth, directory};
use crate::node_schedule::{NodeStep, act, lift_faults};
use crate::schedule::{Step, config};

mod contest;
mod holds;
mod ledger;
mod rates;
mod regressions;
mod settings;
mod shares;
mod spooled;
mod waits;
use contest::Stretch;
use rates::RateGauge;
use settings::{setting, tenant_step};
use shares::Shares;
use spooled::{SpoolStep, spooled, spooled_step};
use waits::Waits;

/// Whose streams there are: two victims, one that floods from two files, one whose sink stalls, and one that is
/// misconfigured.
const TENANTS: [&str; 5] = ["victim", "other-victim", "flood", "stall", "misconfigured"];
/// By stream, its tenant.
const OWNERS: [usize; 6] = [0, 1, 2, 2, 3, 4];
const VICTIMS: [usize; 2] = [0, 1];
const FLOODS: [usize; 2] = [2, 3];
const STALLED: usize = 4;
const MISCONFIGURED: usize = 5;
/// By stream, its sink.
const SINKS: [usize; 6] = [0, 0, 0, 0, 1, 2];
/// The sink that can be absent.
const ABSENT: usize = 2;

/// Lines that each victim writes beside the others at the end, one after the other.
const LINES_BESIDE: usize = 5;
/// How long a round of all stages takes there, in nanoseconds.
const ROUND_NS: u64 = 1_000_000;
/// Rounds in which what a victim has to read is delivered beside the others, however much that is.
const BACKLOG_ROUNDS: usize = 2_000;
/// Times that sleepers are woken before anything more is delivered: a sink that stays away is tried again every few
/// milliseconds, beside a stream that may bring some hundred bytes a second.
const WAKINGS_MAX: usize = 20_000;

/// A node of several tenants before anything happens.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    format: Format,
    plan: Plan,
    /// What the sink that stalls does while the others are judged.
    stalls: Mode,
    /// Afterwards nobody has a limit, and all are read by their shares.
    contest: Vec<Stretch>,
}

/// One thing that happens to it.
#[derive(Debug, Clone)]
pub(crate) enum TenantStep {
    Node(NodeStep),
    /// More is written than is read.
    Flood(usize),
    /// Everybody writes a little, in so many rounds that are so far apart: who is limited waits again and again.
    Trickle {
        lines: usize,
        rounds: usize,
        apart_ns: u64,
    },
    /// A sink behaves so from now on.
    Sink(usize, Mode),
    /// A sink makes so many payloads safe, and says so.
    Settle(usize, usize),
    /// The first sink takes nothing of this tenant; none: it takes everything.
    Refuse(Option<usize>),
    /// A reload: one sink cannot be opened, or can again.
    Absent(bool),
    /// A reload: a LogConfig has limits that are far too low, or its own again.
    Worse(bool),
    /// Something happens to the spool of a sink.
    Spool(usize, SpoolStep),
}

/// What must hold, looked at after each step.
#[derive(Debug)]
struct Oracle {
    shares: Shares,
    rates: RateGauge,
    waits: Waits,
}

impl Oracle {
    fn new(node: &Node) -> Oracle {
        Oracle { shares: Shares::new(&node.plan), rates: RateGauge::default(), waits: Waits::new() }
    }

    fn look(&mut self, node: &mut Node) -> Result<(), String> {
        node.look()?;
        self.rates.look(node)?;
        ledger::look(node)?;
        holds::look(node)?;
        for tick in node.watch.take() {
            self.shares.look(node, &tick)?;
            self.waits.look(node, &tick)?;
            ledger::look_at_tick(node, &tick)?;
            holds::look_at_tick(node, &tick)?;
        }
        Ok(())
    }
}

/// Does the steps, looks at what must hold after each, then judges the victims beside the others, and everybody
/// once nothing fails any more.
pub(crate) fn run(setting: &Setting, steps: &[TenantStep]) -> Result<(), String> {
    run_on(setting, steps).map_err(|why| format!("{why}\n  with {setting:?} after {steps:?}"))
}

fn run_on(setting: &Setting, steps: &[TenantStep]) -> Result<(), String> {
    let mut node = Node::new(setting.format, setting.plan.clone(), None);
    node.watch.is_on = true;
    let mut actors: Vec<Actor> = (0..OWNERS.len())
        .map(|it| Actor::new_in(&directory(it), node.worlds[it].clone(), setting.format))
        .collect();
    let mut oracle = Oracle::new(&node);
    for step in steps {
        if let TenantStep::Trickle { lines, rounds, apart_ns } = step {
            trickle(&mut node, &mut actors, &mut oracle, (*lines, *rounds, *apart_ns))?;
        }
        act_on(&mut node, &mut actors, setting, step);
        oracle.look(&mut node)?;
    }
    contest::run(&mut node, &mut actors, &mut oracle, &setting.contest)?;
    beside(&mut node, &mut actors, &mut oracle, setting)?;
    // Everybody but the one whose sink stays away. A reader that is asked for reports never rests.
    node.watch.is_on = false;
    node.stop();
    node.plan = setting.plan.clone();
    node.worlds.iter().for_each(lift_faults);
    node.queues[0].refuse(None);
    node.queues[1].set_mode(setting.stalls);
    deliver(&mut node, &mut oracle, Some(STALLED))?;
    for stream in (0..OWNERS.len()).filter(|it| *it != STALLED) {
        node.check_stream(stream, &Truth::Bytes).map_err(|why| format!("I7: {why}"))?;
    }
    node.lift_faults();
    deliver(&mut node, &mut oracle, None)?;
    holds::finish(&node)?;
    spooled::finish(&node)?;
    ledger::finish(&node)
}

fn act_on(node: &mut Node, actors: &mut [Actor], setting: &Setting, step: &TenantStep) {
    match step {
        TenantStep::Node(NodeStep::World(stream, step)) => {
            let step = whole(&setting.plan, *stream, step.clone());
            act(node, actors, &NodeStep::World(*stream, step));
        }
        TenantStep::Node(step) => act(node, actors, step),
        TenantStep::Flood(lines) => flood(actors, *lines),
        // Looked at in each of its rounds.
        TenantStep::Trickle { .. } => {}
        TenantStep::Sink(number, mode) => node.queues[*number].set_mode(*mode),
        TenantStep::Settle(number, payloads) => node.settle_sink(*number, *payloads),
        TenantStep::Refuse(tenant) => node.queues[0].refuse(tenant.map(|it| TENANTS[it])),
        TenantStep::Absent(is_on) => {
            reload(node, |plan| plan.absent = is_on.then_some(ABSENT));
        }
        TenantStep::Spool(sink, step) => spooled::act(node, *sink, step),
        TenantStep::Worse(is_on) => {
            let config = log_config(MISCONFIGURED);
            let own = setting.plan.limits.log_configs[&config];
            let low = Rates {
                bytes_per_second: Some(1_000),
                records_per_second: None,
                burst_ns: FLUSH_NS,
            };
            let worse = LogConfigLimits { rates: low, per_container: low };
            let limits = if *is_on { worse } else { own };
            reload(node, |plan| {
                plan.limits.log_configs.insert(config, limits);
            });
        }
    }
}

/// Another plan takes the place of the one that runs.
fn reload(node: &mut Node, change: impl FnOnce(&mut Plan)) {
    node.queues[0].refuse(None);
    node.stop();
    change(&mut node.plan);
}

/// Where records may be passed over, none begins in one read and ends in another.
fn whole(plan: &Plan, stream: usize, step: Step) -> Step {
    let tenant = &plan.streams[stream].tenant;
    let is_whole = plan.limits.tenants[tenant].at_limit != AtLimit::Delay;
    match step {
        Step::Append(texts, _) if is_whole => Step::Append(texts, 0),
        Step::AppendLate(texts, _) if is_whole => Step::AppendLate(texts, 0),
        step => step,
    }
}

fn flood(actors: &mut [Actor], lines: usize) {
    let text = Text { len: 90, is_stderr: false, is_partial: false };
    for stream in FLOODS {
        actors[stream].step(&Step::Append(vec![text; lines], 0));
    }
}

fn trickle(
    node: &mut Node,
    actors: &mut [Actor],
    oracle: &mut Oracle,
    (lines, rounds, apart_ns): (usize, usize, u64),
) -> Result<(), String> {
    let text = Text { len: 60, is_stderr: false, is_partial: false };
    for round in 0..rounds {
        // Not all at once: who writes while it waits has more to wait for.
        let writers = actors.iter_mut().enumerate().filter(|(it, _)| (it + round) % 2 == 0);
        for (_, actor) in writers {
            actor.step(&Step::Append(vec![text; lines], 0));
        }
        (0..node.queues.len()).for_each(|it| node.settle_all(it));
        for stage in [Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker] {
            node.tick(stage);
            oracle.look(node)?;
        }
        node.worlds[0].clock().advance(apart_ns);
    }
    Ok(())
}

/// I6: while one tenant floods, one's sink stalls and one cannot be read, a victim that nothing limits is delivered
/// within its share.
fn beside(
    node: &mut Node,
    actors: &mut [Actor],
    oracle: &mut Oracle,
    setting: &Setting,
) -> Result<(), String> {
    node.disk.revive();
    // One that cannot be opened keeps a plane from starting here.
    node.spools.iter().for_each(NodeSpool::lift_faults);
    node.queues[0].refuse(None);
    node.queues[0].set_mode(Mode::Safe);
    node.queues[1].set_mode(setting.stalls);
    VICTIMS.iter().for_each(|it| lift_faults(&node.worlds[*it]));
    node.worlds[MISCONFIGURED].refuse_opens(Some(std::io::ErrorKind::PermissionDenied));
    let is_free = |it: &usize| setting.plan.limits_of(*it).iter().all(|rates| !rates.is_limit());
    let free: Vec<usize> = VICTIMS.into_iter().filter(is_free).collect();
    if free.is_empty() {
        return Ok(());
    }
    let text = Text { len: 50, is_stderr: false, is_partial: false };
    for number in 0..=LINES_BESIDE {
        flood(actors, 30);
        for victim in &free {
            actors[*victim].step(&Step::Reopen);
            actors[*victim].step(&Step::Append(vec![text], 0));
        }
        let begin = node.watch.turns.len();
        node.tick(Stage::Discovery);
        let mut rounds = 0;
        while rounds < 3 || free.iter().any(|it| !node.is_delivered(*it) || node.is_owed(*it)) {
            round(node, oracle)?;
            let is_backlog = number == 0;
            // What was there before takes as long as it takes.
            let mut rounds_max =
                if is_backlog { BACKLOG_ROUNDS } else { oracle.shares.rounds_max(&free) };
            if node.meter.cpu_pressure.get() > 0 {
                rounds_max += oracle.shares.rounds_gathered(&free);
            }
            if rounds > rounds_max {
                let turns = node.watch.turns.len() - begin;
                let spools = node.spools_told();
                return Err(format!(
                    "I6: not delivered after {rounds} rounds, {turns} turns{spools}"
                ));
            }
            if is_backlog && rounds % 16 == 15 {
                node.worlds[0].clock().advance(FLUSH_NS);
                node.tick(Stage::Discovery);
            }
            rounds += 1;
        }
    }
    Ok(())
}

/// All stages have a turn, and the first sink acknowledges.
fn round(node: &mut Node, oracle: &mut Oracle) -> Result<(), String> {
    node.settle_all(0);
    node.sync_spools();
    for stage in [Stage::Reader, Stage::Shipper, Stage::Tracker] {
        node.tick(stage);
        oracle.look(node)?;
    }
    node.worlds[0].clock().advance(ROUND_NS);
    Ok(())
}

/// I7: everything is delivered in bounded time, but of the stream whose sink is stuck.
fn deliver(node: &mut Node, oracle: &mut Oracle, stuck: Option<usize>) -> Result<(), String> {
    let generations = node.worlds.iter().map(|it| it.files().len()).max().unwrap_or(0);
    let clock = node.worlds[0].clock();
    for _ in 0..generations + 6 {
        node.tick(Stage::Discovery);
        let (mut wakings, mut accounted) = (0, 0);
        loop {
            wakings += 1;
            let mut is_busy = false;
            for number in (0..node.queues.len()).filter(|it| stuck.is_none() || *it != 1) {
                node.settle_all(number);
            }
            node.sync_spools();
            for stage in [Stage::Reader, Stage::Shipper, Stage::Tracker] {
                is_busy |= node.tick(stage);
                oracle.look(node)?;
            }
            let is_done = |it: usize| node.is_delivered(it) && !node.is_owed(it);
            if !is_busy && (0..OWNERS.len()).all(|it| Some(it) == stuck || is_done(it)) {
                break;
            }
            let tenants = node.meter.tenants();
            let before = accounted;
            accounted = tenants.iter().map(|(_, it)| it.accounted_bytes()).sum();
            accounted += node.spools.iter().map(NodeSpool::drained).sum::<u64>();
            if accounted > before {
                wakings = 0;
            }
            if wakings > WAKINGS_MAX {
                let open = |it: &usize| Some(*it) != stuck && !is_done(*it);
                let open: Vec<usize> = (0..OWNERS.len()).filter(open).collect();
                let spools = node.spools_told();
                return Err(format!(
                    "I7: the node never rests: busy {is_busy}, streams {open:?}{spools}"
                ));
            }
            let due_ns = node.due_ns().unwrap_or(u64::MAX);
            let wait_ns = due_ns.saturating_sub(clock.now_ns());
            if !is_busy && wait_ns > LATE_NS {
                break;
            }
            clock.advance(wait_ns.max(1_000));
        }
        clock.advance(LATE_NS + FLUSH_NS);
    }
    Ok(())
}

fn log_config(stream: usize) -> Arc<str> {
    Arc::from(format!("{}-logs", TENANTS[OWNERS[stream]]))
}

proptest! {
    // One of these takes as long as several others.
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(6), ..config() })]

    #[test]
    fn tenants_that_flood_stall_and_misconfigure_take_nothing_from_others(
        setting in setting(),
        steps in prop::collection::vec(tenant_step(), 1..60),
    ) {
        run(&setting, &steps).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    // Spools have real files, which take longer still.
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(8), ..config() })]

    #[test]
    fn tenants_with_spools_lose_and_double_nothing_and_take_nothing_from_others(
        setting in spooled(),
        steps in prop::collection::vec(spooled_step(), 1..80),
    ) {
        run(&setting, &steps).map_err(TestCaseError::fail)?;
    }
}
