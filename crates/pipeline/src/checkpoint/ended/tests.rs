//! The bound holds whoever makes how many contexts, and takes of those that have most.

use super::*;
use proptest::prelude::*;

/// Contexts of a tenant that ended in this order, one a second; their numbers.
fn end(
    (ended, stored): (&mut Ended, &mut HashMap<ContextId, Stored>),
    tenant: u32,
    numbers: std::ops::Range<u64>,
) {
    for number in numbers {
        let context = ContextId(u128::from(number));
        let known = Known::new(1);
        ended.set(context, &known, Some(End { tenant: Some(tenant), source: None }));
        let updated_unix_seconds = i64::try_from(number).unwrap();
        stored.insert(context, Stored { known, updated_unix_seconds });
    }
}

fn numbers(ended: &Ended) -> Vec<u128> {
    let mut numbers: Vec<u128> = ended.contexts.keys().map(|it| it.0).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_tenant_with_most_loses_its_oldest_and_others_nothing() {
    let (mut ended, mut stored) = (Ended::default(), HashMap::new());
    ended.limit(16 * CONTEXT_BYTES);
    // The few of the first are the oldest of all.
    end((&mut ended, &mut stored), 1, 0..4);
    end((&mut ended, &mut stored), 2, 100..113);
    ended.sweep(&mut stored, |_, _, _| true);
    let kept: Vec<u128> = (0..4).chain(103..113).collect();
    assert_eq!(numbers(&ended), kept);
    assert_eq!((stored.len(), ended.bytes()), (14, 14 * CONTEXT_BYTES));
}

#[test]
fn what_may_not_be_forgotten_is_kept_and_not_asked_for_at_every_store() {
    let (mut ended, mut stored) = (Ended::default(), HashMap::new());
    ended.limit(8 * CONTEXT_BYTES);
    end((&mut ended, &mut stored), 1, 0..20);
    let mut asked = 0;
    for _ in 0..2 {
        ended.sweep(&mut stored, |_, _, _| {
            asked += 1;
            false
        });
    }
    assert_eq!((asked, stored.len(), ended.bytes()), (20, 20, 20 * CONTEXT_BYTES));
    end((&mut ended, &mut stored), 1, 20..22);
    ended.sweep(&mut stored, |_, _, _| true);
    assert_eq!(numbers(&ended), (15..22).collect::<Vec<_>>());
}

#[test]
fn one_that_is_back_counts_no_more() {
    let (mut ended, mut stored) = (Ended::default(), HashMap::new());
    end((&mut ended, &mut stored), 1, 0..3);
    ended.set(ContextId(1), &Known::new(1), None);
    assert_eq!((numbers(&ended), ended.bytes()), (vec![0, 2], 2 * CONTEXT_BYTES));
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_there(
        steps in prop::collection::vec((0u128..40, 0usize..4, prop::option::of(0u32..3)), 0..200),
    ) {
        let (mut ended, mut stored) = (Ended::default(), HashMap::new());
        let max_bytes = 12 * (CONTEXT_BYTES + GENERATION_BYTES);
        ended.limit(max_bytes);
        for (at, (number, generations, tenant)) in steps.into_iter().enumerate() {
            let mut known = Known::new(1);
            known.generations = vec![flow::Position::default(); generations];
            let context = ContextId(number);
            ended.set(context, &known, tenant.map(|it| End { tenant: Some(it), source: None }));
            let updated_unix_seconds = i64::try_from(at).unwrap();
            stored.insert(context, Stored { known, updated_unix_seconds });
            let open = stored.keys().filter(|it| !ended.has(**it)).count();
            ended.sweep(&mut stored, |_, _, _| true);
            prop_assert!(ended.bytes() <= max_bytes);
            let rows = ended.contexts.iter();
            let bytes: usize = rows
                .map(|(id, _)| CONTEXT_BYTES + stored[id].known.generations.len() * GENERATION_BYTES)
                .sum();
            prop_assert_eq!(ended.bytes(), bytes);
            let still_open = stored.keys().filter(|it| !ended.has(**it)).count();
            prop_assert_eq!(still_open, open);
        }
    }
}
