//! What may not be read is not read, whatever it is called and however fast it changes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use crate::kit::{
    Agent, Bed, LOGFERRY, Run, append, containers, files, queue_sink, resource, sleep_ms,
    wait_until,
};

/// What no log, record or answer may ever show.
const CANARY: &str = "canary-5e1f";

/// `logs/*.log` and `logs/*/*.log`, with further fields of the source, looked at ten times a second.
fn configure(bed: &Bed, fields: &str) {
    let source = format!(
        "  source:\n    files:\n      include: ['{{dir}}/logs/*.log', '{{dir}}/logs/*/*.log']\n{fields}"
    );
    let agent = bed.agent("  scanInterval: 100ms\n");
    bed.configure(&[&agent, &queue_sink(""), &resource("LogConfig", "files", &source)]);
}

fn explain(bed: &Bed, path: &Path) -> Run {
    let mut command = Command::new(LOGFERRY);
    command.arg("explain").arg("--file").arg(bed.config()).arg(path);
    Run::by(command, &[])
}

/// A file beside the logs that the agent could read.
fn secret(bed: &Bed) -> PathBuf {
    fs::create_dir_all(bed.path("secret")).unwrap();
    append(&bed.path("secret/key.log"), format!("{CANARY}\n").as_bytes());
    bed.path("secret/key.log")
}

/// How often the agent said `text`.
fn said(agent: &Agent, text: &str) -> usize {
    agent.stderr().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a13_what_is_no_regular_file_is_not_opened_and_holds_nobody_up() {
    let bed = Bed::new();
    configure(&bed, "");
    mknodat(CWD, bed.log("fifo.log"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = UnixListener::bind(bed.log("socket.log")).unwrap();
    // /dev/zero: read, it would never end.
    let device = rustix::fs::makedev(1, 5);
    mknodat(CWD, bed.log("device.log"), FileType::CharacterDevice, Mode::RWXU, device).unwrap();
    fs::create_dir(bed.log("folder.log")).unwrap();
    symlink("fifo.log", bed.log("link.log")).unwrap();
    append(&bed.log("app.log"), b"one\n");
    let agent = Agent::start(&bed);
    append(&bed.log("app.log"), b"two\n");
    bed.wait_for_bodies(&["one", "two"]);
    // Many scans later it was still said once.
    sleep_ms(500);
    for (name, kind, times) in [
        ("fifo.log", "a FIFO", 1),
        ("socket.log", "a socket", 1),
        ("device.log", "a device", 1),
        ("link.log", "a FIFO", 1),
        ("folder.log", "a directory", 0),
    ] {
        let run = explain(&bed, &bed.log(name));
        let why = format!("does not select it: it is {kind}; only regular files are read");
        assert!(run.stdout.contains(&why), "{name}: {run:?}");
        assert_eq!(run.code, Some(1), "{run:?}");
        assert_eq!(said(&agent, &format!("logs/{name} ")), times, "{name}");
    }
    assert_eq!(agent.metric("logferry_refused_paths"), 4.0);
    fs::remove_file(bed.log("fifo.log")).unwrap();
    // The link leads nowhere now, which is no refusal.
    wait_until("two less", || agent.metric("logferry_refused_paths"), |it| *it == 2.0);
    agent.stop();
}

#[test]
fn a7_a_link_is_followed_within_the_roots_and_where_an_administrator_says() {
    let bed = Bed::new();
    configure(&bed, "");
    let secret = secret(&bed);
    fs::create_dir(bed.log("data")).unwrap();
    append(&bed.log("data/current"), b"inside\n");
    symlink("data/current", bed.log("near.log")).unwrap();
    symlink(&secret, bed.log("far.log")).unwrap();
    symlink(bed.path("secret"), bed.log("folder")).unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["inside"]);
    let why = format!("leads to {}, beyond its reach", secret.display());
    agent.wait_said(&why);
    sleep_ms(500);
    assert_eq!(said(&agent, "logs/far.log "), 1);
    assert_eq!(said(&agent, "logs/folder "), 1);
    let run = explain(&bed, &bed.log("far.log"));
    assert!(run.stdout.contains(&why) && run.stdout.contains("followLinksInto"), "{run:?}");
    assert_eq!(run.code, Some(1), "{run:?}");

    // It leads elsewhere now, which is said too.
    fs::remove_file(bed.log("far.log")).unwrap();
    symlink("/proc/self/environ", bed.log("far.log")).unwrap();
    agent.wait_said("leads to /proc/self/environ, beyond");
    fs::remove_file(bed.log("far.log")).unwrap();
    symlink(&secret, bed.log("far.log")).unwrap();
    bed.wait_for_bodies(&["inside"]);

    configure(&bed, "      followLinksInto: ['{dir}/secret']\n");
    agent.wait_said("configuration changed; putting it in force");
    // Once by each of the two links.
    bed.wait_for_bodies(&["inside", CANARY, CANARY]);
    agent.stop();
}

#[test]
fn a7_links_of_containers_lead_into_dockers_folder_and_not_to_other_pods() {
    let bed = Bed::new();
    let links = "      followLinksInto: ['{dir}/docker']\n";
    bed.configure(&[
        &bed.agent("  scanInterval: 100ms\n"),
        &queue_sink(""),
        &containers("pods", links, ""),
    ]);
    let line = |text: &str| {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}}\n"
        )
    };
    let docker = bed.path("docker/c1");
    fs::create_dir_all(&docker).unwrap();
    append(&docker.join("c1-json.log"), line("one").as_bytes());
    for pod in ["shop_web-0_u1/app", "thief_web-0_u2/app", "bank_web-0_u3/app"] {
        fs::create_dir_all(bed.path("pods").join(pod)).unwrap();
    }
    symlink(docker.join("c1-json.log"), bed.path("pods/shop_web-0_u1/app/0.log")).unwrap();
    append(&bed.path("pods/bank_web-0_u3/app/0.log"), b"2026-01-02T03:04:05Z stdout F bank\n");
    symlink("../../bank_web-0_u3/app/0.log", bed.path("pods/thief_web-0_u2/app/0.log")).unwrap();
    symlink(secret(&bed), bed.path("pods/thief_web-0_u2/app/1.log")).unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_records(2);
    // As Docker rotates.
    fs::rename(docker.join("c1-json.log"), docker.join("c1-json.log.1")).unwrap();
    append(&docker.join("c1-json.log.1"), line("two").as_bytes());
    append(&docker.join("c1-json.log"), line("three").as_bytes());
    bed.wait_for_records(4);
    let bodies = |namespace: &str| {
        let records = bed.records().into_iter();
        let own = records.filter(|it| it["k8s.namespace.name"] == namespace);
        own.map(|it| it["body"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bodies("shop"), ["one", "two", "three"]);
    assert_eq!(bodies("bank"), ["bank"]);
    assert_eq!(agent.metric("logferry_refused_paths"), 2.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_flip_between_a_log_and_a_link_to_a_secret_never_leaks_a_byte() {
    const SECONDS: u64 = 4;
    let bed = Bed::new();
    configure(&bed, "");
    let secret = secret(&bed);
    fs::create_dir(bed.log("sub")).unwrap();
    for log in ["app.log", "sub/app.log"] {
        append(&bed.log(log), b"log\n");
    }
    // What is exchanged away lies where nothing is selected.
    symlink(&secret, bed.path("swap")).unwrap();
    symlink(bed.path("secret"), bed.path("sub.swap")).unwrap();
    fs::rename(&secret, bed.path("secret/app.log")).unwrap();
    symlink("app.log", &secret).unwrap();
    let mut agent = Agent::start(&bed);
    let (is_over, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for (path, link) in [("app.log", "swap"), ("sub", "sub.swap")] {
            let (path, link) = (bed.log(path), bed.path(link));
            let (is_over, flips) = (&is_over, &flips);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    for _ in 0..2 {
                        renameat_with(CWD, &path, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                        flips.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // New files all the time, so that there is always something to open.
        for number in 0..SECONDS * 20 {
            let path = bed.log(format!("new{number}.log"));
            let swap = bed.path("new.swap");
            symlink(&secret, &swap).unwrap();
            append(&path, b"new\n");
            renameat_with(CWD, &path, CWD, &swap, RenameFlags::EXCHANGE).unwrap();
            renameat_with(CWD, &path, CWD, &swap, RenameFlags::EXCHANGE).unwrap();
            fs::remove_file(swap).unwrap();
            sleep_ms(50);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} flips", flips.load(Ordering::Relaxed));
    agent.assert_running();
    bed.wait_for_records(usize::try_from(SECONDS * 20).unwrap() + 2);
    let stderr = agent.stderr();
    agent.stop();
    assert!(!bed.bodies().iter().any(|it| it.contains(CANARY)), "a secret was delivered");
    assert!(stderr.contains("beyond its reach"), "no race was run: {stderr}");
    assert!(!stderr.contains(CANARY), "{stderr}");
    bed.assert_audit_clean();
}

#[test]
fn files_of_any_name_are_found_again_after_a_restart_and_explained() {
    let bed = Bed::new();
    bed.configure_files();
    let names: [(&[u8], &str); 4] = [
        (b"not utf8 \xff.log", "not utf8 \\xff.log"),
        (b"back\\slash.log", "back\\x5cslash.log"),
        (b"new\nline\x1b[31m.log", "new\\x0aline\\x1b[31m.log"),
        (b"\x01.log", "\\x01.log"),
    ];
    let path = |name: &[u8]| bed.log(std::ffi::OsStr::from_bytes(name));
    for (name, _) in names {
        append(&path(name), b"one\n");
    }
    let agent = Agent::start(&bed);
    bed.wait_for_records(names.len());
    for (name, shown) in names {
        for asked in [path(name), bed.log(shown)] {
            let run = explain(&bed, &asked);
            let want = format!("{}: read to 4 of 4", bed.log(shown).display());
            assert!(run.stdout.contains("selects it: 4 bytes, readable"), "{run:?}");
            assert!(run.stdout.contains(&want), "{run:?}");
        }
    }
    agent.kill();
    for (name, _) in names {
        append(&path(name), b"two\n");
    }
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2 * names.len());
    for (_, shown) in names {
        let shown = bed.log(shown).display().to_string();
        let of_file = records.iter().filter(|it| it["log.file.path"] == shown.as_str());
        let bodies: Vec<&str> = of_file.map(|it| it["body"].as_str().unwrap()).collect();
        assert_eq!(bodies, ["one", "two"], "{shown}");
    }
    agent.stop();
    bed.assert_audit_clean();
}

/// Lines that are in no format, too long, cut off, not finished or not UTF-8 give much cause to
/// complain, and each complaint could quote them.
#[test]
fn nothing_that_the_agent_says_has_content_of_logs() {
    let bed = Bed::new();
    let agent = bed.agent("  scanInterval: 100ms\n  log: {level: trace}\n");
    let odd =
        files("odd", "*.log", "  format: cri\n  line: {maxBytes: 1KiB, flushTimeout: 50ms}\n");
    let json = files("json", "*.json", "  format: docker\n");
    let text = format!("{agent}\n---\n{}\n---\n{odd}\n---\n{json}", queue_sink(""));
    bed.configure(&[&text]);
    let long = format!("{CANARY} ").repeat(1000);
    let lines = format!(
        "{CANARY}\n2026-99-99T stdout F {CANARY}\n2026-01-02T03:04:05Z {CANARY} F x\n\
         2026-01-02T03:04:05Z stdout P {CANARY}\n{long}\n{CANARY}"
    );
    append(&bed.log("bad.log"), lines.as_bytes());
    append(&bed.log("bytes.log"), &[b"\xff\xfe", CANARY.as_bytes(), b"\0\n"].concat());
    let docker = format!("{{\"log\":\"{CANARY}\\u12\",\"stream\":\"{CANARY}\"}}\n{{{CANARY}\n");
    append(&bed.log("bad.json"), docker.as_bytes());
    symlink(secret(&bed), bed.log("link.log")).unwrap();
    let agent = Agent::start(&bed);
    let is_there =
        |bodies: &Vec<String>| bodies.iter().filter(|it| it.contains(CANARY)).count() > 8;
    wait_until("what was written", || bed.bodies(), is_there);
    // Cut off, and begun anew.
    fs::write(bed.log("bad.log"), format!("{CANARY}\n")).unwrap();
    agent.wait_said("truncated");
    let said = [
        agent.stderr(),
        explain(&bed, &bed.log("bad.log")).stdout,
        explain(&bed, &bed.log("link.log")).stdout,
        crate::kit::get(bed.listen, "/debug/sources").unwrap().1,
        crate::kit::get(bed.listen, "/metrics").unwrap().1,
    ];
    for text in said {
        assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
    }
    agent.stop();
}

/// Writes numbered lines into `path` every millisecond until it is told to stop; returns how many.
fn write_lines(path: &Path, name: &str, is_over: &AtomicBool) -> usize {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        append(path, format!("{name}{number}\n").as_bytes());
        number += 1;
        sleep_ms(1);
    }
    number
}

/// Has `logs/app.log` lead to `target`, without a moment in which there is no link.
fn lead_to(bed: &Bed, target: &str) {
    symlink(target, bed.log("next")).unwrap();
    fs::rename(bed.log("next"), bed.log("app.log")).unwrap();
}

/// The bodies of one of the two files.
fn lines_of(bed: &Bed, name: &str) -> Vec<String> {
    bed.bodies().into_iter().filter(|it| it.starts_with(name)).collect()
}

#[test]
fn a7_a_link_that_flips_under_load_loses_and_doubles_nothing_of_either_file() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  rotation: {lateWrites: 500ms}\n");
    bed.configure(&[&bed.agent("  scanInterval: 100ms\n"), &queue_sink(""), &config]);
    fs::create_dir(bed.log("data")).unwrap();
    let (a, b) = (bed.log("data/a"), bed.log("data/b"));
    append(&a, b"");
    append(&b, b"");
    lead_to(&bed, "data/a");
    let mut agent = Some(Agent::start(&bed));
    let is_over = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let writers = [(&a, "a"), (&b, "b")]
            .map(|(path, name)| scope.spawn(|| write_lines(path, name, &is_over)));
        for round in 0..30_u64 {
            lead_to(&bed, if round % 2 == 0 { "data/b" } else { "data/a" });
            // Now and then for so long that the other one is let go.
            sleep_ms(if round % 10 == 9 { 1_500 } else { 7 * round });
            if round == 15 {
                agent.take().unwrap().kill();
                agent = Some(Agent::start(&bed));
            }
        }
        // The link leads to `a`, and the growth of `b` holds it up no longer than late writes last.
        let lines = lines_of(&bed, "a").len();
        wait_until("lines of a", || lines_of(&bed, "a").len(), |it| *it > lines + 100);
        is_over.store(true, Ordering::Relaxed);
        writers.map(|it| it.join().unwrap())
    });
    for (name, target, count) in [("a", "data/a", counts[0]), ("b", "data/b", counts[1])] {
        lead_to(&bed, target);
        let lines = wait_until("all lines", || lines_of(&bed, name), |it| it.len() >= count);
        let want: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        assert_eq!(lines.len(), count);
        assert!(lines == want, "not in order");
    }
    agent.unwrap().stop();
    bed.assert_audit_clean();
}
