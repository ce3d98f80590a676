//! Shares: limits of bytes and records are kept, and tenants get what their weights say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::kit::{
    Agent, Bed, Container, Run, SMALL_QUEUE, Tmpfs, append, body, containers, files, queue_sink,
    resource, sleep_ms, wait_until,
};

const MIB: u64 = 1 << 20;
/// Length of a line, in bytes.
const LINE: usize = 1000;

/// Lines that say where they stand, all of the same length.
fn lines(range: std::ops::Range<u64>) -> Vec<u8> {
    let line = |number: u64| format!("{number:0>width$}\n", width = LINE - 1);
    range.map(line).collect::<String>().into_bytes()
}

/// A tenant, and a LogConfig of the files that begin with its name.
fn tenant(name: &str, spec: &str) -> [String; 2] {
    let config = files(name, &format!("{name}*.log"), &format!("  tenant: {name}\n"));
    [resource("LogTenant", name, spec), config]
}

fn configure(bed: &Bed, agent: &str, tenants: &[[String; 2]]) {
    let (agent, sink) = (bed.agent(agent), queue_sink(""));
    let of_tenants = tenants.iter().flatten().map(String::as_str);
    let all: Vec<&str> = [&*agent, &*sink].into_iter().chain(of_tenants).collect();
    bed.configure(&all);
}

/// When the agent read the record, in nanoseconds.
fn read_ns(record: &Value) -> i128 {
    let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    time.as_nanosecond()
}

/// Bytes of each tenant's records by the time at which they were read.
fn reads(bed: &Bed) -> BTreeMap<String, Vec<(i128, u64)>> {
    let mut reads: BTreeMap<String, Vec<(i128, u64)>> = BTreeMap::new();
    for record in bed.records() {
        let bytes = body(&record).len() as u64 + 1;
        let tenant = record["tenant"].as_str().unwrap().to_owned();
        reads.entry(tenant).or_default().push((read_ns(&record), bytes));
    }
    reads.values_mut().for_each(|it| it.sort_unstable());
    reads
}

fn bytes_within(reads: &[(i128, u64)], from_ns: i128, seconds: i128) -> u64 {
    let window = from_ns..from_ns + seconds * 1_000_000_000;
    reads.iter().filter(|(time_ns, _)| window.contains(time_ns)).map(|(_, bytes)| bytes).sum()
}

#[track_caller]
fn assert_near(what: &str, value: u64, wanted: u64, per_cent: u64) {
    println!("{what}: {value} instead of {wanted}");
    assert!(value.abs_diff(wanted) * 100 <= wanted * per_cent, "{what}: {value}, not {wanted}");
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
fn delivered(agent: &Agent, tenant: &str) -> u64 {
    let metrics = agent.metrics();
    let bytes = metrics.sum_where("logferry_delivered_bytes_total", "tenant", tenant);
    bytes.unwrap_or(0.0) as u64
}

#[test]
fn a_limit_of_bytes_is_kept_over_every_ten_seconds_as_the_queue_sees_it() {
    let bed = Bed::new();
    let limit = "  limits: {bytesPerSecond: 1MiB}\n";
    configure(&bed, "", &[tenant("web", limit)]);
    // Two files, as the limit is the tenant's.
    append(&bed.log("web1.log"), &lines(0..9_000));
    append(&bed.log("web2.log"), &lines(0..9_000));
    let agent = Agent::start(&bed);
    let said = wait_until("held back", || explain(&bed, "web1.log"), |it| it.contains("waits for"));
    assert!(said.contains("waits for the limit of its tenant"), "{said}");
    assert!(said.contains("limit of its tenant: 1048576 bytes a second"), "{said}");
    wait_until("all", || delivered(&agent, "web"), |bytes| *bytes == 18_000 * LINE as u64);
    let delayed = agent.metric("logferry_delayed_bytes_total");
    assert!(delayed > 16e6, "{delayed}");
    assert!(agent.metric("logferry_delayed_seconds_total") > 10.0);
    agent.stop();
    let reads = reads(&bed);
    let reads = &reads["web"];
    let first_ns = reads[0].0;
    for step in 0..12 {
        let from_ns = first_ns + step * 500_000_000;
        assert_near(&format!("from {step}/2 s on"), bytes_within(reads, from_ns, 10), 10 * MIB, 2);
    }
    bed.assert_audit_clean();
}

fn explain(bed: &Bed, name: &str) -> String {
    let (config, path) = (bed.config(), bed.log(name));
    Run::of(&["explain", "--file", config.to_str().unwrap(), path.to_str().unwrap()]).stdout
}

#[test]
fn records_and_containers_are_limited_and_a_limit_that_changes_costs_nothing() {
    let bed = Bed::new();
    let limits = |per_container: u32| {
        let fields = format!("  limits: {{perContainer: {{recordsPerSecond: {per_container}}}}}\n");
        bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "*.log", &fields)]);
    };
    limits(100);
    for name in ["a.log", "b.log"] {
        append(&bed.log(name), &lines(0..3_000));
    }
    let agent = Agent::start(&bed);
    let records = || agent.metric("logferry_delivered_records_total");
    wait_until("some", records, |it| *it >= 200.0);
    let (before, begin_ns) = (records(), crate::kit::now_ns());
    sleep_ms(4_000);
    let seconds = (crate::kit::now_ns() - begin_ns) as f64 / 1e9;
    let rate = (records() - before) / seconds;
    assert!((170.0..230.0).contains(&rate), "{rate} records a second of two files");
    limits(1_000_000);
    agent.signal(rustix::process::Signal::HUP);
    wait_until("all", records, |it| *it >= 6_000.0);
    agent.stop();
    assert_eq!(bed.bodies().len(), 6_000);
    bed.assert_audit_clean();
}

#[test]
fn equal_tenants_share_what_the_node_may_read_and_a_flood_delays_nobody_else() {
    let bed = Bed::new();
    let node = "  readers: 1\n  limits: {bytesPerSecond: 4MiB}\n";
    configure(&bed, node, &[tenant("flood", "  weight: 100\n"), tenant("calm", "  weight: 100\n")]);
    // One tenant has four files, the other one.
    for number in 0..4 {
        append(&bed.log(format!("flood{number}.log")), &lines(0..12_000));
    }
    append(&bed.log("calm.log"), &lines(0..20_000));
    let agent = Agent::start(&bed);
    wait_until("calm read", || delivered(&agent, "calm"), |it| *it == 20_000 * LINE as u64);
    // From now on calm writes half of its share, and is not behind.
    let mut lag_max = 0;
    for step in 0..30 {
        append(&bed.log("calm.log"), &lines(20_000 + step * 100..20_000 + (step + 1) * 100));
        sleep_ms(100);
        let written = (20_000 + (step + 1) * 100) * LINE as u64;
        lag_max = lag_max.max(written - delivered(&agent, "calm"));
    }
    let total = 23_000 * LINE as u64;
    wait_until("calm read", || delivered(&agent, "calm"), |it| *it == total);
    println!("calm was at most {lag_max} bytes behind");
    assert!(lag_max <= MIB, "{lag_max}");
    assert!(delivered(&agent, "flood") < 48_000 * LINE as u64, "the flood was over too early");
    agent.stop();
    let reads = reads(&bed);
    let begin_ns = reads["calm"][0].0.max(reads["flood"][0].0);
    let shares = ["calm", "flood"].map(|it| bytes_within(&reads[it], begin_ns, 8));
    assert_near("calm's half of 8 s", shares[0], 16 * MIB, 4);
    assert_near("the flood's half", shares[1], 16 * MIB, 4);
    bed.assert_audit_clean();
}

#[test]
fn weights_divide_what_the_node_may_read() {
    let bed = Bed::new();
    let node = "  readers: 1\n  limits: {bytesPerSecond: 4MiB}\n";
    configure(
        &bed,
        node,
        &[tenant("heavy", "  weight: 300\n"), tenant("light", "  weight: 100\n")],
    );
    append(&bed.log("heavy.log"), &lines(0..30_000));
    append(&bed.log("light.log"), &lines(0..30_000));
    let agent = Agent::start(&bed);
    wait_until("heavy read", || delivered(&agent, "heavy"), |it| *it == 30_000 * LINE as u64);
    let light = delivered(&agent, "light");
    agent.stop();
    assert_near("a third", light, 10_000 * LINE as u64, 8);
    fs::remove_file(bed.log("light.log")).unwrap();
}

/// A tenant with 5 MB to read, a limit of 100 KiB/s, and this to do at it; returns what was delivered, filtered
/// and declared when all is done with.
fn overrun(bed: &Bed, at_limit: &str) -> [u64; 3] {
    let limits = format!("bytesPerSecond: 100KiB, maxLag: 1s, {at_limit}");
    configure(bed, "", &[tenant("web", &format!("  limits: {{{limits}}}\n"))]);
    append(&bed.log("web.log"), &lines(0..5_000));
    let agent = Agent::start(bed);
    let counts = || {
        [
            delivered(&agent, "web"),
            count(&agent, "logferry_filtered_bytes_total"),
            count(&agent, "logferry_gap_bytes_total"),
        ]
    };
    let counts = wait_until("all", counts, |it| it.iter().sum::<u64>() == 5_000 * LINE as u64);
    let shed = count(&agent, "logferry_shed_records_total");
    assert_eq!(shed, (counts[1] + counts[2]) / LINE as u64, "each is counted");
    agent.stop();
    counts
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
fn count(agent: &Agent, name: &str) -> u64 {
    agent.metric(name) as u64
}

/// The numbers of the lines in the queue; each is whole.
fn numbers(bed: &Bed) -> Vec<u64> {
    let records = bed.records();
    let lines = records.iter().filter(|it| it.get("log.gap.reason").is_none()).map(body);
    let whole = |line: String| {
        assert_eq!(line.len(), LINE - 1);
        line.parse().unwrap()
    };
    lines.map(whole).collect()
}

#[test]
fn what_has_waited_too_long_is_shed_at_the_border_of_records_and_declared() {
    let bed = Bed::new();
    let [delivered, filtered, gaps] = overrun(&bed, "atLimit: shedOldest");
    assert_eq!(filtered, 0);
    assert!(delivered >= 100_000 && gaps >= 3_000_000, "{delivered} delivered, {gaps} shed");
    let numbers = numbers(&bed);
    assert_eq!(numbers.len() as u64 * LINE as u64, delivered);
    assert!(numbers.is_sorted_by(|one, other| one < other), "in order, none twice");
    let declared: u64 = bed
        .records()
        .iter()
        .filter(|it| it["log.gap.reason"] == "shed")
        .map(|it| it["log.gap.bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(declared, gaps, "what is missing is what is declared");
    bed.assert_audit_clean();
}

#[test]
fn a_sample_keeps_one_in_so_many_of_what_has_waited_too_long() {
    let bed = Bed::new();
    let [delivered, filtered, gaps] = overrun(&bed, "atLimit: sample, sampleOneIn: 10");
    assert_eq!(gaps, 0);
    assert!(filtered >= 2_000_000, "{delivered} delivered, {filtered} left out");
    let numbers = numbers(&bed);
    assert_eq!(numbers.len() as u64 * LINE as u64, delivered);
    assert!(numbers.is_sorted_by(|one, other| one < other), "in order, none twice");
    let apart = numbers.windows(2).map(|it| it[1] - it[0]);
    assert!(apart.clone().all(|it| it <= 10), "one in ten at least");
    assert!(apart.filter(|it| *it == 10).count() > 100, "and mostly no more");
    bed.assert_audit_clean();
}

#[test]
fn what_the_next_rotation_would_take_is_shed_while_a_limit_holds_it_back() {
    let bed = Bed::new();
    let spec = "  limits: {bytesPerSecond: 10KiB, atLimit: shedOldest}\n";
    let tenant = resource("LogTenant", "shop", spec);
    bed.configure(&[&bed.agent(""), &queue_sink(""), &tenant, &containers("pods", "", "")]);
    let mut container = Container::create(&bed.path("pods/shop_web-0_u1/app"));
    container.write(1);
    let agent = Agent::start(&bed);
    for _ in 0..8 {
        container.write(1_000);
        sleep_ms(200);
        container.rotate();
        sleep_ms(200);
    }
    let written = container.bodies().len() as u64 * container.line_bytes();
    let gaps = || count(&agent, "logferry_gap_bytes_total");
    let done = || delivered(&agent, "shop") + gaps();
    wait_until("all", done, |it| *it == written);
    let shed = agent.metrics().sum_where("logferry_gap_bytes_total", "reason", "shed");
    assert!(gaps() > written / 2 && shed == Some(gaps() as f64), "{shed:?} of {}", gaps());
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn what_a_tenant_has_in_flight_and_open_stays_within_its_limits_and_all_arrives() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 32 << 20);
    let limits = "  inFlightBytes: 64KiB\n  openFiles: 3\n";
    let agent = bed.agent("  chunkBytes: 16KiB\n  readers: 2\n");
    let [limited, config] = tenant("web", limits);
    bed.configure(&[&agent, SMALL_QUEUE, &limited, &config]);
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    for number in 0..20 {
        append(&bed.log(format!("web{number}.log")), &lines(0..200));
    }
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    let of_web = |name: &str| agent.metrics().sum_where(name, "tenant", "web").unwrap();
    // Nothing is acknowledged any more.
    for _ in 0..20 {
        let in_flight = of_web("logferry_in_flight_bytes");
        assert!(in_flight > 0.0 && in_flight <= 65_536.0, "{in_flight} in flight");
        sleep_ms(50);
    }
    disk.free();
    let all = || {
        let open = of_web("logferry_tenant_open_files");
        // One more for each reader, while it reads.
        assert!(open <= 5.0, "{open} open");
        delivered(&agent, "web")
    };
    wait_until("all", all, |bytes| *bytes == 4_000 * LINE as u64);
    agent.stop();
    bed.assert_audit_clean();
}
