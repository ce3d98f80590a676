//! Deaths of the agent at any moment, while lines are written and files rotated.

use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::random::Random;
use benches::wrap::Format;
use rustix::process::Signal;

use crate::kit::{
    Agent, Bed, Writer, assert_exact, containers, load, now_ns, queue_sink, rotation, sleep_ms,
};

/// Containers' logs that rotate every second or so, at half a megabyte a second.
fn rotating(bed: &Bed) -> LoadSpec {
    LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        stderr_share: 0.2,
        rotation: rotation(128 << 10),
        ..load(&bed.path("pods"), 4)
    }
}

/// More threads than one of each kind, small batches, and another encoding and codec.
fn configure_many_threads(bed: &Bed) {
    let agent = bed.agent("  readers: 2\n  shippers: 2\n");
    let sink = queue_sink(
        "  encoding: json_lines\n  compression: {codec: lz4}\n  batch: {bytes: 16KiB}\n",
    );
    bed.configure(&[&agent, &sink, &containers("pods", "", "")]);
}

/// Another one in every run; said, so that a failure can be looked at again.
fn seed(what: &str) -> Random {
    let seed = now_ns();
    println!("{what}: seed {seed}");
    Random::new(seed)
}

#[test]
fn kill_nine_loop_loses_and_doubles_nothing() {
    const KILLS: u32 = 30;
    let mut random = seed("kill -9");
    let bed = Bed::new();
    bed.configure_pods();
    let writer = Writer::start(&rotating(&bed));
    let mut was_collecting = 0;
    for _ in 0..KILLS {
        let agent = Agent::spawn(&bed);
        sleep_ms(u64::from(20 + random.below(900)));
        was_collecting += u32::from(agent.stderr().contains("collecting"));
        agent.kill();
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
    assert!(was_collecting > KILLS / 3, "only {was_collecting} of {KILLS} had got to collecting");
}

#[test]
fn a_loop_of_sigterm_is_clean_each_time_and_loses_and_doubles_nothing() {
    const STOPS: u32 = 12;
    let mut random = seed("SIGTERM");
    let bed = Bed::new();
    configure_many_threads(&bed);
    let writer = Writer::start(&rotating(&bed));
    for _ in 0..STOPS {
        let agent = Agent::start(&bed);
        sleep_ms(u64::from(random.below(500)));
        agent.stop();
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn an_agent_that_is_stopped_and_continued_loses_and_doubles_nothing() {
    const PAUSES: u32 = 8;
    let mut random = seed("SIGSTOP");
    let bed = Bed::new();
    bed.configure_pods();
    let mut agent = Agent::start(&bed);
    let writer = Writer::start(&rotating(&bed));
    for _ in 0..PAUSES {
        sleep_ms(u64::from(random.below(300)));
        agent.freeze();
        sleep_ms(u64::from(random.below(700)));
        agent.signal(Signal::CONT);
    }
    let truth = writer.stop();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
    bed.assert_audit_clean();
}
