//! Schedule: random steps of writers, rotators, people and failures, and the check at the end.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::check::compare;
use super::destroy::LOOKS;
use super::dice::Dice;
use super::node::Node;
use super::plan::{Form, Kind, Plan, STREAMS};
use super::stream::{Stream, TENANTS};
use super::{Totals, count, sleep_ms, wait_for};
use crate::kit::{body, wait_until};

/// A schedule being run.
pub(super) struct Schedule<'a> {
    pub(super) totals: &'a Totals,
    pub(super) node: Node,
    pub(super) dice: Dice,
    /// Those that are rotated, then the crowd.
    pub(super) streams: Vec<Stream>,
    /// Nothing disturbs the agent any more: what it has seen it still knows.
    pub(super) is_calm: bool,
    /// What was done, for who has to find out.
    pub(super) story: Vec<String>,
}

impl Schedule<'_> {
    pub(super) fn new(seed: u64, totals: &Totals) -> Schedule<'_> {
        let mut dice = Dice(seed);
        let plan = Plan::of(seed, &mut dice);
        totals.limited.fetch_add(u64::from(plan.memory_bytes.is_some()), Ordering::Relaxed);
        let late_writes_ns = plan.late_writes_ms * 1_000_000;
        let count = STREAMS + plan.crowd;
        totals.with_kafka.fetch_add(u64::from(plan.has_kafka), Ordering::Relaxed);
        let node = Node::new(seed, plan);
        let stream = |number| {
            let is_dated = number < STREAMS && dice.one_in(3);
            let form = node.plan.forms.get(number).copied().unwrap_or(Form::Plain);
            let mut stream = Stream::new(&node.bed, number, form, late_writes_ns);
            stream.writes_parts &= node.plan.kind != Kind::Dark;
            stream.is_copied = node.plan.kind != Kind::Dark && dice.one_in(3);
            // The kubelet does not copy, and a copy may have no holes.
            stream.is_copied &= matches!(form, Form::Plain | Form::Linked);
            stream.is_dated |= is_dated;
            stream
        };
        let streams = (0..count).map(stream).collect();
        Schedule { totals, node, dice, streams, is_calm: false, story: Vec::new() }
    }

    pub(super) fn run(&mut self) {
        self.story.push(format!("{:?}", self.node.plan));
        let steps = self.node.plan.steps;
        for step in 0..steps {
            if self.node.plan.kind == Kind::Losing && step * 2 >= steps && !self.is_calm {
                self.calm_down();
            }
            let number = self.dice.index(STREAMS);
            let life = self.node.life();
            self.streams.iter_mut().for_each(|it| it.life = life);
            let what = self.step(number);
            let state = &self.streams[number];
            self.story
                .push(format!("{number} {what}: line {}, content {}", state.lines, state.into));
            if self.is_calm || self.dice.one_in(2) {
                self.node.running();
            }
        }
        for stream in &mut self.streams[..STREAMS] {
            stream.finish_line();
            if self.node.plan.kind != Kind::Keeping {
                // What was begun in a file that is gone is read once its writer has moved on.
                stream.reopen();
                stream.write(&mut self.dice, 1);
                stream.finish_line();
            }
        }
        self.streams.iter_mut().for_each(Stream::finish_line);
    }

    /// From now on the agent lives on; it has looked into the files that are written to.
    fn calm_down(&mut self) {
        self.is_calm = true;
        self.node.wait_ready();
        for stream in &mut self.streams[..STREAMS] {
            stream.write(&mut self.dice, 1);
            stream.finish_line();
        }
        if (0..LOOKS).any(|_| self.node.has_read_all()) {
            let life = self.node.life();
            self.streams[..STREAMS].iter_mut().for_each(|it| it.truth[it.into].known_in = life);
        }
    }

    fn step(&mut self, number: usize) -> &'static str {
        if let Some(topics) = self.node.topics
            && self.dice.one_in(6)
        {
            count(&self.totals.strikes);
            return topics.strike(&mut self.dice);
        }
        match self.dice.roll(40) {
            0..14 => {
                self.streams[number].write(&mut self.dice, 60);
                if self.streams[number].form == Form::Holed {
                    self.streams[number].dig(&mut self.dice);
                }
                self.crowd_writes();
                "writes"
            }
            14..26 => self.rotate(number),
            26..30 => {
                sleep_ms(self.dice.roll(40));
                "has time"
            }
            30 => {
                sleep_ms(self.dice.roll(400));
                "has much time"
            }
            31 => {
                self.node.pause(30);
                "is stopped for 30 ms"
            }
            32 => {
                self.node.disk.fill();
                sleep_ms(self.dice.roll(60));
                self.node.disk.free();
                "has a full disk"
            }
            _ if self.is_calm => {
                self.streams[number].write(&mut self.dice, 10);
                "writes a little"
            }
            33..36 => {
                self.totals.kills.fetch_add(u64::from(self.node.kill()), Ordering::Relaxed);
                "is killed"
            }
            36 => {
                self.node.terminate();
                "is asked to end"
            }
            37 => {
                self.node.reload();
                "is configured anew"
            }
            38 if self.node.plan.kind == Kind::Dark => {
                self.cut_power_of_logs();
                "has no power at all"
            }
            _ => {
                let milliseconds = self.dice.roll(20);
                self.node.cut_power(milliseconds);
                count(&self.totals.power_cuts);
                "has no power"
            }
        }
    }

    fn crowd_writes(&mut self) {
        for stream in &mut self.streams[STREAMS..] {
            if self.dice.one_in(3) {
                stream.write(&mut self.dice, 1);
            }
        }
    }

    /// Something that is done to the files of a stream.
    fn rotate(&mut self, number: usize) -> &'static str {
        let kind = self.node.plan.kind;
        if kind == Kind::Losing && self.dice.one_in(2) {
            return self.destroy(number);
        }
        let stream = &mut self.streams[number];
        match self.dice.roll(8) {
            0..5 if stream.is_copied => {
                stream.copy_and_cut(|_| ());
                "is copied and cut"
            }
            0 if stream.form == Form::Container => {
                stream.rename_back();
                "has its name back"
            }
            0 | 1 => {
                stream.rotate();
                "is rotated"
            }
            2 => {
                stream.reopen();
                "reopens"
            }
            3 => {
                stream.rotate_and_reopen(2000);
                "is rotated if it is large, and reopens"
            }
            4 if stream.is_dated => {
                stream.rotate_as_kubelet();
                "is rotated as the kubelet does"
            }
            5 | 6 if kind == Kind::Dark => {
                stream.sync();
                "is synced"
            }
            5 | 6 => {
                stream.compress(&mut self.dice, 0);
                "is compressed"
            }
            _ => {
                // `delaycompress`: the newest has to wait.
                stream.compress(&mut self.dice, 1);
                "is compressed late"
            }
        }
    }

    /// The whole machine loses its power: agent and writers die, and both disks forget what was not synced.
    fn cut_power_of_logs(&mut self) {
        count(&self.totals.power_cuts_of_logs);
        let logs = self.node.logs.as_mut().expect("has a disk for logs");
        logs.cut_power();
        self.node.cut_power(0);
        self.streams.iter_mut().for_each(Stream::lose_power);
        self.node.logs.as_mut().expect("has a disk for logs").mount_again();
        self.streams.iter_mut().for_each(|it| it.find_power(&mut self.dice));
    }

    /// Waits until the queues hold all that is still in files, and compares.
    pub(super) fn check(&mut self) {
        self.node.running();
        let kept: HashSet<&str> = self.streams.iter().flat_map(kept_lines).collect();
        wait_for("all lines in the queues", || {
            if !self.node.has_read_all() {
                return Err("something is unread".to_owned());
            }
            let records = self.node.records();
            let bodies: HashSet<String> = records.values().flatten().map(body).collect();
            match kept.iter().filter(|it| !bodies.contains(**it)).count() {
                0 => Ok(()),
                missing => Err(format!("{missing} missing")),
            }
        });
        let life = self.node.life();
        self.node.stop();
        if self.dice.one_in(8) {
            // Another agent finds nothing that is new.
            self.node.wait_ready();
            wait_until("nothing unread", || self.node.has_read_all(), |it| *it);
            sleep_ms(300);
            self.node.stop();
        }
        self.compare(life);
    }

    fn compare(&self, life: Option<super::truth::Life>) {
        let records = self.node.records();
        let none: Vec<Value> = Vec::new();
        for stream in &self.streams {
            let path = stream.live.to_string_lossy().into_owned();
            let records = records.get(&path).unwrap_or(&none);
            match compare(stream, records, life, self.node.topics.is_some()) {
                Ok(outcome) => self.totals.count(outcome),
                Err(why) => panic!("{why}"),
            }
            self.totals.lines.fetch_add(stream.lines, Ordering::Relaxed);
        }
        assert!(records.len() <= self.streams.len(), "records of other files");
        for tenant in TENANTS {
            let audit = self.node.audit(tenant);
            let report = audit.json();
            assert_eq!((audit.code, &report["clean"]), (Some(0), &true.into()), "{report:#}");
        }
    }

    /// Says all that is known of a schedule that failed, and leaves nothing running.
    pub(super) fn tell(&mut self, seed: u64) {
        let mut said =
            format!("CHAOS_SEED={seed} CHAOS_SCHEDULES=1 failed after {:#?}\n", self.story);
        for (path, records) in self.node.records() {
            said += &format!("{path}:");
            for record in records {
                let gap = record["log.gap.reason"].as_str();
                let text: String =
                    body(&record).chars().take(if gap.is_some() { 200 } else { 14 }).collect();
                said += &format!(" [{}@{}]", text.trim_end_matches('x'), record["log.cursor"]);
            }
            said += "\n";
        }
        for stream in &self.streams[..STREAMS] {
            said += &format!("{}\n", stream.live.display());
            for (index, content) in stream.truth.iter().enumerate() {
                let (first, last) = (content.lines.first(), content.lines.last());
                let lines = (first.map(|it| it.number), last.map(|it| (it.number, it.is_torn)));
                said += &format!(
                    "  {index}: {} bytes, {} kept, cut {}, copied {}, removed {}, rest of {:?}, lines {lines:?}, {:?}\n",
                    content.bytes,
                    content.kept_bytes(),
                    content.was_cut,
                    content.was_copied,
                    content.was_removed,
                    content.rest_of,
                    content.owed,
                );
            }
        }
        said += &self.node.said();
        eprintln!("{said}");
        // Before the folder goes, which it writes to.
        self.node.kill();
    }
}

/// The lines of a stream that some file has at the end.
fn kept_lines(stream: &Stream) -> impl Iterator<Item = &str> {
    stream.truth.iter().flat_map(|content| {
        let kept = content.kept_bytes();
        let lines = content.lines.iter().filter(|line| !line.is_hole);
        lines.filter(move |line| line.end <= kept).map(|line| line.text.as_str())
    })
}
