//! Pressure: whether a reader is short of CPU or of memory, and how far it goes then.
//!
//! Looked at once a second, from what the reader knows anyway: how long its ticks took, what is unread, and how
//! often memory was refused. Short of CPU is who worked nearly all the time while more became unread; it goes on to
//! larger batches and cheaper compression. Short of memory is who was refused more often than not; it reads less
//! at a time. Each goes up after two seconds in a row, and down after five calm ones.

use super::{Reader, TURNS_MAX};

/// How long is looked at, in nanoseconds.
const WINDOW_NS: u64 = 1_000_000_000;
/// Busy for more than so many hundredths of it is all that a reader can do.
const BUSY_MIN: u64 = 90;
/// Busy for less than so many hundredths of it has time to spare.
const CALM_MAX: u64 = 70;
/// Seconds in a row until it goes up.
const SHORT_WINDOWS: u32 = 2;
/// Seconds in a row until it goes down.
const CALM_WINDOWS: u32 = 5;
/// The last level.
const LEVEL_MAX: u8 = 2;
/// How long batches of quiet lanes are gathered for, where CPU is short, in nanoseconds. Those of tenants
/// that take no more than their share of the reader's time wait only until it pays for what they have read.
const GATHER_NS: u64 = 100_000_000;
/// Least that is read at a time where memory is short, in bytes; less if chunks are smaller.
const READ_BYTES_MIN: usize = 16 << 10;

/// What a second showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Short,
    Between,
    Calm,
}

/// How short something is.
#[derive(Debug, Default)]
struct Degree {
    level: u8,
    short: u32,
    calm: u32,
}

impl Degree {
    /// Takes note of a second; returns whether the level is another one now.
    fn note(&mut self, sight: Sight) -> bool {
        let before = self.level;
        self.short = if sight == Sight::Short { self.short + 1 } else { 0 };
        self.calm = if sight == Sight::Calm { self.calm + 1 } else { 0 };
        if self.short >= SHORT_WINDOWS {
            (self.level, self.short) = ((before + 1).min(LEVEL_MAX), 0);
        }
        if self.calm >= CALM_WINDOWS {
            (self.level, self.calm) = (before.saturating_sub(1), 0);
        }
        self.level != before
    }
}

/// What a reader knows of its pressure.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    cpu: Degree,
    memory: Degree,
    /// When the second began that is looked at.
    window_ns: u64,
    /// Of it, the reader worked for so long.
    busy_ns: u64,
    /// Bytes unread when it began.
    lag_bytes: u64,
    /// How often memory was asked for, and refused.
    asked: u32,
    refused: u32,
    /// When the last tick began, if there is more to do.
    busy_since_ns: Option<u64>,
    gathers_until_ns: u64,
}

impl Pressure {
    /// A tick ended that began then; `is_busy`: there is more to do.
    pub(super) fn ticked(&mut self, begin_ns: u64, is_busy: bool) {
        self.busy_since_ns = is_busy.then_some(begin_ns);
    }

    /// Memory was asked for.
    pub(super) fn asked(&mut self, is_refused: bool) {
        self.asked = self.asked.saturating_add(1);
        self.refused = self.refused.saturating_add(u32::from(is_refused));
    }

    /// How much is read at a time.
    pub(super) fn read_bytes(&self, chunk_bytes: usize) -> usize {
        (chunk_bytes >> self.memory.level).max(READ_BYTES_MIN.min(chunk_bytes))
    }

    /// Whether batches of quiet lanes are gathered on, to become larger.
    pub(super) fn gathers_on(&mut self, is_busy: bool, now_ns: u64) -> bool {
        if self.cpu.level == 0 || !is_busy {
            return false;
        }
        if now_ns < self.gathers_until_ns {
            return true;
        }
        self.gathers_until_ns = now_ns + GATHER_NS;
        false
    }

    pub(super) fn is_short_of_cpu(&self) -> bool {
        self.cpu.level > 0
    }

    /// Counts the last tick; returns whether a second is over.
    fn passed(&mut self, now_ns: u64) -> bool {
        if let Some(since_ns) = self.busy_since_ns.take() {
            self.busy_ns += now_ns.saturating_sub(since_ns);
        }
        now_ns >= self.window_ns + WINDOW_NS
    }

    /// A second is over, and so much is unread; returns whether the level of CPU and that of memory changed.
    fn look(&mut self, lag_bytes: u64, now_ns: u64) -> (bool, bool) {
        let passed_ns = now_ns - self.window_ns;
        let busy = self.busy_ns.saturating_mul(100) / passed_ns.max(1);
        let cpu = match () {
            () if busy < CALM_MAX => Sight::Calm,
            () if busy >= BUSY_MIN && lag_bytes > self.lag_bytes => Sight::Short,
            () => Sight::Between,
        };
        // A few refusals are how a budget is used to its end.
        let memory = match self.refused {
            0 => Sight::Calm,
            refused if refused as usize > TURNS_MAX && refused > self.asked / 2 => Sight::Short,
            _ => Sight::Between,
        };
        (self.window_ns, self.busy_ns, self.lag_bytes) = (now_ns, 0, lag_bytes);
        (self.asked, self.refused) = (0, 0);
        (self.cpu.note(cpu), self.memory.note(memory))
    }
}

impl Reader {
    /// Looks at the pressure if it is time, and does what its level says.
    pub(super) fn feel_pressure(&mut self, now_ns: u64) {
        if !self.pressure.passed(now_ns) {
            return;
        }
        let tenants = self.parts.meter.tenants();
        let lag_bytes = tenants.iter().map(|(_, it)| it.lag_bytes.get()).sum();
        let before = (self.pressure.cpu.level, self.pressure.memory.level);
        let (cpu_changed, memory_changed) = self.pressure.look(lag_bytes, now_ns);
        let reader = self.parts.first_id;
        if cpu_changed {
            let level = self.pressure.cpu.level;
            self.parts.meter.cpu_pressure.add(u64::from(level));
            self.parts.meter.cpu_pressure.sub(u64::from(before.0));
            self.packers.iter_mut().for_each(|it| it.ease(level));
            let does =
                ["as configured", "larger batches, cheaper compression", "cheapest compression"];
            let does = does[usize::from(level)];
            tracing::warn!(reader, level, does, lag_bytes, "pressure of CPU is another one");
        }
        if memory_changed {
            let level = self.pressure.memory.level;
            self.parts.meter.memory_pressure.add(u64::from(level));
            self.parts.meter.memory_pressure.sub(u64::from(before.1));
            let read_bytes = self.pressure.read_bytes(self.parts.chunk_bytes);
            tracing::warn!(reader, level, read_bytes, "pressure of memory is another one");
        }
    }

    /// The reader ends: its levels are counted no more.
    pub(super) fn forget_pressure(&self) {
        self.parts.meter.cpu_pressure.sub(u64::from(self.pressure.cpu.level));
        self.parts.meter.memory_pressure.sub(u64::from(self.pressure.memory.level));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_go_up_after_two_seconds_and_down_after_five() {
        let mut degree = Degree::default();
        let mut levels = |sight: Sight, seconds: usize| -> Vec<u8> {
            (0..seconds)
                .map(|_| {
                    degree.note(sight);
                    degree.level
                })
                .collect()
        };
        assert_eq!(levels(Sight::Short, 6), [0, 1, 1, 2, 2, 2]);
        assert_eq!(levels(Sight::Calm, 4), [2; 4]);
        assert_eq!(levels(Sight::Between, 1), [2], "calm is over before it counts");
        assert_eq!(levels(Sight::Calm, 11), [2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(levels(Sight::Short, 1), [0]);
        assert_eq!(levels(Sight::Between, 1), [0]);
        assert_eq!(levels(Sight::Short, 1), [0], "not in a row");
    }

    /// Seconds of ticks of which each tenth is idle after so many; returns the levels of CPU.
    fn run(pressure: &mut Pressure, busy_tenths: u64, lag: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut levels = Vec::new();
        let begin_ns = pressure.window_ns;
        for tenth in 1..=60 {
            let now_ns = begin_ns + tenth * (WINDOW_NS / 10);
            if pressure.passed(now_ns) {
                pressure.look(lag(tenth), now_ns);
                levels.push(pressure.cpu.level);
            }
            pressure.ticked(now_ns, tenth % 10 < busy_tenths);
        }
        levels
    }

    #[test]
    fn short_of_cpu_is_who_is_always_busy_while_more_becomes_unread() {
        let grows = |tenth: u64| tenth;
        assert_eq!(run(&mut Pressure::default(), 10, grows), [0, 1, 1, 2, 2, 2]);
        assert_eq!(run(&mut Pressure::default(), 8, grows), [0; 6], "it has time to spare");
        assert_eq!(run(&mut Pressure::default(), 10, |tenth| 100 - tenth), [0; 6], "it catches up");
        let mut pressure = Pressure::default();
        run(&mut pressure, 10, grows);
        assert_eq!(run(&mut pressure, 5, grows), [2, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn batches_are_gathered_for_a_tenth_of_a_second_and_only_under_pressure() {
        let mut pressure = Pressure::default();
        assert!(!pressure.gathers_on(true, 5));
        pressure.cpu.level = 1;
        assert!(!pressure.gathers_on(true, 5), "what waited goes first");
        assert!(pressure.gathers_on(true, 6));
        assert!(!pressure.gathers_on(false, 7), "who has time hands over at once");
        assert!(!pressure.gathers_on(true, 5 + GATHER_NS));
    }

    #[test]
    fn who_is_refused_memory_more_often_than_not_reads_less_at_a_time() {
        let mut pressure = Pressure::default();
        let mut second = |refusals: u32, asked: u32| {
            (0..asked).for_each(|number| pressure.asked(number < refusals));
            pressure.look(0, pressure.window_ns + WINDOW_NS);
            pressure.read_bytes(256 << 10)
        };
        assert_eq!([second(60, 100), second(60, 100)], [256 << 10, 128 << 10]);
        assert_eq!([second(40, 100), second(9, 10)], [128 << 10; 2], "that is how it is used up");
        assert_eq!([second(60, 100), second(60, 100)], [128 << 10, 64 << 10]);
        let calm: Vec<usize> = (0..10).map(|_| second(0, 100)).collect();
        assert_eq!((calm[3], calm[4], calm[9]), (64 << 10, 128 << 10, 256 << 10));
        pressure.memory.level = 2;
        assert_eq!(
            [pressure.read_bytes(4 << 10), pressure.read_bytes(32 << 10)],
            [4 << 10, 16 << 10]
        );
    }
}
