//! Schedule: what happens to one context, step by step, and what must come of it.

use pipeline::frame::Format;

use crate::Verdict;
use crate::actor::{Actor, Text};
use crate::bed::Bed;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// The writer appends these lines; of the last one, so many bytes wait for the next time.
    Append(Vec<Text>, usize),
    /// The writer leaves a hole of so many bytes, and goes on behind it.
    AppendBehind(usize, Vec<Text>),
    /// What the writer has written is safe from power cuts.
    Sync,
    /// The power is cut: agent and writers die, and of what was not synced the first bytes are left, so
    /// many; the others are zeros, or gone.
    CutPower(usize, bool),
    /// As `Append`, to the generation before, by a writer that did not notice the rotation.
    AppendLate(Vec<Text>, usize),
    /// That writer ends.
    CloseLate,
    /// All generations are renamed; the writer does not notice.
    Rotate,
    /// The writer opens the live file, unless it has it open.
    Reopen,
    /// The last rotation is taken back.
    RenameBack,
    /// The oldest rotated generation is removed.
    DeleteOldest,
    /// The live file is removed and made anew.
    Recreate,
    /// The live file is removed; its writer does not notice.
    Unlink,
    /// What the writer has open is cut to nothing.
    Truncate,
    /// Half of the live file is copied, as `copytruncate` does; the rest with what comes next.
    BeginCopy,
    /// The live file has two names, until the next step.
    BeginLink,
    /// All of the live file is copied; it is cut with what comes next of these. What is written meanwhile is not in
    /// the copy.
    EndCopy,
    /// What was begun of these is finished.
    FinishRotation,
    /// A rotated file that nobody writes to is compressed; the original goes with the next step.
    Compress(usize),
    /// The agent looks at the directory.
    Scan,
    /// A look for which there is no memory to read; to a reader, a change that the watch heard of.
    Look,
    /// The agent does what there is to do, at most so many times.
    Work(usize),
    /// The agent closes what it need not have open.
    CloseIdle,
    /// The queue takes so many payloads of a reader's.
    Ship(usize),
    /// A checkpoint is stored.
    Store,
    /// The agent dies; so many sections were not yet in the queue.
    Kill(usize),
    /// Time passes, in nanoseconds.
    Wait(u64),
    /// The agent cannot open files by name, or can again.
    RefuseOpens(bool),
    /// The agent cannot read, or can again.
    RefuseReads(bool),
    /// A read brings at most so many bytes; `None`: all there are.
    ShortenReads(Option<usize>),
}

/// Does the steps, then waits until everything is quiet, and checks.
///
/// # Errors
/// What is wrong first, and after which steps.
pub fn run(bed: &mut dyn Bed, format: Format, steps: &[Step]) -> Result<Verdict, String> {
    let world = bed.world().clone();
    let mut actor = Actor::new(world.clone(), format);
    for step in steps {
        // Nothing happens at the same time as something else.
        world.clock().advance(1);
        match step {
            Step::Scan => bed.scan(),
            Step::Look => bed.look(),
            Step::Work(times) => {
                bed.work(*times);
            }
            Step::Ship(payloads) => {
                bed.ship(*payloads);
            }
            Step::CloseIdle => bed.close_idle(),
            Step::Store => bed.store(),
            Step::Kill(lost) => bed.kill(*lost),
            Step::Wait(time_ns) => world.clock().advance(*time_ns),
            Step::CutPower(..) => {
                bed.kill(0);
                actor.step(step);
            }
            step => actor.step(step),
        }
    }
    world.refuse_opens(None);
    world.refuse_reads(None);
    world.shorten_reads(None);
    bed.verdict().map_err(|why| format!("{why}\n  after {steps:?}"))
}
