//! Spans: what a queue holds of one context, sections that follow each other as one.
//!
//! So that what is kept is as large as the number of interruptions, not of sections.

use flow::{PersistedSpan, Position, Span};

/// The next section of a context in queue order.
pub(crate) fn add(
    spans: &mut Vec<PersistedSpan>,
    epoch: u32,
    span: Span,
    positions: &[Position],
    is_inner: bool,
) {
    match spans.last_mut() {
        // Behind the last place where a restart can go on begins another.
        Some(last)
            if last.epoch == epoch
                && last.span.end == span.begin
                && (last.is_inner || !is_inner) =>
        {
            last.span.end = span.end;
            last.is_inner = is_inner;
            for position in positions {
                replace(&mut last.positions, *position);
            }
        }
        _ => {
            let positions = positions.to_vec();
            spans.push(PersistedSpan { epoch, span, positions, is_inner });
        }
    }
}

/// The later position of a generation counts.
pub(crate) fn replace(positions: &mut Vec<Position>, later: Position) {
    match positions.iter_mut().find(|known| known.generation == later.generation) {
        Some(known) => *known = later,
        None => positions.push(later),
    }
}
