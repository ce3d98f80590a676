//! Who waits, beside an obvious model of the rule.

use flow::Budget;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::Entry;
use crate::source::Known;

const KIB: usize = 1 << 10;

fn room(beside_bytes: usize) -> Option<KnownRoom> {
    let memory = Arc::new(Memory::new(Vec::<Entry>::new(), false, Vec::new()));
    Some(KnownRoom { beside_bytes, memory })
}

/// What is known and waits after a look at everything, by tenant: bytes and names.
fn count(standing: &mut Standing, meter: &Meter, known: &[(&Arc<str>, usize, usize)]) {
    standing.begin_count();
    for (tenant, bytes, waiting) in known {
        standing.count(tenant, *bytes);
        standing.count_waiting(tenant, *waiting);
    }
    standing.end_count(meter, || None);
}

#[test]
fn files_beyond_those_that_have_a_part_leave_less_for_data_until_they_are_gone() {
    const POOL: usize = 100 * KIB;
    let pool = NodeBudget::new(POOL);
    let budget = Budget::new(Arc::clone(&pool), 1, POOL + 1);
    let mut standing = Standing::new(pool, 20, None);
    let meter = Meter::default();
    let tenant = Arc::from("shop");
    count(&mut standing, &meter, &[(&tenant, 20 * OWN_CHAIN_BYTES, 0)]);
    assert!(budget.try_acquire(POOL + 1).is_some(), "they have a part");
    count(&mut standing, &meter, &[(&tenant, 80 * OWN_CHAIN_BYTES, 0)]);
    let bytes = 60 * OWN_CHAIN_BYTES;
    assert_eq!(meter.known_bytes.get(), bytes as u64);
    assert!(budget.try_acquire(POOL + 2 - bytes).is_none());
    assert!(budget.try_acquire(POOL + 1 - bytes).is_some());
    // Nothing waits without a cap, and what is known is told to be too much.
    assert!(standing.admit(&tenant, 1000 * OWN_CHAIN_BYTES));
    count(&mut standing, &meter, &[(&tenant, 1000 * OWN_CHAIN_BYTES, 0)]);
    assert!(standing.is_short);
    assert!(budget.try_acquire(2).is_none(), "beyond the reserve");
    assert!(budget.try_acquire(1).is_some(), "the reserve is never refused");
    count(&mut standing, &meter, &[(&tenant, OWN_CHAIN_BYTES, 0)]);
    assert!(!standing.is_short);
    assert!(budget.try_acquire(POOL + 1).is_some());
}

#[test]
fn a_tenant_has_no_more_than_it_leaves_for_others_whenever_they_come() {
    let mut standing = Standing::new(NodeBudget::new(300 * KIB), 20, room(80 * KIB));
    let fill = |standing: &mut Standing, tenant: &str| {
        let tenant = Arc::from(tenant);
        (0..).take_while(|_| standing.admit(&tenant, KIB)).count()
    };
    // Of 400 KiB each has half of what is left.
    let names = ["a", "b", "c"].map(|it| fill(&mut standing, it));
    assert_eq!(names, [200, 100, 50]);
    assert_eq!(fill(&mut standing, "a"), 0);
    assert_eq!(fill(&mut standing, "d"), 25);
}

#[test]
fn what_data_in_flight_has_is_no_room_and_it_is_set_aside_for_who_waits() {
    const POOL: usize = 80 * KIB;
    let pool = NodeBudget::new(POOL);
    let budget = Budget::new(Arc::clone(&pool), KIB, POOL + KIB);
    let mut standing = Standing::new(pool, 0, room(0));
    let meter = Meter::default();
    // An eighth is not lent.
    assert!(budget.try_acquire(71 * KIB + 1).is_none());
    let data = budget.try_acquire(71 * KIB).unwrap();
    let (busy, other) = (Arc::from("busy"), Arc::from("other"));
    let few = (0..).take_while(|_| standing.admit(&busy, KIB)).count();
    assert_eq!(few, 5, "half of what is not lent");
    assert!(standing.admit(&other, KIB), "others have theirs");
    count(&mut standing, &meter, &[(&busy, 5 * KIB, 10), (&other, KIB, 0)]);
    assert_eq!(meter.tenant(&busy).waiting_files.get(), 10);
    assert!(!standing.is_short, "it waits for data alone");
    // Nothing more is lent, so that it is its turn when that is given back.
    drop(data);
    let data = budget.try_acquire(KIB).unwrap();
    assert!(budget.try_acquire(60 * KIB).is_none());
    assert!((0..10).all(|_| standing.admit(&busy, KIB)));
    count(&mut standing, &meter, &[(&busy, 15 * KIB, 0), (&other, KIB, 0)]);
    assert_eq!(meter.tenant(&busy).waiting_files.get(), 0);
    assert!(budget.try_acquire(50 * KIB).is_some());
    drop(data);
}

#[test]
fn who_has_all_that_it_may_is_said_to_be_short_and_nothing_is_set_aside_for_it() {
    const POOL: usize = 80 * KIB;
    let pool = NodeBudget::new(POOL);
    let budget = Budget::new(Arc::clone(&pool), KIB, POOL + KIB);
    let mut standing = Standing::new(pool, 0, room(0));
    let meter = Meter::default();
    let tenant = Arc::from("shop");
    let all = (0..).take_while(|_| standing.admit(&tenant, KIB)).count();
    assert_eq!(all, 40);
    count(&mut standing, &meter, &[(&tenant, all * KIB, 1000)]);
    assert!(standing.is_short);
    assert!(budget.try_acquire(31 * KIB).is_some(), "40 known, 10 for who comes");
    count(&mut standing, &meter, &[(&tenant, KIB, 0)]);
    assert!(!standing.is_short);
}

#[test]
fn what_was_begun_never_waits_and_what_is_done_with_does() {
    let known = |generations| Known { generations, ..Known::new(1) };
    let entry = |context, generations| Entry::new(ContextId(context), known(generations));
    let entries = vec![entry(1, vec![flow::Position::default()]), entry(2, Vec::new())];
    let memory = Arc::new(Memory::new(entries, false, Vec::new()));
    let room = Some(KnownRoom { beside_bytes: 0, memory });
    let standing = Standing::new(NodeBudget::new(0), 0, room);
    assert!(!standing.may_admit("shop", KIB));
    assert_eq!([1, 2, 3].map(|it| standing.is_begun(ContextId(it))), [true, false, false]);
}

proptest! {
    /// Names come and go and data is lent in any order: a name becomes known exactly if its tenant then has no more than
    /// is left, data and what is known never are more than there is, and the metric counts what waits.
    #[test]
    fn the_rule_is_the_model_of_it(
        pool in 0..200_usize,
        open in 0..20_u64,
        beside in 0..50_usize,
        steps in prop::collection::vec((0..4_usize, 0..5_u8, 1..40_usize), 1..200),
    ) {
        let node = NodeBudget::new(pool * KIB);
        let budget = Budget::new(Arc::clone(&node), 0, pool * KIB);
        let mut standing = Standing::new(node, open, room(beside * KIB));
        let meter = Meter::default();
        let all = (pool + usize::try_from(open).unwrap() + beside) * KIB;
        let names = ["a", "b", "c", "d"].map(Arc::<str>::from);
        let (mut known, mut data) = ([0_usize; 4], Vec::new());
        for (tenant, what, many) in steps {
            let lent = |data: &Vec<flow::Permit>| data.iter().map(flow::Permit::bytes).sum::<usize>();
            match what {
                0 => data.extend(budget.try_acquire(many * KIB)),
                1 => data.truncate(data.len() / 2),
                2 => known[tenant] = known[tenant].saturating_sub(many),
                _ => {
                    let mut waiting = 0;
                    for _ in 0..many {
                        let (sum, share) = (known.iter().sum::<usize>() + 1, known[tenant] + 1);
                        let left = all.checked_sub(sum * KIB + lent(&data));
                        let fits = left.is_some_and(|it| share * KIB <= it);
                        prop_assert_eq!(standing.admit(&names[tenant], KIB), fits);
                        known[tenant] += usize::from(fits);
                        waiting += usize::from(!fits);
                    }
                    let waits = |it: usize| if it == tenant { waiting } else { 0 };
                    let counted: Vec<_> =
                        (0..4).map(|it| (&names[it], known[it] * KIB, waits(it))).collect();
                    count(&mut standing, &meter, &counted);
                    prop_assert_eq!(meter.tenant(&names[tenant]).waiting_files.get(), waiting as u64);
                    continue;
                }
            }
            let counted: Vec<_> = (0..4).map(|it| (&names[it], known[it] * KIB, 0)).collect();
            count(&mut standing, &meter, &counted);
            prop_assert!(known.iter().sum::<usize>() * KIB + lent(&data) <= all);
        }
    }
}
