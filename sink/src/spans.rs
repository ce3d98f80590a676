//! Spans: what a queue holds of one context, sections that follow each other as one.
//!
//! So that what is kept is as large as the number of interruptions, not of sections.

use flow::{PersistedSpan, Position, Span};

/// The next section of a context in queue order.
pub(crate) fn add(spans: &mut Vec<PersistedSpan>, epoch: u32, span: Span, positions: &[Position]) {
    match spans.last_mut() {
        Some(last) if last.epoch == epoch && last.span.end == span.begin => {
            last.span.end = span.end;
            for position in positions {
                replace(&mut last.positions, *position);
            }
        }
        _ => spans.push(PersistedSpan { epoch, span, positions: positions.to_vec() }),
    }
}

/// The later position of a generation counts.
fn replace(positions: &mut Vec<Position>, later: Position) {
    match positions.iter_mut().find(|known| known.generation == later.generation) {
        Some(known) => *known = later,
        None => positions.push(later),
    }
}
