//! Destroy: what takes bytes of a stream from the agent, and what it had seen of them before.

use std::path::Path;

use flow::HEAD_BYTES_MAX;

use super::plan::{Form, STREAMS};
use super::schedule::Schedule;
use super::truth::Owed;
use super::{count, now_ns, sleep_ms};

/// How often the agent is asked what it has seen, before a file is destroyed.
pub(super) const LOOKS: u32 = 10;
/// Pause in between, in milliseconds.
const LOOK_MS: u64 = 15;

impl Schedule<'_> {
    /// Something that destroys files of a stream, or parts of them.
    pub(super) fn destroy(&mut self, number: usize) -> &'static str {
        count(&self.totals.destroyed);
        let live = self.streams[number].live.clone();
        let elsewhere = format!("{number}-{}", self.story.len());
        let (near, far) = (
            self.node.bed.log("old").join(&elsewhere),
            self.node.bed.path("elsewhere").join(&elsewhere),
        );
        if self.dice.one_in(2) {
            // In part, so that it is seen and cannot be read yet.
            self.streams[number].write(&mut self.dice, 5);
        }
        if self.is_calm && self.node.plan.is_crowded() && self.dice.one_in(2) {
            self.close_unread(number);
            self.streams[number].remove_live();
            return "is closed, and removed";
        }
        if let Some(content) = self.streams[number].named {
            self.note_seen(number, &live, content);
        }
        let (stream, dice) = (&mut self.streams[number], &mut self.dice);
        match dice.roll(8) {
            0..2 if !stream.rotated.is_empty() => {
                let index = dice.index(stream.rotated.len());
                let file = stream.rotated[index].clone();
                self.note_seen(number, &file.path, file.content);
                self.streams[number].remove_rotated(index);
                "loses a rotated file"
            }
            2 if stream.form == Form::Linked => {
                stream.lead_elsewhere();
                "leads elsewhere"
            }
            2 => {
                stream.move_away(&near);
                "is moved away"
            }
            3 => {
                stream.move_across(&far);
                "is moved to another disk"
            }
            4 if stream.is_copied => {
                // At times it is read before the cut: not if the agent may die before it has looked at the copy, which
                // nobody can know again then.
                let pause_ms = dice.roll(2) * dice.roll(200);
                // Nor below a KiB, by which a copy is known.
                let is_known = stream.live_bytes() >= HEAD_BYTES_MAX as u64;
                stream.copy_and_cut(|stream| {
                    if !is_known {
                        return;
                    }
                    stream.write(dice, 5);
                    sleep_ms(if self.is_calm { pause_ms } else { 0 });
                });
                "is copied, written to and cut"
            }
            4..7 => {
                stream.cut();
                "is cut"
            }
            _ => {
                stream.remove_live();
                if dice.one_in(2) {
                    stream.write(dice, 5);
                    sleep_ms(dice.roll(350));
                    stream.write(dice, 5);
                }
                "is removed"
            }
        }
    }

    /// Before a file is destroyed: what the agent has seen of it, it owes.
    fn note_seen(&mut self, number: usize, path: &Path, content: usize) {
        let now_ns = now_ns();
        let stream = &mut self.streams[number];
        let is_live = stream.named == Some(content);
        let truth = &mut stream.truth[content];
        // In another life it may have read the beginning, and have to look at it again.
        if stream.life.is_none() || truth.known_in != stream.life {
            return;
        }
        let has_seen = |_| {
            let is_all = self.node.seen(&stream.context, path) == Some(truth.bytes);
            sleep_ms(if is_all { 0 } else { LOOK_MS });
            is_all
        };
        if (0..LOOKS).any(has_seen) {
            count(&self.totals.seen);
            // One of many open files may be closed, and then nobody hears of late writes.
            // Nor of what is written to the file that a link led to.
            let is_heard = !self.node.plan.is_crowded() && stream.form != Form::Linked;
            let is_followed = is_live && is_heard;
            let followed_until_ns = if is_followed { now_ns + stream.late_writes_ns } else { 0 };
            truth.owed = Owed { bytes: truth.bytes, life: stream.life, followed_until_ns };
        }
    }

    /// All of the crowd are active, and what is not is closed.
    fn close_by_crowd(&mut self) {
        for stream in &mut self.streams[STREAMS..] {
            stream.write(&mut self.dice, 1);
            stream.finish_line();
        }
        sleep_ms(2 * self.node.plan.linger_ms);
    }

    /// What is at the live name is seen, cannot be read, and is closed, since others are active.
    fn close_unread(&mut self, number: usize) {
        self.streams[number].reopen();
        self.streams[number].begin_line(&mut self.dice);
        if let Some(content) = self.streams[number].named {
            let live = self.streams[number].live.clone();
            self.note_seen(number, &live, content);
            for _ in 0..LOOKS {
                self.close_by_crowd();
                if !self.node.holds(&live) {
                    count(&self.totals.closed);
                    return;
                }
            }
        }
    }
}
