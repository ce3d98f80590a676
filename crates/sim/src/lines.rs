//! Lines: what was written, line by line, against what was delivered.
//!
//! The oracle of schedules that copy, compress and link files, where bytes have more than one place, but
//! nothing is ever removed before it could be read: each line arrives once, those of a generation in
//! their order, and nothing is declared missing but what was cut.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow::GapReason;

use crate::{Delivered, Delivery, mend};

/// A line, as its writer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Which of the writer's files, by number; a cut file is another one.
    pub generation: u32,
    /// Without what the format adds. No other line has the same.
    pub content: Vec<u8>,
}

/// Generations that may be missing as a whole if an agent died now: there are compressed files, nothing of these was
/// delivered, and what came after them was. Nothing tells them from those that an earlier life was done with.
#[must_use]
pub fn unheard_of(written: &[Written], deliveries: &[Delivery]) -> BTreeSet<u32> {
    let bodies = deliveries.iter().flat_map(|it| &it.records).map(|it| &*it.2);
    let bodies: BTreeSet<&[u8]> = bodies.collect();
    let heard_of = written.iter().filter(|it| bodies.contains(&*it.content));
    let heard_of: BTreeSet<u32> = heard_of.map(|it| it.generation).collect();
    let newest = heard_of.last().copied().unwrap_or(0);
    (0..newest).filter(|it| !heard_of.contains(it)).collect()
}

/// Checks a run that ended with a quiet time, long enough for everything to be delivered, but those generations that
/// nobody heard of.
///
/// # Errors
/// What is wrong first.
pub fn check_lines(
    written: &[Written],
    deliveries: &[Delivery],
    unheard: &BTreeSet<u32>,
) -> Result<(), String> {
    let records = mend(&pieces(deliveries)?)?;
    let numbers: HashMap<&[u8], usize> =
        written.iter().enumerate().map(|(number, line)| (&*line.content, number)).collect();
    let mut times = vec![0; written.len()];
    // By generation, the line that was delivered last.
    let mut last = BTreeMap::new();
    for record in &records {
        let text = String::from_utf8_lossy(&record.content);
        let Some(number) = numbers.get(&*record.content).copied() else {
            return Err(format!("nobody wrote {text:?} at {}", record.cursor));
        };
        times[number] += 1;
        if times[number] > 1 {
            return Err(format!("line {number} is doubled at {}: {text:?}", record.cursor));
        }
        let before = last.insert(written[number].generation, number);
        if let Some(before) = before.filter(|before| *before > number) {
            return Err(format!("line {number} comes behind {before} at {}", record.cursor));
        }
    }
    let may_miss =
        |generation: &u32| unheard.contains(generation) && !last.contains_key(generation);
    let is_lost = |number: &usize| times[*number] == 0 && !may_miss(&written[*number].generation);
    match (0..written.len()).find(is_lost) {
        Some(number) => Err(format!("line {number} of {} is lost", written.len())),
        None => Ok(()),
    }
}

/// The records and their pieces, if the spans tile and none is a gap.
fn pieces(deliveries: &[Delivery]) -> Result<Vec<Delivered>, String> {
    let mut places = HashMap::new();
    let (mut cursor, mut pieces) = (0, Vec::new());
    for delivery in deliveries {
        if delivery.span.begin != cursor {
            return Err(format!(
                "begins at {}, not at {cursor}: {delivery:?}",
                delivery.span.begin
            ));
        }
        cursor = delivery.span.end;
        if let Some(reason) = delivery.gap {
            // What was cut before it was read, or whose length was told after the cut, may be declared
            // although its copy has it: that the one was made of the other, or ends earlier, nobody can
            // tell.
            if reason != GapReason::Truncated || delivery.span.is_empty() {
                return Err(format!("{reason}, and nothing was lost: {delivery:?}"));
            }
            continue;
        }
        let last = delivery.positions.last().ok_or("a section of no generation")?;
        let count = places.len();
        let place = *places.entry(last.generation).or_insert(count);
        for (cursor, flags, body) in &delivery.records {
            pieces.push(Delivered {
                cursor: *cursor,
                flags: *flags,
                body: body.clone(),
                place: (place, 0),
                holes: 0,
            });
        }
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_generation_that_nobody_heard_of_may_be_missing_and_only_as_a_whole() {
        let line = |generation, content: &[u8]| Written { generation, content: content.to_vec() };
        let written = [line(0, b"0"), line(1, b"1"), line(1, b"2"), line(2, b"3")];
        let none = BTreeSet::new();
        assert!(unheard_of(&written, &[]).is_empty() && check_lines(&[], &[], &none).is_ok());
        let (one, all) = (BTreeSet::from([1]), BTreeSet::from([0, 1, 2]));
        assert!(check_lines(&written[1..3], &[], &none).is_err());
        assert!(check_lines(&written[1..3], &[], &one).is_ok());
        assert!(check_lines(&written, &[], &one).is_err());
        assert!(check_lines(&written, &[], &all).is_ok());
    }
}
