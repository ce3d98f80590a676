//! Facts about agents that are shell scripts: the real one is not needed to test its keeper.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// An agent that does `script`, with its configuration as `$3`.
fn bench(folder: &Path, script: &str) -> Bench {
    let logferry = folder.join("fake");
    fs::write(&logferry, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&logferry, fs::Permissions::from_mode(0o755)).unwrap();
    Bench { logferry, folder: folder.join("run") }
}

fn start(bench: &Bench) -> Agent {
    loop {
        let error = match bench.start(&InputConfig::Files("/none/*.log".to_owned()), true) {
            Ok(agent) => return agent,
            Err(error) => error,
        };
        // A child of another test has a copy of the descriptor by which the script was written, for a moment.
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::ExecutableFileBusy), "{error:#}");
        std::thread::sleep(END_POLL);
    }
}

/// Waits for a file that a script makes.
fn wait_for(path: &Path) {
    while !path.try_exists().unwrap() {
        std::thread::sleep(END_POLL);
    }
}

#[test]
fn an_agent_is_run_with_its_configuration_and_ended_by_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let script = "[ \"$1 $2\" = 'run -f' ] || exit 3
trap 'exit 0' TERM
i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done
cp \"$3\" \"$(dirname \"$3\")/seen\"
while :; do sleep 0.01; done";
    let bench = bench(folder.path(), script);
    let mut agent = start(&bench);
    wait_for(&bench.folder.join("seen"));
    assert!(agent.memory().unwrap().resident_bytes > 0);
    let usage = agent.stop().unwrap();
    assert!(usage.cpu_ns > 0 && usage.peak_bytes > 0);
    let config = fs::read_to_string(bench.folder.join("logferry.yaml")).unwrap();
    assert!(config.contains("kind: LogSink"));
}

#[test]
fn an_agent_that_ends_early_shows_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path(), "echo bad configuration >&2; exit 1");
    let mut agent = start(&bench);
    let error = agent.wait_delivered(1).unwrap_err().to_string();
    assert!(error.contains("agent has ended"), "{error}");
    assert!(error.contains("bad configuration"), "{error}");
}

#[test]
fn an_agent_that_ends_badly_at_sigterm_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo lost it; exit 7' TERM
touch \"$(dirname \"$3\")/seen\"
while :; do sleep 0.01; done";
    let bench = bench(folder.path(), script);
    let agent = start(&bench);
    wait_for(&bench.folder.join("seen"));
    let error = agent.stop().unwrap_err().to_string();
    assert!(error.contains("exit status: 7") && error.contains("lost it"), "{error}");
}

#[test]
fn a_missing_agent_is_named() {
    let error = version(Path::new("/nonexistent/logferry")).unwrap_err().to_string();
    assert!(error.contains("build it or give --logferry"), "{error}");
}

#[test]
fn counters_are_whole_numbers() {
    for (value, want) in [
        (Some(2_147_483_648.0), Some(2_147_483_648)),
        (Some(0.0), Some(0)),
        (Some(f64::NAN), None),
        (Some(-1.0), None),
        (None, None),
    ] {
        assert_eq!(whole(value), want);
    }
}

#[test]
fn folders_are_summed_with_those_in_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    fs::write(folder.path().join("a"), "12345").unwrap();
    fs::write(folder.path().join("inner/b"), "123").unwrap();
    assert_eq!(folder_bytes(folder.path()).unwrap(), 8);
}

#[test]
fn looks_at_a_delivery_are_closest_at_its_end() {
    let pause = |done_ms: u64, left_ms: u64| pause_of(done_ms, left_ms, done_ms * 1_000_000);
    assert_eq!(pause_of(0, 1000, 0), POLL_MIN);
    assert_eq!(pause(500, 10_000), POLL_MAX);
    assert_eq!(pause(500, 200), Duration::from_millis(50));
    assert_eq!(pause(990, 10), POLL_MIN);
}

#[test]
fn an_agent_may_end_behind_only_where_that_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'exit 4' TERM
touch \"$(dirname \"$3\")/seen\"
while :; do sleep 0.01; done";
    let bench = bench(folder.path(), script);
    let ready = || {
        let agent = start(&bench);
        wait_for(&bench.folder.join("seen"));
        agent
    };
    assert!(ready().stop_behind().is_ok());
    let error = ready().stop().unwrap_err().to_string();
    assert!(error.contains("exit status: 4"), "{error}");
}
