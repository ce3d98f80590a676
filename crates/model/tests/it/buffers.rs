//! Buffers: none is handed out twice, none is lost while there is room, and no more are kept than four.

use std::sync::Arc;

use model::pipeline::buffers::Buffers;
use model::sync::thread;

use crate::{in_every_order, join_all};

/// Buffers that are kept at most.
const KEPT: usize = 4;

/// The capacities of all that are kept, by which these tests know them.
fn kept(buffers: &Buffers) -> Vec<usize> {
    let taken = std::iter::repeat_with(|| buffers.take().capacity());
    taken.take_while(|capacity| *capacity > 0).collect()
}

#[test]
fn buffers_go_round_and_none_is_lost_or_doubled() {
    in_every_order(|| {
        let buffers = Arc::new(Buffers::new(1 << 10));
        for capacity in [100, 200] {
            buffers.give(Vec::with_capacity(capacity));
        }
        let users = [(); 2].map(|()| {
            let buffers = Arc::clone(&buffers);
            thread::spawn(move || {
                let mut buffer = buffers.take();
                assert!(buffer.is_empty() && buffer.capacity() > 0, "there are two for two");
                buffer.push(1);
                buffers.give(buffer);
            })
        });
        join_all(users);
        let mut kept = kept(&buffers);
        kept.sort_unstable();
        assert_eq!(kept, [100, 200]);
    });
}

#[test]
fn no_more_buffers_are_kept_than_four() {
    in_every_order(|| {
        let buffers = Arc::new(Buffers::new(1 << 10));
        for _ in 1..KEPT {
            buffers.give(Vec::with_capacity(100));
        }
        let givers = [(); 2].map(|()| {
            let buffers = Arc::clone(&buffers);
            thread::spawn(move || buffers.give(Vec::with_capacity(100)))
        });
        join_all(givers);
        assert_eq!(kept(&buffers).len(), KEPT);
    });
}
