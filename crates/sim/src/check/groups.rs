//! Groups: the check of a run in which lines were taken together.

use flow::Stream;

use super::{Check, Delivery, Verdict};
use crate::groups::{self, Member};
use crate::{Delivered, Model, Run, Whole, World};

/// As [`check`](super::check), of a run in which lines were taken together as [`groups`] says.
///
/// # Errors
/// What is wrong first.
pub fn check_groups(
    world: &World,
    model: &Model,
    deliveries: &[Delivery],
) -> Result<Verdict, String> {
    let mut check = Check::new(world);
    for delivery in deliveries {
        check.take(delivery).map_err(|why| format!("{why}\n  at {delivery:?}"))?;
    }
    let verdict = check.account()?;
    let gaps: Vec<u64> =
        deliveries.iter().filter(|it| it.gap.is_some()).map(|it| it.span.begin).collect();
    for stream in [None, Some(Stream::Stdout), Some(Stream::Stderr)] {
        let mut records: Vec<&Delivered> =
            check.pieces.iter().filter(|it| it.flags.stream() == stream).collect();
        records.sort_by_key(|it| it.cursor);
        let lines = model.records(&check.runs).into_iter().filter(|it| it.stream == stream);
        let members: Vec<Member> = lines.map(|it| check.member(it)).collect();
        groups::check(&records, &members, &gaps)?;
    }
    Ok(verdict)
}

impl Check {
    /// Where and when a line was written.
    fn member(&self, line: Whole) -> Member {
        let holds =
            |run: &&Run| (run.cursor..run.cursor + run.bytes.len() as u64).contains(&line.cursor);
        let run = self.runs.iter().find(holds).expect("it is of one");
        let (place, source) = (run.place, run.source);
        let offset = run.offset + (line.cursor - run.cursor);
        let writes = &self.files[place.0].lives[place.1].writes;
        let at_ns = writes.iter().find(|(len, _)| *len > offset).map_or(0, |(_, at_ns)| *at_ns);
        let mut younger = self.files[place.0 + 1..].iter().flat_map(|it| &it.lives);
        let is_late = younger.any(|it| it.first_write_ns().is_some_and(|first| first < at_ns));
        Member { line, place, source, at_ns, is_late }
    }
}
