//! Runtimes that are not containerd, tell nothing, or are away.

use std::fs;

use cri::message::Mount as CriMount;
use flow::{Clock, SystemClock};

use super::fake::FakeRuntime;
use super::*;
use crate::{Mount, Origin};

struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Bed {
        Bed { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn runtime(&self, tells: bool) -> FakeRuntime {
        FakeRuntime::start(&self.path("socket"), &self.path("storage"), tells)
    }

    fn watch(&self) -> ContainerWatch {
        let options = WatchOptions {
            socket: Some(self.path("socket")),
            kubelet_directory: self.path("kubelet"),
            pod_annotation: "example.com/known",
        };
        ContainerWatch::start(options).unwrap()
    }
}

fn now() -> Duration {
    Duration::from_nanos(SystemClock.monotonic_ns())
}

/// Waits until the table has so many; returns how long that took.
fn wait_for(containers: &Containers, count: usize) -> Duration {
    let began = now();
    while containers.all().len() != count {
        assert!(now() - began < Duration::from_secs(30), "{:?}", containers.all());
        std::thread::sleep(Duration::from_millis(2));
    }
    now() - began
}

#[test]
fn a_container_of_cri_o_has_its_folders_its_pod_and_its_mounts() {
    let bed = Bed::new();
    let runtime = bed.runtime(true);
    let layer = bed.path("storage/overlay/one");
    fs::create_dir_all(&layer).unwrap();
    fs::write(layer.join("lower"), "l/B:l/A").unwrap();
    let volume = bed.path("kubelet/pods/u-1/volumes/kubernetes.io~empty-dir/data");
    runtime.has().mounts.push(CriMount {
        container_path: "/data".to_owned(),
        host_path: volume.display().to_string(),
    });
    runtime.set(&["one"]);
    let watch = bed.watch();
    let containers = watch.containers();
    wait_for(&containers, 1);
    assert!(containers.is_answered());
    let lowers = ["l/B", "l/A"].map(|it| bed.path("storage/overlay").join(it)).to_vec();
    let want = Container {
        id: "one".to_owned(),
        namespace: "shop".to_owned(),
        pod: "web-0".to_owned(),
        pod_uid: "u-1".to_owned(),
        name: "app-one".to_owned(),
        restart: 3,
        has_ended: false,
        pod_annotation: Some("yes".into()),
        layers: Some(crate::Layers { upper: layer.join("diff"), lowers }),
        mounts: vec![
            Mount { inside: "/data".into(), host: volume, origin: Origin::Pod },
            Mount { inside: "/proc".into(), host: "proc".into(), origin: Origin::NoLogs },
        ],
    };
    assert_eq!(*containers.all()[0], want);
}

#[test]
fn a_change_that_is_told_is_known_at_once_and_nothing_is_asked_without_one() {
    let bed = Bed::new();
    let runtime = bed.runtime(true);
    let watch = bed.watch();
    let containers = watch.containers();
    runtime.set(&["one"]);
    wait_for(&containers, 1);
    // Beyond the list that is asked for soon after the first.
    std::thread::sleep(Duration::from_millis(1500));
    let lists = runtime.has().lists;
    let version = containers.version();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((runtime.has().lists, containers.version()), (lists, version));
    runtime.set(&["one", "two"]);
    let took = wait_for(&containers, 2);
    assert!(took < Duration::from_millis(900), "{took:?}");
    runtime.set(&["two"]);
    wait_for(&containers, 1);
    assert_eq!(containers.all()[0].id, "two");
}

#[test]
fn a_runtime_that_tells_nothing_is_asked_every_second() {
    let bed = Bed::new();
    let runtime = bed.runtime(false);
    let watch = bed.watch();
    let containers = watch.containers();
    for ids in [&["one"][..], &["one", "two"], &["one", "two", "three"]] {
        runtime.set(ids);
        let took = wait_for(&containers, ids.len());
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_runtime_that_goes_away_and_comes_back_is_believed_again_and_forgotten_never() {
    let bed = Bed::new();
    let watch = bed.watch();
    let containers = watch.containers();
    std::thread::sleep(Duration::from_millis(700));
    assert!(!containers.is_answered());
    let runtime = bed.runtime(true);
    runtime.set(&["one"]);
    wait_for(&containers, 1);
    drop(runtime);
    let began = now();
    while containers.is_answered() {
        assert!(now() - began < Duration::from_secs(30), "nobody noticed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(containers.all().len(), 1, "what it said last is true");
    let runtime = bed.runtime(true);
    runtime.set(&["two", "three"]);
    wait_for(&containers, 2);
}

#[test]
fn a_thousand_containers_are_known_together() {
    let bed = Bed::new();
    let runtime = bed.runtime(true);
    let ids: Vec<String> = (0..1000).map(|number| format!("c{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    runtime.set(&ids);
    let watch = bed.watch();
    println!("a thousand containers are known after {:?}", wait_for(&watch.containers(), 1000));
}
