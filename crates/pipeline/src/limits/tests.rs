use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const CHUNK: u64 = 256 << 10;

fn bytes(per_second: u64) -> Rates {
    Rates { bytes_per_second: Some(per_second), records_per_second: None, burst_ns: SECOND }
}

fn records(per_second: u64) -> Rates {
    Rates { bytes_per_second: None, records_per_second: Some(per_second), burst_ns: SECOND }
}

fn tenant(rates: Rates) -> TenantLimits {
    TenantLimits { rates, ..TenantLimits::default() }
}

fn plan(node: Rates, tenants: &[(&str, Rates)], config: Rates, per_container: Rates) -> LimitPlan {
    let tenants = tenants.iter().map(|(name, rates)| (Arc::from(*name), tenant(*rates))).collect();
    let log_configs = [(Arc::from("config"), LogConfigLimits { rates: config, per_container })];
    LimitPlan { node, tenants, log_configs: log_configs.into() }
}

const NONE: Rates = Rates { bytes_per_second: None, records_per_second: None, burst_ns: 0 };

/// One source of a simulated reader.
struct Reads {
    toll: Box<Toll>,
    due_ns: u64,
    bytes: u64,
    records: u64,
    reads: u64,
    /// By level: how often it had to wait for it.
    waited: HashMap<Level, u64>,
}

/// Reads sources with endless files until the end, each when it may; a read comes to `came(granted)` bytes of
/// records of this length.
fn run(
    limits: &Limits,
    sources: &mut [Reads],
    end_ns: u64,
    record_bytes: u64,
    mut came: impl FnMut(u64) -> u64,
) {
    loop {
        let source = sources.iter_mut().min_by_key(|it| (it.due_ns, it.reads)).unwrap();
        let now_ns = source.due_ns;
        if now_ns >= end_ns {
            return;
        }
        match limits.ask(&mut source.toll, CHUNK, now_ns) {
            Answer::Granted(grant) => {
                let bytes = came(grant.bytes);
                limits.settle(&mut source.toll, grant, bytes, bytes / record_bytes);
                source.bytes += bytes;
                source.records += bytes / record_bytes;
                source.reads += 1;
            }
            Answer::Later(later) => {
                assert!(later.until_ns > now_ns);
                *source.waited.entry(later.level).or_default() += 1;
                source.due_ns = later.until_ns;
            }
        }
    }
}

fn source(limits: &Limits, tenant: &str) -> Reads {
    let toll = limits.toll(tenant, "config", 0).unwrap();
    Reads { toll, due_ns: 0, bytes: 0, records: 0, reads: 0, waited: HashMap::new() }
}

fn assert_near(value: u64, wanted: u64, per_cent: u64) {
    assert!(value.abs_diff(wanted) * 100 <= wanted * per_cent, "{value} instead of {wanted}");
}

#[test]
fn a_limit_is_kept_within_two_in_a_hundred_over_ten_seconds() {
    for per_second in [1_000, 12_345, 1 << 20, 10 << 20, 300 << 20] {
        let limits = Limits::new(plan(NONE, &[("a", bytes(per_second))], NONE, NONE), 0);
        let mut sources = [source(&limits, "a"), source(&limits, "a"), source(&limits, "a")];
        run(&limits, &mut sources, 10 * SECOND, 100, |granted| granted);
        let read: u64 = sources.iter().map(|it| it.bytes).sum();
        assert_near(read, 10 * per_second, 2);
        let reads: u64 = sources.iter().map(|it| it.reads).sum();
        assert!(reads <= 101 + read / CHUNK, "{reads} reads at {per_second} bytes a second");
    }
}

#[test]
fn records_are_limited_too_though_they_are_known_only_after_the_read() {
    let limits = Limits::new(plan(NONE, &[("a", records(1000))], NONE, NONE), 0);
    let mut sources = [source(&limits, "a")];
    let mut lengths = [100, 1000, 37].into_iter().cycle();
    let ten_seconds = |limits: &Limits, sources: &mut [Reads], end: u64| {
        let before = sources[0].records;
        run(limits, sources, end * SECOND, lengths.next().unwrap(), |granted| granted);
        sources[0].records - before
    };
    let mut ten_seconds = ten_seconds;
    for end in [10, 20, 30] {
        assert_near(ten_seconds(&limits, &mut sources, end), 10_000, 3);
    }
}

#[test]
fn what_was_read_beyond_the_tokens_is_paid_before_the_next_read() {
    let limits = Limits::new(plan(NONE, &[("a", bytes(1000))], NONE, NONE), 0);
    let mut one = source(&limits, "a");
    let Answer::Granted(grant) = limits.ask(&mut one.toll, CHUNK, SECOND) else { panic!() };
    assert_eq!(grant.bytes, 1000);
    // A line longer than that.
    limits.settle(&mut one.toll, grant, 50_000, 1);
    assert_eq!(limits.debts(SECOND), [(Arc::from("a"), 49_000)]);
    let mut other = source(&limits, "a");
    let until_ns = 50 * SECOND + SECOND / 10;
    let later = Answer::Later(Later { level: Level::Tenant, until_ns });
    assert_eq!(limits.ask(&mut other.toll, CHUNK, SECOND), later);
    assert!(matches!(limits.ask(&mut other.toll, CHUNK, until_ns), Answer::Granted(_)));
}

#[test]
fn the_tightest_of_four_levels_decides_and_the_others_lose_nothing() {
    for (position, level) in
        [Level::Node, Level::Tenant, Level::LogConfig, Level::Container].into_iter().enumerate()
    {
        let rate = |at: usize| bytes(if at == position { 100_000 } else { 200_000 });
        let plan = plan(rate(0), &[("a", rate(1))], rate(2), rate(3));
        let limits = Limits::new(plan, 0);
        let mut sources = [source(&limits, "a")];
        run(&limits, &mut sources, 10 * SECOND, 100, |granted| granted);
        assert_near(sources[0].bytes, 1_000_000, 2);
        let waits = &sources[0].waited;
        assert!(waits.iter().all(|(it, _)| *it == level || waits[it] <= 1), "{level:?}: {waits:?}");
        let reports = limits.report(&sources[0].toll, 10 * SECOND);
        let full = reports.iter().filter(|it| it.tokens == 200_000).count();
        assert_eq!((reports.len(), full), (4, 3), "{reports:?}");
    }
}

#[test]
fn a_tenant_at_its_limit_takes_nothing_from_another() {
    let tenants = [("a", bytes(10_000)), ("b", bytes(1_000_000))];
    let limits = Limits::new(plan(NONE, &tenants, NONE, NONE), 0);
    let mut sources: Vec<Reads> = (0..20).map(|_| source(&limits, "a")).collect();
    sources.push(source(&limits, "b"));
    run(&limits, &mut sources, 10 * SECOND, 100, |granted| granted);
    assert_near(sources[20].bytes, 10_000_000, 2);
    assert_near(sources[..20].iter().map(|it| it.bytes).sum(), 100_000, 2);
}

#[test]
fn a_read_that_was_granted_and_not_made_costs_nothing() {
    let limits = Limits::new(plan(bytes(1000), &[], NONE, bytes(500)), 0);
    let mut one = source(&limits, "a");
    for _ in 0..100 {
        let Answer::Granted(grant) = limits.ask(&mut one.toll, CHUNK, SECOND) else { panic!() };
        assert_eq!(grant.bytes, 500);
        limits.settle(&mut one.toll, grant, 0, 0);
    }
}

#[test]
fn what_nothing_limits_has_nothing_to_ask() {
    let limits = Limits::new(plan(NONE, &[("a", bytes(1))], NONE, NONE), 0);
    assert!(limits.toll("b", "config", 0).is_none());
    assert!(limits.toll("a", "other", 0).is_some());
}

#[test]
fn readers_that_share_a_limit_keep_it_together() {
    let limits = Limits::new(plan(NONE, &[("a", bytes(50 << 20))], NONE, NONE), 0);
    let read: u64 = std::thread::scope(|scope| {
        let readers = [(); 4].map(|()| {
            scope.spawn(|| {
                let mut toll = limits.toll("a", "config", 0).unwrap();
                let mut read = 0;
                for step in 0..10_000 {
                    let now_ns = step * SECOND / 10_000;
                    if let Answer::Granted(grant) = limits.ask(&mut toll, CHUNK, now_ns) {
                        limits.settle(&mut toll, grant, grant.bytes / 2, 10);
                        read += grant.bytes / 2;
                    }
                }
                read
            })
        });
        readers.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert!(read <= 50 << 20, "{read}");
    assert!(read >= (50 << 20) * 9 / 10, "{read}");
}

proptest! {
    /// Whatever reads come to: in no stretch of time a level gives more than its rate, its burst, and what one
    /// read came to beyond its tokens.
    #[test]
    fn no_level_ever_gives_more_than_its_rate_and_burst(
        rates in prop::collection::vec(1_000..1_000_000_u64, 4),
        comes in prop::collection::vec(0..3_u64, 1..20),
        sources in 1..6_usize,
    ) {
        let plan = plan(bytes(rates[0]), &[("a", bytes(rates[1]))], bytes(rates[2]), bytes(rates[3]));
        let limits = Limits::new(plan, 0);
        let mut sources: Vec<Reads> = (0..sources).map(|_| source(&limits, "a")).collect();
        let mut number = 0;
        let mut longest = 0;
        run(&limits, &mut sources, 20 * SECOND, 100, |granted| {
            number += 1;
            // Half, all, or twice of what was granted; and something in any case.
            let came = granted * comes[number % comes.len()] / 2 + granted / 2;
            longest = longest.max(came.saturating_sub(granted));
            came
        });
        let together: u64 = sources.iter().map(|it| it.bytes).sum();
        let most = |rate: u64| rate * 20 + rate + longest;
        prop_assert!((0..3).all(|level| together <= most(rates[level])));
        prop_assert!(sources.iter().all(|it| it.bytes <= most(rates[3])));
        let tightest = *rates[..3].iter().min().unwrap();
        let due = tightest.min(rates[3] * sources.len() as u64) * 20;
        prop_assert!(together + due / 20 + longest >= due, "{} of {}", together, due);
    }
}
