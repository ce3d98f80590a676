//! Lives of a shipper one after the other, in random order of all that happens: the spool is open from the start,
//! or opened late, the sink is there or comes late, and each life ends at any moment.
//!
//! Two tenants send sections that are numbered. Who sends goes on from what is acknowledged, or from before that where
//! nobody can tell what is held; in the end each section is in the sink once, and in order.

use proptest::prelude::*;

use super::*;

/// Tenants, and their contexts.
const TENANTS: [(&str, u128); 2] = [("shop", 1), ("web", 7)];

/// What a life begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Whole,
    /// The spool cannot be opened yet.
    SpoolLate,
    /// Nor is the sink there.
    BothLate,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A tenant sends so many sections, by the spool if it goes before the sink or is wanted.
    Send(usize, u64, bool),
    Drain(usize),
    /// Sink and spool make all safe.
    Flush,
    Tend,
    /// The spool may be opened from now on.
    Open,
    /// The sink may come from now on.
    Come,
    /// The life ends. The next one reads from up to so many sections before what is acknowledged.
    Die(Begin, u64),
}

/// What a life has, whichever way it began.
struct Ends {
    begin: Begin,
    queue: Arc<Queue>,
    spool: Box<dyn Spool>,
    direct: Box<dyn Sink>,
    drain: Box<dyn Sink>,
    hear: Box<dyn Fn() -> Vec<Acked>>,
    ledger: Arc<Ledger>,
    may: [Arc<AtomicBool>; 2],
    now_ns: u64,
    /// By tenant: where it began to read, and what is to be sent next.
    begun: [u64; 2],
    next: [u64; 2],
    /// What was acknowledged, by source.
    acked: Vec<Acked>,
}

impl Ends {
    fn begin(dir: &Path, begin: Begin, safe: &mut [u64; 2], behind: u64) -> Ends {
        let (mut ends, persisted) = match begin {
            Begin::Whole => Ends::whole(dir),
            Begin::SpoolLate | Begin::BothLate => Ends::late(dir, begin),
        };
        for (tenant, there) in persisted.into_iter().enumerate() {
            if begin == Begin::Whole {
                assert!(there >= safe[tenant], "{there} are held, {} acknowledged", safe[tenant]);
                safe[tenant] = there;
            }
            ends.begun[tenant] = safe[tenant].saturating_sub(behind).max(there);
        }
        ends.next = ends.begun;
        ends
    }

    fn whole(dir: &Path) -> (Ends, [u64; 2]) {
        let mut life = whole(dir);
        let there = TENANTS.map(|(_, it)| reach(&life.read_back.persisted(ContextId(it))) / BYTES);
        let Life { queue, end, direct, drain, hear, ledger, now_ns, .. } = life;
        let may = [Arc::default(), Arc::default()];
        let (spool, direct, drain) = (Box::new(end), Box::new(direct), Box::new(drain));
        (Ends::of(Begin::Whole, queue, (spool, direct, drain), (hear, ledger), may, now_ns), there)
    }

    fn late(dir: &Path, begin: Begin) -> (Ends, [u64; 2]) {
        let has_sink = begin == Begin::SpoolLate;
        let life = LateLife::with(dir, has_sink);
        let mut of_sink = QueueReadBack::of(&life.queue).unwrap();
        // Of a sink that is not there nobody knows anything.
        let there = TENANTS.map(|(_, it)| match has_sink {
            true => reach(&of_sink.persisted(ContextId(it))) / BYTES,
            false => 0,
        });
        let LateLife { queue, ends, may_open, sink_may_come, hear, ledger, now_ns, .. } = life;
        let LateEnds { spool, drain, direct } = ends;
        let may = [may_open, sink_may_come];
        (Ends::of(begin, queue, (spool, direct, drain), (hear, ledger), may, now_ns), there)
    }

    fn of(
        begin: Begin,
        queue: Arc<Queue>,
        (spool, direct, drain): (Box<dyn Spool>, Box<dyn Sink>, Box<dyn Sink>),
        (hear, ledger): (Box<dyn Fn() -> Vec<Acked>>, Arc<Ledger>),
        may: [Arc<AtomicBool>; 2],
        now_ns: u64,
    ) -> Ends {
        let (begun, next, acked) = ([0; 2], [0; 2], Vec::new());
        Ends { begin, queue, spool, direct, drain, hear, ledger, may, now_ns, begun, next, acked }
    }

    fn send(&mut self, tenant: usize, sections: u64, by_spool: bool) {
        let (name, context) = TENANTS[tenant];
        let (begin, end) = (self.next[tenant], self.next[tenant] + sections);
        let parts = (begin..end).map(|it| part(context, it * BYTES, (it + 1) * BYTES));
        let parts: Vec<Part> = parts.collect();
        let payload = payload_of(name, &self.ledger, Codec::None, &parts);
        let is_taken = if self.spool.holds(name) {
            self.spool.keep(payload).is_ok()
        } else if by_spool && self.is_spool_there() {
            // As a shipper does: nothing of it is on its way to the sink.
            self.queue.flush(far_deadline()).unwrap();
            self.spool.keep(payload).is_ok()
        } else {
            self.direct.submit(payload).is_ok()
        };
        self.next[tenant] = if is_taken { end } else { begin };
    }

    /// Before it is, it takes nothing.
    fn is_spool_there(&self) -> bool {
        self.begin == Begin::Whole || self.may[0].load(Ordering::Relaxed)
    }

    /// Whether there was something, and it was taken.
    fn drain(&mut self, tenant: usize) -> bool {
        let Some(payload) = self.spool.next(TENANTS[tenant].0) else { return false };
        let refused = self.drain.submit(payload).err();
        let is_taken = refused.is_none();
        refused.into_iter().for_each(|it| self.spool.give_back(it.payload));
        is_taken
    }

    fn flush(&mut self, safe: &mut [u64; 2]) {
        self.queue.flush(far_deadline()).unwrap();
        self.spool.flush(far_deadline()).unwrap();
        self.acked.extend((self.hear)());
        for (tenant, (_, context)) in TENANTS.into_iter().enumerate() {
            let own = self.acked.iter().filter(|it| u128::from(it.source.0) == context);
            let mut spans: Vec<_> =
                own.map(|it| (it.span.begin / BYTES, it.span.end / BYTES)).collect();
            spans.sort_unstable();
            let begun = self.begun[tenant];
            let reach = |at: u64, it: &(u64, u64)| if it.0 <= at { at.max(it.1) } else { at };
            safe[tenant] = safe[tenant].max(spans.iter().fold(begun, reach));
        }
    }

    fn tend(&mut self) {
        self.now_ns += LATER_NS;
        self.spool.tend(self.now_ns).unwrap();
        self.direct.tend(self.now_ns);
        self.drain.tend(self.now_ns);
    }

    /// Nothing fails any more: all that was ever sent is, and is drained.
    fn finish(&mut self, sent: [u64; 2], safe: &mut [u64; 2]) {
        self.may.iter().for_each(|it| it.store(true, Ordering::Relaxed));
        for _ in 0..200 {
            self.tend();
            for (tenant, sent) in sent.into_iter().enumerate() {
                if self.next[tenant] < sent {
                    self.send(tenant, 1, false);
                }
                while self.drain(tenant) {}
            }
            self.flush(safe);
        }
        assert_eq!((self.next, *safe), (sent, sent), "all is acknowledged in the end");
        assert!(TENANTS.iter().all(|(it, _)| !self.spool.holds(it)));
    }
}

fn run(steps: &[Step], last: Begin) {
    let dir = tempdir().unwrap();
    let (mut safe, mut sent) = ([0; 2], [0; 2]);
    let mut life = Ends::begin(dir.path(), Begin::Whole, &mut safe, 0);
    for step in steps.iter().copied().chain([Step::Die(last, 3)]) {
        match step {
            Step::Send(tenant, sections, by_spool) => life.send(tenant, sections, by_spool),
            Step::Drain(tenant) => drop(life.drain(tenant)),
            Step::Flush => life.flush(&mut safe),
            Step::Tend => life.tend(),
            Step::Open => {
                life.may[0].store(true, Ordering::Relaxed);
                (0..10).for_each(|_| life.tend());
            }
            Step::Come => {
                life.may[1].store(true, Ordering::Relaxed);
                (0..10).for_each(|_| life.tend());
            }
            Step::Die(begin, behind) => {
                drop(life);
                life = Ends::begin(dir.path(), begin, &mut safe, behind);
            }
        }
        for (sent, next) in sent.iter_mut().zip(life.next) {
            *sent = next.max(*sent);
        }
    }
    let all = sent.map(|it| it + 2);
    life.finish(all, &mut safe);
    drop(life);
    for ((name, _), sections) in TENANTS.into_iter().zip(all) {
        let (batches, problems) = read_all(&dir.path().join("sink"), name);
        assert!(problems.is_empty(), "{problems:?}");
        batches.iter().for_each(assert_bodies);
        let there: Vec<u64> = spans(&batches).iter().map(|(_, it)| it.begin / BYTES).collect();
        assert_eq!(there, Vec::from_iter(0..sections), "of {name}, once and in order");
    }
}

fn begin() -> impl Strategy<Value = Begin> {
    prop_oneof![Just(Begin::Whole), Just(Begin::SpoolLate), Just(Begin::BothLate)]
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || 0..TENANTS.len();
    prop_oneof![
        10 => (tenant(), 1..4u64, any::<bool>()).prop_map(|(who, it, way)| Step::Send(who, it, way)),
        4 => tenant().prop_map(Step::Drain),
        3 => Just(Step::Flush),
        2 => Just(Step::Tend),
        2 => Just(Step::Open),
        2 => Just(Step::Come),
        3 => (begin(), 0..5u64).prop_map(|(it, behind)| Step::Die(it, behind)),
    ]
}

fn cases() -> u32 {
    std::env::var("LATE_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_spools_and_sinks_hold_that_come_late_comes_once_and_in_order(
        steps in prop::collection::vec(step(), 1..60),
        last in begin(),
    ) {
        run(&steps, last);
    }
}
