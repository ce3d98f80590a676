//! Tailer: any sequence of writes, rotations, truncations, errors, crashes and checkpoints.
//!
//! The real discovery and the real source read a file system in memory that keeps all that was ever
//! written to it; what they deliver is compared with it, and with the reference tailer, by the
//! simulator's own check. Each step is one byte and its arguments.

use pipeline::frame::Format;
use sim::SourceBed;
use sim::actor::Text;
use sim::bed::{FLUSH_NS, LATE_NS};
use sim::schedule::{Step, run as run_schedule};

use crate::input::Input;

/// Most steps of a schedule: its end takes as long as it has files.
const STEPS_MAX: usize = 120;

/// One input: the format, then the steps.
///
/// # Panics
/// If anything is lost, doubled, out of order or not declared.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let format = if input.byte() & 1 == 0 { Format::Plain } else { Format::Cri };
    let mut steps = Vec::new();
    while !input.is_empty() && steps.len() < STEPS_MAX {
        steps.push(step(&mut input));
    }
    if let Err(why) = run_schedule(&mut SourceBed::new(format), format, &steps) {
        panic!("{why}");
    }
}

fn step(input: &mut Input<'_>) -> Step {
    match input.below(20) {
        0..=2 => Step::Append(texts(input), input.below(40)),
        3 => Step::AppendLate(texts(input), input.below(40)),
        4 => Step::CloseLate,
        5 => Step::Rotate,
        6 => Step::Reopen,
        7 => Step::RenameBack,
        8 => Step::DeleteOldest,
        9 => Step::Recreate,
        10 => Step::Unlink,
        11 => Step::Truncate,
        12 => Step::Scan,
        13 => Step::Look,
        14 => Step::Work(input.below(8)),
        15 => Step::CloseIdle,
        16 => Step::Store,
        17 => Step::Kill(input.below(4)),
        18 => Step::Wait(match input.below(3) {
            0 => FLUSH_NS / 3,
            1 => FLUSH_NS,
            _ => LATE_NS,
        }),
        _ => fault(input),
    }
}

fn fault(input: &mut Input<'_>) -> Step {
    let kind = input.byte();
    let is_on = kind & 1 == 1;
    match kind >> 1 & 3 {
        0 => Step::RefuseOpens(is_on),
        1 => Step::RefuseReads(is_on),
        _ => Step::ShortenReads(is_on.then(|| input.below(199) + 1)),
    }
}

/// Lines: mostly short, some longer than a record may be, some longer than is read at a time.
fn texts(input: &mut Input<'_>) -> Vec<Text> {
    let kind = input.byte();
    let (is_stderr, has_parts) = (kind & 8 == 8, kind & 16 == 16);
    let text = |_| {
        let how = input.byte();
        let len = match how {
            u8::MAX => 5000,
            200.. => u16::from(how) * 3,
            _ => u16::from(how / 4),
        };
        Text { len, is_stderr, is_partial: has_parts && how & 1 == 1 }
    };
    (0..usize::from(kind & 3) + 1).map(text).collect()
}
