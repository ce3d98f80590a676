//! Room: whether the log disk that has a source's files is being used up.
//!
//! What is not acknowledged is what a log disk cannot give back. So what a source of one still has to deliver is at risk
//! before there is no room left: then the disk has to make writers wait, or fail, or let go. And it is once it has waited for
//! long, since it is in memory.

use super::{Generation, Source};
use crate::fs::{LogFile, Room};

/// A log disk is being used up once more than this many hundredths of it are used …
///
/// Half: what is left takes what is written while the spool is reached. A log disk keeps little for readers from there on.
const SHORT_PERCENT: u64 = 50;
/// … until no more than that many are.
const EASED_PERCENT: u64 = 38;

/// Whether a log disk is being used up that was, or was not, a moment ago.
fn is_short(was_short: bool, room: Room) -> bool {
    let percent = if was_short { EASED_PERCENT } else { SHORT_PERCENT };
    u128::from(room.used_bytes) * 100 > u128::from(room.size_bytes) * u128::from(percent)
}

impl Source {
    /// Whether something of its tenant has waited for its acknowledgement for long.
    pub fn note_wait(&mut self, is_long: bool) {
        self.waits_long = is_long;
    }

    /// Looks how full its log disk is, if it is on one; returns whether that is being used up, or has kept bytes for long, and
    /// keeps the tenant's count of such sources true.
    ///
    /// One without an open file has delivered what it had, or waits for its turn to open one.
    pub fn look_at_room(&mut self) -> bool {
        if !self.spec.is_on_log_disk {
            return false;
        }
        let file = self.generations.iter().rev().find_map(|it: &Generation| it.file.as_deref());
        let room = file.and_then(LogFile::room);
        let is_short = room.is_some_and(|it| is_short(self.is_disk_pressed, it));
        let is_pressed = is_short || self.waits_long && file.is_some();
        if is_pressed != self.is_disk_pressed {
            self.is_disk_pressed = is_pressed;
            match is_pressed {
                true => self.meter.pressed_disk_sources.add(1),
                false => self.meter.pressed_disk_sources.sub(1),
            }
        }
        is_pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_disk_is_used_up_from_half_of_it_on_until_much_less_is_used() {
        let is_short = |was: bool, used_bytes| is_short(was, Room { size_bytes: 1000, used_bytes });
        assert_eq!([500, 501, 1000].map(|it| is_short(false, it)), [false, true, true]);
        assert_eq!([381, 380, 0].map(|it| is_short(true, it)), [true, false, false]);
        let unlimited = Room { size_bytes: 0, used_bytes: 0 };
        assert!(!super::is_short(false, unlimited));
        let largest = Room { size_bytes: u64::MAX, used_bytes: u64::MAX };
        assert!(super::is_short(true, largest));
    }
}
