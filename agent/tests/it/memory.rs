//! The cap on the agent's memory: what it says, and that it holds.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::chaos::Cage;
use crate::kit::{
    Agent, Bed, LOGFERRY, Run, SMALL_QUEUE, Tmpfs, append, assert_within_ms, containers, files,
    now_ns, queue_sink, resource, wait_until,
};

/// How often the agent's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// Resident memory of the agent now, in bytes.
fn resident(agent: &Agent) -> u64 {
    resident_of(&format!("/proc/{}/statm", agent.pid())).expect("it runs")
}

/// The same, of a process that may have ended.
fn resident_of(statm: &str) -> Option<u64> {
    let statm = fs::read_to_string(statm).ok()?;
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).expect("a number");
    Some(pages * 4096)
}

/// Pods of so many namespaces, each a tenant, that have written `bytes` of the shortest lines, which take most
/// memory for their bytes.
fn flood(bed: &Bed, tenants: usize, bytes: usize) -> u64 {
    let mut text = String::new();
    let mut lines = 0;
    while text.len() < bytes {
        writeln!(text, "2026-01-02T15:04:05.000000000Z stdout F x").expect("memory");
        lines += 1;
    }
    for tenant in 0..tenants {
        let folder = bed.path(format!("pods/team-{tenant}_web_uid-{tenant}/app"));
        fs::create_dir_all(&folder).unwrap();
        append(&folder.join("0.log"), text.as_bytes());
    }
    lines * tenants as u64
}

/// Delivers a flood of `tenants` by an agent that may have `cap` MiB; returns the most it had, in MiB.
fn peak_of_a_flood(cap: u64, tenants: usize, bytes: usize) -> f64 {
    let bed = Bed::new();
    let lines = flood(&bed, tenants, bytes);
    let agent = bed.agent(&format!("  memory: {cap}MiB\n"));
    bed.configure(&[&agent, &queue_sink(""), &containers("pods", "", "")]);
    let cage = Cage::new(cap << 20);
    let mut agent = match &cage {
        Some(cage) => {
            let script =
                format!("echo 0 > {} && exec {LOGFERRY} \"$@\"", cage.entrance().display());
            let mut command = std::process::Command::new("sh");
            command.args(["-e", "-c", &script, "sh"]);
            Agent::spawn_as(&bed, command)
        }
        None => Agent::spawn(&bed),
    };
    agent.wait_ready();
    let (mut peak, begin_ns) = (0, now_ns());
    loop {
        peak = peak.max(resident(&agent));
        let delivered = agent.metric("logferry_delivered_records_total");
        if delivered >= lines as f64 {
            break;
        }
        assert_within_ms(
            &format!("{delivered} of {lines}"),
            (now_ns() - begin_ns) / 1_000_000,
            300_000,
        );
        std::thread::sleep(SAMPLE);
    }
    assert_eq!(cage.as_ref().map_or(0, Cage::killed), 0, "killed for want of memory");
    let mib = peak as f64 / f64::from(1 << 20);
    println!("{tenants} tenants, {lines} lines, cap {cap} MiB: {mib:.1} MiB at most");
    assert!(peak <= cap << 20, "{mib} MiB");
    agent.stop();
    mib
}

#[test]
fn a_flood_of_short_lines_of_many_tenants_stays_below_the_cap() {
    peak_of_a_flood(64, 12, 1 << 20);
}

/// What cannot be delivered stays in memory up to the cap, and in its files beyond.
#[test]
fn a_flood_into_a_queue_that_takes_nothing_stays_below_the_cap() {
    const CAP: u64 = 64;
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 8 << 20);
    // More tenants than have a reserve.
    flood(&bed, 20, 4 << 20);
    let agent = bed.agent(&format!("  memory: {CAP}MiB\n"));
    bed.configure(&[&agent, SMALL_QUEUE, &containers("pods", "", "")]);
    let agent = Agent::start(&bed);
    disk.fill(0);
    let mut peak = 0;
    for _ in 0..60 {
        peak = peak.max(resident(&agent));
        std::thread::sleep(SAMPLE);
    }
    let mib = peak as f64 / f64::from(1 << 20);
    println!("a queue that takes nothing, cap {CAP} MiB: {mib:.1} MiB at most");
    assert!(peak <= CAP << 20, "{mib} MiB");
    agent.wait_said("more tenants than reserves fit");
    let held =
        agent.metric("logferry_read_bytes_total") - agent.metric("logferry_delivered_bytes_total");
    assert!(held > 4e6, "{held} bytes are waiting in memory: that shows nothing");
}

/// Files that are known and quiet are in the cap, too.
#[test]
fn data_in_flight_has_less_room_the_more_files_are_known() {
    const FILES: usize = 4000;
    const OPEN: usize = 100;
    const CAP: u64 = 64;
    let bed = Bed::new();
    for number in 0..FILES {
        append(&bed.log(format!("quiet-{number}.log")), b"a line\n");
    }
    let lines = flood(&bed, 4, 1 << 20) + FILES as u64;
    let agent = bed.agent(&format!("  memory: {CAP}MiB\n  openFilesMax: {OPEN}\n"));
    bed.configure(&[
        &agent,
        &queue_sink(""),
        &containers("pods", "", ""),
        &files("quiet", "*.log", ""),
    ]);
    let agent = Agent::start(&bed);
    let mut peak = 0;
    wait_until(
        "delivery",
        || {
            peak = peak.max(resident(&agent));
            agent.metric("logferry_delivered_records_total")
        },
        |it| *it >= lines as f64,
    );
    let known = agent.metric("logferry_known_bytes");
    assert!(known >= ((FILES - OPEN) << 10) as f64, "{known}");
    assert!(peak <= CAP << 20, "{peak} bytes");
    // Once they are gone, what stood for them is free again.
    fs::remove_dir_all(bed.path("logs")).unwrap();
    wait_until("forgotten", || agent.metric("logferry_known_bytes"), |it| *it < known / 100.0);
    agent.stop();
}

/// The most memory an agent has, looked at while something else goes on.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Sampler {
    fn start(agent: &Agent) -> Sampler {
        let (stop, statm) =
            (Arc::new(AtomicBool::new(false)), format!("/proc/{}/statm", agent.pid()));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            while !is_over.load(Ordering::Relaxed) {
                peak = peak.max(resident_of(&statm).unwrap_or(0));
                std::thread::sleep(SAMPLE);
            }
            peak
        });
        Sampler { stop, thread }
    }

    fn assert_below(self, cap: u64) {
        self.stop.store(true, Ordering::Relaxed);
        let peak = self.thread.join().expect("it ends");
        let mib = peak as f64 / f64::from(1 << 20);
        println!("cap {} MiB: {mib:.1} MiB at most", cap >> 20);
        assert!((1..=cap).contains(&peak), "{mib} MiB");
    }
}

/// A metric that counts things.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "things are counted")]
fn count(agent: &Agent, name: &str) -> usize {
    agent.metric(name) as usize
}

/// More files than there is memory to know them by: they wait, and come in the place of others.
#[test]
fn files_beyond_the_cap_wait_and_no_other_tenant_waits_with_them() {
    const FILES: usize = 20_000;
    const CAP: u64 = 64;
    let bed = Bed::new();
    let path =
        |number: usize| bed.log(format!("a-file-with-a-name-of-forty-bytes-{number:06}.log"));
    (0..FILES).for_each(|number| append(&path(number), format!("{number}\n").as_bytes()));
    fs::create_dir_all(bed.path("pods")).unwrap();
    let agent = bed.agent(&format!("  memory: {CAP}MiB\n  openFilesMax: 100\n"));
    let pods = containers("pods", "", "");
    bed.configure(&[&agent, &queue_sink(""), &pods, &files("many", "*.log", "")]);
    let agent = Agent::start(&bed);
    let sampler = Sampler::start(&agent);
    agent.wait_said("files wait: there is no memory to know them by");
    let waiting = |agent: &Agent| count(agent, "logferry_waiting_files");
    let delivered = |agent: &Agent| count(agent, "logferry_delivered_records_total");
    // All that is known is delivered.
    let settled = |agent: &Agent, lines: usize| {
        wait_until(
            "all that is known",
            || (delivered(agent), waiting(agent)),
            |(delivered, waiting)| delivered + waiting == lines,
        )
    };
    let (known, waits) = settled(&agent, FILES);
    assert!(waits > FILES / 2 && known > 2000, "{known} known, {waits} wait");
    // Another tenant's pod comes.
    let folder = bed.path("pods/shop_web-0_uid-0/app");
    fs::create_dir_all(&folder).unwrap();
    append(&folder.join("0.log"), b"2026-01-02T15:04:05.000000000Z stdout F shop\n");
    wait_until("the pod", || delivered(&agent), |it| *it == known + 1);
    assert_eq!(waiting(&agent), waits);
    // What waits is told of, and what to do.
    let bodies = bed.bodies();
    let is_known: HashSet<&str> = bodies.iter().map(String::as_str).collect();
    let is_waiting = |number: &usize| !is_known.contains(&*number.to_string());
    let first = (0..FILES).find(is_waiting).expect("some wait");
    let config = bed.config();
    let run =
        Run::of(&["explain", "--file", config.to_str().unwrap(), path(first).to_str().unwrap()]);
    assert!(run.stdout.contains("it waits for memory to know it by"), "{run:?}");
    sampler.assert_below(CAP << 20);
    // A restart forgets nothing of what was begun, and what is known is known before what is new.
    agent.stop();
    let last = (0..FILES).rfind(|it| !is_waiting(it)).expect("some are known");
    append(&path(last), b"more\n");
    let agent = Agent::start(&bed);
    let sampler = Sampler::start(&agent);
    wait_until("what was begun", || delivered(&agent), |it| *it >= 1);
    // What is removed makes room for what waits; what waits and is removed was never there.
    let remove = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.for_each(|number| fs::remove_file(path(number)).unwrap());
    };
    remove(&mut (0..FILES).filter(|it| !is_waiting(it) && *it != last));
    let next = wait_until("others", || delivered(&agent), |it| *it >= known - 10);
    wait_until(
        "all of them",
        || (delivered(&agent), waiting(&agent)),
        |it| it.0 + it.1 + known == FILES + 1,
    );
    let got = bed.bodies();
    let is_delivered: HashSet<&str> = got.iter().map(String::as_str).collect();
    assert_eq!(is_delivered.len(), got.len(), "each line once");
    assert!(got.len() >= known + next && is_delivered.contains("more"), "{}", got.len());
    remove(&mut (0..FILES).filter(|it| !is_delivered.contains(&*it.to_string())));
    wait_until("nothing waits", || waiting(&agent), |it| *it == 0);
    sampler.assert_below(CAP << 20);
    agent.stop();
}

#[test]
#[ignore = "takes minutes in a debug build"]
fn a_long_flood_stays_below_the_cap() {
    peak_of_a_flood(64, 40, 8 << 20);
}

#[test]
fn check_prints_the_parts_and_refuses_those_that_do_not_fit() {
    let bed = Bed::new();
    let more = resource("LogTenant", "shop", "  memory: {reserved: 8MiB}\n");
    let configure = |memory: &str| {
        let agent = bed.agent(&format!("  memory: {memory}\n"));
        bed.configure(&[&agent, &queue_sink(""), &containers("pods", "", ""), &more]);
        Run::of(&["check", "--file", bed.config().to_str().unwrap()])
    };
    let good = configure("64MiB");
    assert_eq!(good.code, Some(0), "{good:?}");
    for said in ["memory: 64MiB at most", "program:", "8MiB reserved for LogTenants"] {
        assert!(good.stdout.contains(said), "{said}: {good:?}");
    }
    let bad = configure("40MiB");
    assert_ne!(bad.code, Some(0), "{bad:?}");
    let said = bad.stdout + &bad.stderr;
    assert!(said.contains("spec.memory: 40MiB") && said.contains("write at least"), "{said}");
}

#[test]
fn a_reload_whose_parts_do_not_fit_leaves_the_last_good_one_running() {
    let bed = Bed::new();
    let configure = |memory: &str| {
        let agent = bed.agent(&format!("  memory: {memory}\n"));
        bed.configure(&[&agent, &queue_sink(""), &containers("pods", "", "")]);
    };
    configure("64MiB");
    let agent = Agent::start(&bed);
    configure("16MiB");
    agent.wait_said("the changed configuration does not start; the last stays in force");
    flood(&bed, 1, 1000);
    wait_until(
        "delivery by the last good one",
        || agent.metric("logferry_delivered_records_total"),
        |it| *it > 1.0,
    );
    agent.stop();
}
