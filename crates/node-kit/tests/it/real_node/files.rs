//! Which way to a container's files sees what, and does what harm: what collecting them is built on.
//!
//! Seen with containerd 1.6.20, runc 1.1.5, overlayfs; each row by a test.
//!
//! | way | overlay | volumes | held open when the container ends | when it has ended | rights beside root's |
//! |---|---|---|---|---|---|
//! | `STATE/…/ID/rootfs`, the runtime's mount | yes | no: empty folders | **the runtime cannot unmount, nor the container end** | gone | `DAC_READ_SEARCH` |
//! | `/proc/PID/root` | yes | yes | no harm | open files stay, volumes are gone | the host's processes, `SYS_PTRACE` |
//! | upper folder of its overlay | what it wrote itself | no | no harm | stays until soon after the container is removed | `DAC_READ_SEARCH` |
//! | the volume's folder on the host | no | yes | no harm | stays as long as the pod | `DAC_READ_SEARCH` |
//!
//! So the mount of the runtime is never opened. A path is looked up in what the CRI says of mounts: what
//! lies in a volume is read in the kubelet's folder of it, and all else in the upper folder, with links resolved as the
//! container would; `/proc` shows all, at the price of one more capability. An upper folder has only
//! what the container changed: a link of the image on the way to a log is looked for in the lower ones.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use node_kit::{Container, Containerd, Pod, Program};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use test_kit::wait_until;

/// Writes a file to the overlay and one to the volume, and links to the latter and to out of everything.
const SCRIPT: &str = "echo overlay >/tmp/a.log; echo volume >>/data/b.log; ln -s /data/b.log /tmp/link; \
    ln -s /../../../etc/passwd /tmp/out; touch /tmp/ready; sleep 1000";

fn start<'a>(pod: &'a Pod<'a>) -> Container<'a> {
    let volume = pod.empty_dir("data").unwrap();
    let program = Program::new("app", &["sh", "-c", SCRIPT]).volume(&volume, "/data");
    let app = pod.start(&program).unwrap();
    while app.exec(&["ls", "/tmp/ready"]).unwrap().exit_code != 0 {
        thread::yield_now();
    }
    app
}

fn proc_root(container: &Container<'_>) -> PathBuf {
    format!("/proc/{}/root", container.process().unwrap()).into()
}

/// Where the overlay keeps what the container changed, as the kernel says.
fn upper(container: &Container<'_>) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(container.rootfs().to_str().unwrap()));
    let (_, rest) = mount.unwrap().split_once("upperdir=").unwrap();
    rest.split(',').next().unwrap().into()
}

fn open_root(path: &Path) -> OwnedFd {
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Opens as a root of its own: no link leads out of it.
fn open_in(root: &OwnedFd, path: &str) -> io::Result<File> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // The way has a `..`, and something was renamed or mounted anywhere meanwhile: openat2(2).
            Err(Errno::AGAIN) => {}
            opened => return Ok(opened?.into()),
        }
    }
}

/// What the file holds; `None` if there is none.
fn read_in(root: &OwnedFd, path: &str) -> Option<String> {
    match open_in(root, path).and_then(io::read_to_string) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

fn kill(container: &Container<'_>) {
    let process = i32::try_from(container.process().unwrap()).unwrap();
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn each_way_to_a_containers_files_shows_its_part() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let app = start(&pod);
    let (overlay, volume) = (Some("overlay\n".to_owned()), Some("volume\n".to_owned()));
    for (root, of_volume) in
        [(app.rootfs(), None), (proc_root(&app), volume.clone()), (upper(&app), None)]
    {
        let root = open_root(&root);
        assert_eq!(read_in(&root, "/tmp/a.log"), overlay);
        assert_eq!(read_in(&root, "/data/b.log"), of_volume);
        assert_eq!(
            read_in(&root, "/tmp/link"),
            of_volume,
            "as the container sees it, or not at all"
        );
        assert_eq!(
            read_in(&root, "/tmp/out"),
            None,
            "this machine has it, and the container has not"
        );
    }
    assert_eq!(read_in(&open_root(&pod.empty_dir("data").unwrap()), "/b.log"), volume);
}

#[test]
fn what_is_held_open_in_the_runtimes_mount_keeps_a_container_from_ending() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let app = start(&pod);
    let held = open_in(&open_root(&app.rootfs()), "/tmp/a.log").unwrap();
    kill(&app);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(app.ended().unwrap(), None, "its process has ended, and it has not");
    drop(held);
    assert_eq!(app.wait_ended().unwrap().exit_code, 137);
}

#[test]
fn what_is_held_open_by_another_way_is_read_to_its_end_and_holds_nobody_up() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let app = start(&pod);
    let by_process = open_root(&proc_root(&app));
    let upper = upper(&app);
    let mut held: Vec<File> = ["/tmp/a.log", "/data/b.log"]
        .map(|path| open_in(&by_process, path).unwrap())
        .into_iter()
        .chain([open_in(&open_root(&upper), "/tmp/a.log").unwrap()])
        .collect();
    app.read(&["sh", "-c", "echo last | tee -a /tmp/a.log >>/data/b.log"]).unwrap();
    kill(&app);
    app.wait_ended().unwrap();
    // A drain has time until the container is removed, and what is open has it after that.
    assert_eq!(fs::read_to_string(upper.join("tmp/a.log")).unwrap(), "overlay\nlast\n");
    assert_eq!(read_in(&by_process, "/data/b.log"), None, "its mounts went with its last process");
    app.remove().unwrap();
    wait_until("removal of the overlay", Duration::from_secs(20), || {
        ensure!(!fs::exists(&upper)?, "it is there");
        Ok(())
    })
    .unwrap();
    for (file, want) in
        held.iter_mut().zip(["overlay\nlast\n", "volume\nlast\n", "overlay\nlast\n"])
    {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, want);
    }
}

#[test]
fn a_restart_has_a_new_overlay_and_the_same_volume() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let first = start(&pod);
    kill(&first);
    first.wait_ended().unwrap();
    let second = start(&pod);
    let root = open_root(&proc_root(&second));
    assert_eq!(read_in(&root, "/tmp/a.log").unwrap(), "overlay\n");
    assert_eq!(read_in(&root, "/data/b.log").unwrap(), "volume\nvolume\n");
    pod.delete().unwrap();
    assert!(!fs::exists(pod.folder()).unwrap());
}

/// Lists a folder as root that has but the capability to read all files.
fn can_list(path: &Path) -> bool {
    let only = ["--bounding-set=-all,+dac_read_search", "--inh-caps=-all,+dac_read_search"];
    let output = Command::new("setpriv").args(only).arg("ls").arg(path).output().unwrap();
    output.status.success()
}

#[test]
fn the_right_to_read_all_files_opens_every_way_but_that_by_process() {
    let node = Containerd::start().unwrap();
    let pod = node.pod("shop", "web-0").host_network().run().unwrap();
    let app = start(&pod);
    assert!(can_list(&upper(&app).join("tmp")));
    assert!(can_list(&pod.empty_dir("data").unwrap()));
    assert!(!can_list(&proc_root(&app).join("tmp")), "SYS_PTRACE is asked for");
}
