use proptest::prelude::*;

use super::*;
use crate::lane::WEIGHT_USUAL;

/// The longest turn.
const SLICE_NS: u64 = 10_000_000;

/// Jain's index of fairness: 1 if all are equal, `1 / n` if one has all.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|it| it * it).sum();
    sum * sum / (f64::from(u32::try_from(shares.len()).unwrap()) * squares)
}

/// Tenants of these weights, with these numbers of lanes, all with one ready source a lane.
fn busy(tenants: &[(u32, usize)]) -> Schedule {
    let mut schedule = Schedule::default();
    for &(weight, lanes) in tenants {
        let tenant = schedule.add_tenant(weight);
        for _ in 0..lanes {
            let lane = schedule.add_lane(tenant);
            schedule.ready(lane, lane);
        }
    }
    schedule
}

/// Runs until so much was charged; each turn costs what `cost` says and the source is ready again. Returns
/// the charges by tenant, and by lane.
fn share(
    schedule: &mut Schedule,
    total_ns: u64,
    mut cost: impl FnMut(LaneIndex) -> u64,
) -> (Vec<u64>, Vec<u64>) {
    let mut by_tenant = vec![0; schedule.tenants.len()];
    let mut by_lane = vec![0; schedule.lanes.len()];
    while by_tenant.iter().sum::<u64>() < total_ns {
        let (lane, source) = schedule.next_turn().unwrap();
        let cost_ns = cost(lane);
        by_tenant[schedule.tenant_of(lane)] += cost_ns;
        by_lane[lane] += cost_ns;
        schedule.spent(lane, cost_ns);
        schedule.ready(lane, source);
    }
    (by_tenant, by_lane)
}

#[expect(clippy::cast_precision_loss, reason = "shares need three digits")]
fn by_weight(charges: &[u64], tenants: &[(u32, usize)]) -> Vec<f64> {
    charges.iter().zip(tenants).map(|(it, (weight, _))| *it as f64 / f64::from(*weight)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_tenants_share_alike_whatever_their_lanes_sizes_and_costs(
        lanes in prop::collection::vec(1..5_usize, 2..12),
        costs in prop::collection::vec(10_000..SLICE_NS, 64),
    ) {
        let tenants: Vec<_> = lanes.iter().map(|lanes| (WEIGHT_USUAL, *lanes)).collect();
        let mut schedule = busy(&tenants);
        // Each lane has costs of its own kind, from a look to the longest slice.
        let (charges, _) = share(&mut schedule, 3_000_000_000, |lane| costs[lane % costs.len()]);
        let jain = jain(&by_weight(&charges, &tenants));
        prop_assert!(jain >= 0.99, "{jain} of {charges:?}");
    }

    #[test]
    fn weights_hold_within_two_in_a_hundred(
        weights in prop::collection::vec(1..=10_u32, 2..8),
        costs in prop::collection::vec(10_000..1_000_000_u64, 8),
    ) {
        let tenants: Vec<_> = weights.iter().map(|weight| (weight * 100, 2)).collect();
        let mut schedule = busy(&tenants);
        let (charges, _) = share(&mut schedule, 5_000_000_000, |lane| costs[lane % costs.len()]);
        let shares = by_weight(&charges, &tenants);
        let (least, most) = shares.iter().fold((f64::MAX, 0.0_f64), |(least, most), it| (least.min(*it), most.max(*it)));
        prop_assert!(most <= least * 1.02, "{shares:?}");
    }

    /// Any steps: at no moment two tenants that always had something to read are apart by more than a turn of each.
    #[test]
    fn nobody_is_ever_more_than_a_turn_behind(
        weights in prop::collection::vec(1..=10_000_u32, 2..6),
        costs in prop::collection::vec(TURN_NS..SLICE_NS, 1..400),
    ) {
        let tenants: Vec<_> = weights.iter().map(|weight| (*weight, 1)).collect();
        let mut schedule = busy(&tenants);
        let longest = *costs.iter().max().unwrap();
        for cost_ns in costs {
            let (lane, source) = schedule.next_turn().unwrap();
            schedule.spent(lane, cost_ns);
            schedule.ready(lane, source);
            for one in &schedule.tenants {
                for other in &schedule.tenants {
                    let apart = one.charged.saturating_sub(other.charged);
                    prop_assert!(apart <= scaled(longest, one.weight) + 1);
                }
            }
        }
    }
}

#[test]
fn weights_from_the_least_to_the_largest_hold() {
    let tenants = [(1, 1), (10_000, 1)];
    let mut schedule = busy(&tenants);
    let (charges, _) = share(&mut schedule, 20_000_000_000, |_| 10_000);
    assert!(charges[1].abs_diff(charges[0] * 10_000) <= charges[1] / 50, "{charges:?}");
}

#[test]
fn more_lanes_or_sources_are_no_larger_share() {
    let tenants = [(100, 6), (100, 1)];
    let mut schedule = busy(&tenants);
    (0..50).for_each(|source| schedule.ready(0, 1000 + source));
    let (charges, lanes) = share(&mut schedule, 1_000_000_000, |lane| [500_000, 20_000][lane / 6]);
    assert!(charges[0].abs_diff(charges[1]) <= 500_000, "{charges:?}");
    let of_first = &lanes[..6];
    assert!(of_first.iter().all(|it| it.abs_diff(of_first[0]) <= 500_000), "{lanes:?}");
}

#[test]
fn who_comes_back_is_next_and_gets_nothing_for_the_time_away() {
    let mut schedule = busy(&[(100, 1), (100, 1)]);
    let late = schedule.add_tenant(100);
    let lane = schedule.add_lane(late);
    share(&mut schedule, 10_000_000_000, |_| 100_000);
    schedule.ready(lane, 77);
    let mut turns = Vec::new();
    let mut charges = [0_u64; 3];
    for _ in 0..3000 {
        let (lane, source) = schedule.next_turn().unwrap();
        turns.push(lane);
        charges[lane] += 100_000;
        schedule.spent(lane, 100_000);
        schedule.ready(lane, source);
    }
    assert!(turns[..3].contains(&lane), "{:?}", &turns[..3]);
    assert!(charges.iter().all(|it| it.abs_diff(charges[0]) <= 200_000), "{charges:?}");
}

#[test]
fn a_blocked_lane_keeps_its_place_and_others_go_on() {
    let mut schedule = busy(&[(100, 1), (100, 1)]);
    assert_eq!(schedule.next_turn(), Some((0, 0)));
    schedule.block(0, 0);
    assert_eq!(schedule.next_turn(), Some((1, 1)));
    schedule.spent(1, 10);
    assert_eq!(schedule.next_turn(), None);
    assert!(schedule.is_quiet(0) && schedule.is_quiet(1) && schedule.has_blocked());
    schedule.unblock_all();
    assert_eq!(schedule.next_turn(), Some((0, 0)));
    assert_eq!(schedule.ready_count(), 0);
}

#[test]
fn what_a_blocked_tenant_may_catch_up_is_one_chunk() {
    let mut schedule = busy(&[(100, 1), (100, 1)]);
    for _ in 0..10_000 {
        let (lane, source) = schedule.next_turn().unwrap();
        if lane == 0 {
            schedule.block(lane, source);
            continue;
        }
        schedule.spent(lane, 100_000);
        schedule.ready(lane, source);
    }
    schedule.unblock_all();
    let (charges, _) = share(&mut schedule, 20_000_000, |_| 100_000);
    assert!(charges[0] > charges[1] && charges[0] - charges[1] <= 2 * CREDIT_NS, "{charges:?}");
}

#[test]
fn a_tenant_that_sleeps_has_no_turn_and_others_go_on() {
    let mut schedule = busy(&[(100, 2), (100, 1)]);
    let (lane, source) = schedule.next_turn().unwrap();
    schedule.sleep(lane, source, 500);
    assert_eq!(schedule.next_turn(), Some((2, 2)));
    schedule.ready(2, 2);
    assert!(schedule.is_quiet(0) && schedule.is_quiet(1) && !schedule.is_quiet(2));
    assert_eq!((schedule.due_ns(), schedule.asleep(1)), (Some(500), Some((Level::Tenant, 500))));
    schedule.wake(499);
    assert_eq!(schedule.next_turn().map(|it| it.0), Some(2));
    schedule.spent(2, 100);
    schedule.wake(500);
    assert_eq!(schedule.due_ns(), None);
    assert_eq!(schedule.next_turn(), Some((lane, source)), "it kept its place");
}

#[test]
fn all_sleep_until_the_node_may_read_on() {
    let mut schedule = busy(&[(100, 1), (100, 1)]);
    let (lane, source) = schedule.next_turn().unwrap();
    schedule.sleep_all(lane, source, 500);
    assert_eq!((schedule.next_turn(), schedule.due_ns()), (None, Some(500)));
    assert_eq!(schedule.asleep(1), Some((Level::Node, 500)));
    assert!(schedule.is_quiet(0) && schedule.is_quiet(1));
    schedule.wake(500);
    assert_eq!(schedule.next_turn(), Some((lane, source)));
}
