//! Programs as others wrote them: logrotate, tail, Python's handlers and nginx.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::MODES;
use crate::kit::{Volume, limited, wait_until};

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Lines are written by a writer that keeps its file open, while logrotate runs with these directives.
fn rotate(mode: &[&str], directives: &str, pause_ms: u64, reopens: bool, may_lose: bool) {
    let volume = Volume::mount(mode);
    let path = volume.target().join("app.log");
    let config = volume.scratch().join("logrotate.conf");
    let text = format!("{} {{\n rotate 3\n size 1\n{directives}\n}}\n", path.display());
    fs::write(&config, text).expect("as it must");
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (path, is_over) = (path.clone(), Arc::clone(&is_over));
        move || {
            let open = |path: &Path| {
                OpenOptions::new().create(true).append(true).open(path).expect("opened")
            };
            let (mut file, mut lines) = (open(&path), Vec::new());
            while !is_over.load(Ordering::Acquire) {
                let line = format!("line {}", lines.len());
                file.write_all(format!("{line}\n").as_bytes()).expect("never fails");
                lines.push(line);
                if reopens && lines.len().is_multiple_of(100) {
                    file = open(&path);
                }
                thread::sleep(Duration::from_micros(200));
            }
            lines
        }
    });
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(pause_ms));
        let state = volume.scratch().join("logrotate.state");
        run(Command::new("logrotate").arg("--force").arg("--state").arg(state).arg(&config));
    }
    is_over.store(true, Ordering::Release);
    let lines = writer.join().expect("no call failed");
    if may_lose {
        // What was written since the page cache was last asked: 20 ms for each of six cuts.
        thread::sleep(Duration::from_millis(500));
        let arrived = volume.lines().len();
        println!("{} of {} lines", arrived, lines.len());
        assert!(arrived <= lines.len(), "none is doubled");
        assert!(arrived * 10 > lines.len() * 7, "{arrived} of {}", lines.len());
    } else {
        volume.wait_for_lines(lines);
    }
}

#[test]
fn logrotate_renames_compresses_and_removes_and_every_line_is_collected_once() {
    limited(180, || {
        for mode in MODES {
            rotate(mode, " create 0640\n compress", 150, true, false);
            rotate(mode, " create\n dateext\n dateformat -%Y%m%d-%s", 1050, true, false);
        }
    });
}

#[test]
fn logrotate_copies_and_cuts_and_but_for_the_page_cache_every_line_is_collected_once() {
    limited(120, || {
        rotate(MODES[1], " copytruncate", 150, false, false);
        rotate(MODES[2], " copytruncate", 150, false, false);
        rotate(MODES[0], " copytruncate", 150, false, true);
    });
}

#[test]
fn tail_follows_a_file_over_rotation_and_a_cut() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let path = volume.target().join("app.log");
            let seen = volume.scratch().join("seen");
            let open = || OpenOptions::new().create(true).append(true).open(&path).expect("opened");
            let mut file = open();
            let out = fs::File::create(&seen).expect("as it must");
            let mut command = Command::new("tail");
            command.args(["-n", "+1", "-F", "-s", "0.05"]).arg(&path);
            let mut tail =
                test_kit::start(&command, Stdio::from(out), Stdio::null()).expect("starts");
            let mut expected = String::new();
            for round in 0..3 {
                for number in 0..10 {
                    writeln!(file, "{round} {number}").expect("as it must");
                    expected.push_str(&format!("{round} {number}\n"));
                }
                let look = || fs::read_to_string(&seen).expect("as it must");
                wait_until("seen by tail", look, |it| *it == expected);
                if round == 0 {
                    fs::rename(&path, path.with_extension("log.1")).expect("as it must");
                    file = open();
                } else {
                    file.set_len(0).expect("as it must");
                    // It learns of a cut by the size that it sees.
                    thread::sleep(Duration::from_millis(500));
                }
            }
            tail.kill().expect("runs");
            tail.wait().expect("ours");
        }
    });
}

#[test]
fn tail_follows_an_open_file_that_is_renamed() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let path = volume.target().join("app.log");
            let seen = volume.scratch().join("seen");
            let mut file =
                OpenOptions::new().create(true).append(true).open(&path).expect("opened");
            writeln!(file, "first").expect("as it must");
            let out = fs::File::create(&seen).expect("as it must");
            let mut command = Command::new("tail");
            command.args(["-n", "+1", "-f", "-s", "0.05"]).arg(&path);
            let mut tail =
                test_kit::start(&command, Stdio::from(out), Stdio::null()).expect("starts");
            let look = || fs::read_to_string(&seen).expect("as it must");
            wait_until("the first line", look, |it| it == "first\n");
            fs::rename(&path, path.with_extension("log.1")).expect("as it must");
            let mut expected = "first\n".to_owned();
            for number in 0..10 {
                writeln!(file, "{number}").expect("as it must");
                expected.push_str(&format!("{number}\n"));
                wait_until("seen by tail", look, |it| *it == expected);
            }
            tail.kill().expect("runs");
            tail.wait().expect("ours");
        }
    });
}

const PYTHON: &str = r#"
import logging, logging.handlers, os, sys
folder = sys.argv[1]
handlers = {
    "plain": logging.FileHandler(f"{folder}/plain.log"),
    "rotating": logging.handlers.RotatingFileHandler(f"{folder}/rotating.log", maxBytes=20000, backupCount=3),
    "timed": logging.handlers.TimedRotatingFileHandler(f"{folder}/timed.log", when="s", interval=1, backupCount=2),
    "watched": logging.handlers.WatchedFileHandler(f"{folder}/watched.log"),
}
for name, handler in handlers.items():
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
logging.raiseExceptions = True
import time
for number in range(3000):
    for name in handlers:
        logging.getLogger(name).info("%s %d", name, number)
    if number % 500 == 499:
        os.rename(f"{folder}/watched.log", f"{folder}/watched.log.1")
        time.sleep(0.4)
logging.shutdown()
"#;

#[test]
fn pythons_handlers_rotate_in_their_ways_and_every_line_is_collected_once() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            run(Command::new("python3").args(["-c", PYTHON]).arg(volume.target()));
            let names = ["plain", "rotating", "timed", "watched"];
            let lines =
                names.iter().flat_map(|name| (0..3000).map(move |it| format!("{name} {it}")));
            volume.wait_for_lines(lines.collect());
            assert_eq!(volume.collected().len(), names.len(), "each in its chain");
        }
    });
}

/// nginx with a master and a worker, as packages run it; ended when dropped.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

impl Nginx {
    fn start(volume: &Volume) -> Nginx {
        let folder = volume.scratch().canonicalize().expect("as it must");
        let (socket, config) = (folder.join("nginx.socket"), folder.join("nginx.conf"));
        let text = "daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.error;
events {}
http {
    log_format path $request_uri;
    access_log {dir}/mount/access.log path;
    server { listen unix:{dir}/nginx.socket; location / { return 204; } }
}
";
        fs::write(&config, text.replace("{dir}", &folder.to_string_lossy())).expect("as it must");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&config);
        let child = test_kit::start(&command, Stdio::null(), Stdio::null()).expect("starts");
        let nginx = Nginx { child, socket };
        let error = || fs::read_to_string(folder.join("nginx.error")).unwrap_or_default();
        let look = || (UnixStream::connect(&nginx.socket).is_ok(), error());
        wait_until("nginx listens", look, |it| it.0);
        nginx
    }

    fn ask(&self, path: &str) {
        let mut stream = UnixStream::connect(&self.socket).expect("it listens");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("as it must");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("as it must");
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("runs");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends by its word alone.
        self.signal(Signal::TERM);
        drop(self.child.wait());
    }
}

#[test]
fn nginx_opens_its_log_anew_and_every_request_is_collected_once() {
    limited(180, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let nginx = Nginx::start(&volume);
            let log = volume.target().join("access.log");
            let mut asked = Vec::new();
            for round in 0..4 {
                for number in 0..100 {
                    let path = format!("/{round}/{number}");
                    nginx.ask(&path);
                    asked.push(path);
                }
                fs::rename(&log, log.with_extension(format!("log.{round}"))).expect("as it must");
                nginx.signal(Signal::USR1);
                wait_until("another log", || fs::metadata(&log).is_ok(), |it| *it);
            }
            volume.wait_for_lines(asked);
            let chains: Vec<_> = volume.collected().into_keys().collect();
            assert_eq!(chains, [Path::new("access.log")]);
        }
    });
}
