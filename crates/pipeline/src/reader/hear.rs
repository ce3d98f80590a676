//! Hear: takes what discovery tells, and bills it to the tenant that it is about.

use std::path::PathBuf;

use flow::ContextId;

use super::rest::Seat;
use super::starting::News;
use super::turn::next_tick;
use super::{Command, Reader, TURNS_MAX};
use crate::schedule::LaneIndex;

/// Commands in one go: a bound, so that files are read while a scan of very many goes on.
const COMMANDS_MAX: usize = 64;

impl Reader {
    /// Takes commands, and begins sources that wait for it; returns whether there was anything to do.
    pub(super) fn take_commands(&mut self, now_ns: u64) -> bool {
        let mut now_ns = now_ns;
        let mut worked = false;
        for _ in 0..COMMANDS_MAX {
            if self.starting.is_full() {
                break;
            }
            let Ok(command) = self.parts.commands.try_recv() else { break };
            worked = true;
            now_ns = self.take(command, now_ns);
        }
        for _ in 0..TURNS_MAX {
            let Some(news) = self.next_to_begin() else { break };
            worked = true;
            now_ns = self.begin(news, now_ns);
        }
        worked
    }

    /// Takes one command; returns the time now.
    fn take(&mut self, command: Command, now_ns: u64) -> u64 {
        let mut now_ns = now_ns;
        let context = match &command {
            Command::Look { spec, .. } => spec.context.id,
            Command::Poke { context, .. } | Command::Missed(context) => *context,
            Command::Report(sender) => {
                // The asker may have gone; then nobody misses the answer.
                drop(sender.try_send(self.report()));
                return now_ns;
            }
        };
        // What was told first is first to be known.
        if let Some(news) = self.starting.take(context) {
            now_ns = self.begin(news, now_ns);
        }
        match command {
            Command::Look { spec, files, seen_ns, initial: Some(initial), .. }
                if !self.by_context.contains_key(&context) =>
            {
                let lane = self.lane_for(&spec);
                self.starting.put(lane, News { spec, files, seen_ns, _initial: initial });
            }
            Command::Look { spec, files, seen_ns, opened, initial } => {
                self.look(spec, &files, seen_ns, initial.is_some(), now_ns);
                self.adopt(context, opened);
            }
            Command::Poke { path, .. } => self.poke(context, path, now_ns),
            Command::Missed(_) => self.missed(context),
            Command::Report(_) => {}
        }
        self.bill_news(context, now_ns)
    }

    /// Begins a source of the first scan; returns the time now.
    pub(super) fn begin(&mut self, news: News, now_ns: u64) -> u64 {
        let context = news.spec.context.id;
        self.look(news.spec, &news.files, news.seen_ns, true, now_ns);
        self.bill_news(context, now_ns)
    }

    /// Bills the time since `begin_ns` to the context's tenant, if it is one that is read; returns the time now.
    fn bill_news(&mut self, context: ContextId, begin_ns: u64) -> u64 {
        let now_ns = self.parts.clock.monotonic_ns();
        if let Some(lane) = self.lane_of(context) {
            self.schedule.spent(lane, now_ns.saturating_sub(begin_ns));
        }
        now_ns
    }

    fn lane_of(&self, context: ContextId) -> Option<LaneIndex> {
        match self.by_context.get(&context)? {
            Seat::Awake(index) => self.slots[*index].as_ref().map(|slot| slot.lane),
            Seat::Resting(rested) => Some(rested.lane()),
        }
    }

    fn poke(&mut self, context: ContextId, path: PathBuf, now_ns: u64) {
        let Some(index) = self.awake_or_ask(context, path, now_ns) else { return };
        let Some(slot) = &mut self.slots[index] else { return };
        slot.source.note_written();
        if slot.is_ready {
            slot.source.note_growth();
            return self.look_at_room(index);
        }
        if slot.due_ns.is_none() {
            slot.source.seen_ns = now_ns;
        }
        let due_ns = next_tick(now_ns, slot.source.spec.options.linger_ns);
        self.wake_at(index, due_ns);
    }
}
