//! Once: what a topic holds of one context, without what comes again by promise.
//!
//! That is what of a section stands behind the last place from which a restart can go on; what stands behind
//! a hole that brokers left when they refused something in the middle; and what a deleted topic took along
//! before a checkpoint had it. All of it only from one life of the agent to a later one. And what was stored
//! by a request whose answer was lost, and that was refused when the client sent it again.

use flow::Span;

use crate::Stored;

/// A stored message, and the first life of the agent that knows nothing of it, with its topic gone or otherwise.
pub(super) type Kept<'a> = (&'a Stored, Option<u32>);

/// The messages that count, by cursor. In the lives `holed`, brokers left holes; `last` is the one that lives.
///
/// # Errors
/// At the first double.
pub(super) fn once(
    mut own: Vec<Kept<'_>>,
    holed: &[u32],
    last: u32,
) -> Result<Vec<Stored>, String> {
    // The order in which brokers that refuse in the middle take things is no promise.
    own.sort_by_key(|(it, _)| {
        let header = &it.header;
        (it.life, holed.contains(&it.life).then_some((header.epoch, header.span.begin)))
    });
    // Where sections ended: what tells of one may have stood behind a hole, which was filled since.
    let ends: Vec<(u32, u32, u64)> = own
        .iter()
        .filter(|(it, _)| !it.header.is_inner)
        .map(|(it, _)| (it.life, it.header.epoch, it.header.span.end))
        .collect();
    let has_sent = own.iter().any(|(it, _)| it.life == last && !it.header.span.is_empty());
    let all = own.clone();
    let mut once: Vec<Kept<'_>> = Vec::new();
    // Behind holes, or sent again since.
    let mut aside: Vec<Kept<'_>> = Vec::new();
    for (stored, gone) in own {
        let header = &stored.header;
        let is_gone = |gone: Option<u32>| gone.is_some_and(|life| stored.life >= life);
        let is_before = |(it, _): &Kept<'_>| {
            it.header.span.end <= header.span.begin && it.header.epoch == header.epoch
        };
        let again = once.split_off(once.iter().rposition(is_before).map_or(0, |it| it + 1));
        // What stands behind what is gone stands behind a hole.
        let is_behind_gone = again.first().is_some_and(|(_, gone)| is_gone(*gone));
        for (before, gone) in again {
            let comes_again = before.header.is_inner || is_behind_gone;
            if !(is_gone(gone) || comes_again && before.life < stored.life) {
                return Err(format!("doubled: {before:?}\n by {stored:?}"));
            }
            if !is_gone(gone) {
                aside.push((before, gone));
            }
        }
        // One of unknown size has no cursors to come again by.
        once.retain(|(before, gone)| !(is_gone(*gone) && is_same_gap(before, stored)));
        fill(&mut once, &mut aside, stored, &all);
        let is_holed = holed.contains(&stored.life);
        let is_behind_hole =
            header.span.begin > end(&once) || !has_before(&all, stored, stored.life);
        if is_behind_hole && is_holed && stored.life < last {
            aside.push((stored, gone));
            continue;
        }
        let is_end = |&(life, epoch, end): &(u32, u32, u64)| {
            life < stored.life && (epoch, end) == (header.epoch, header.span.begin)
        };
        let is_inside = !ends.iter().any(is_end)
            && once.last().is_some_and(|(it, _)| {
                it.header.is_inner && it.life < stored.life && !header.span.is_empty()
            });
        if is_inside && !is_holed {
            return Err(format!("goes on inside of a section: {stored:?}"));
        }
        once.push((stored, gone));
    }
    // If the last life sent nothing, it found all that it looked for.
    while !has_sent
        && let Some(next) =
            aside.iter().position(|(it, _)| follows(&once, it) && has_before(&all, it, last))
    {
        once.push(aside.remove(next));
    }
    // Its file was gone before the next life could send it again.
    while once.last().is_some_and(|(it, _)| it.header.is_inner && it.life < last) {
        once.pop();
    }
    Ok(once.into_iter().map(|(it, _)| it.clone()).collect())
}

/// Whether both declare that the same generation is gone, with nobody knows how much.
fn is_same_gap(one: &Stored, other: &Stored) -> bool {
    let gone = |it: &Stored| it.header.positions.first().map(|it| it.generation);
    let is_unsized = |it: &Stored| it.header.gap.is_some() && it.header.span.is_empty();
    is_unsized(one) && is_unsized(other) && gone(one) == gone(other)
}

/// Up to `to`, what stood behind a hole counts once that is filled.
fn fill<'a>(once: &mut Vec<Kept<'a>>, aside: &mut Vec<Kept<'a>>, to: &Stored, all: &[Kept<'a>]) {
    let counts = |it: &Stored| it.life < to.life && has_before(all, it, to.life);
    while end(once) < to.header.span.begin
        && let Some(next) = aside.iter().position(|(it, _)| counts(it) && follows(once, it))
    {
        once.push(aside.remove(next));
    }
}

/// Whether, by that life, all parts are stored that come before this one in its section, if that cannot be divided. Nothing
/// else has what they have.
fn has_before(all: &[Kept<'_>], it: &Stored, life: u32) -> bool {
    let Some(section) = it.header.part_of else { return true };
    let is_of = |other: &&Kept<'_>| {
        let (of, gone) = other;
        let is_same = (of.header.epoch, of.header.part_of) == (it.header.epoch, Some(section))
            && of.header.context.id == it.header.context.id;
        // Who sent both knows of what a deleted topic took along since.
        is_same && (of.life == it.life || of.life <= life && gone.is_none())
    };
    let mut parts: Vec<Span> = all.iter().filter(is_of).map(|(of, _)| of.header.span).collect();
    parts.sort_by_key(|part| part.begin);
    let reach =
        |reach: u64, part: &Span| if part.begin > reach { reach } else { part.end.max(reach) };
    parts.iter().fold(section.begin, reach) >= it.header.span.begin
}

fn follows(once: &[Kept<'_>], it: &Stored) -> bool {
    let span = it.header.span;
    let is_of = once.last().is_none_or(|(last, _)| last.header.epoch == it.header.epoch);
    is_of && span.begin == end(once) && !span.is_empty()
}

fn end(once: &[Kept<'_>]) -> u64 {
    once.last().map_or(0, |(it, _)| it.header.span.end)
}
