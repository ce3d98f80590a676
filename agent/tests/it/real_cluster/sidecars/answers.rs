//! Whether pods get their sidecars depends on who answers the API server; whether they start does not.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use kafka_kit::Deadline;
use rustix::process::{Pid, Signal, kill_process};

use super::super::PATIENCE;
use super::scene::{Scene, has_sidecar, pod, wait_for_bodies};

/// Askers at the same time, and pods that one kubectl asks for, one after the other.
const ASKERS: usize = 3;
const PODS_AT_ONCE: usize = 40;

/// Processes of the operator's replicas: what runs under their name, and was told of this cluster's API server.
fn operators(scene: &Scene) -> Vec<Pid> {
    let address = ["get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"];
    let address = scene.admin().kubectl(&address).unwrap();
    let variable = format!("KUBERNETES_SERVICE_HOST={address}");
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let has = |number: &i32, file: &str, wanted: &str| {
        let words = fs::read(format!("/proc/{number}/{file}")).unwrap_or_default();
        words.split(|it| *it == 0).any(|it| it == wanted.as_bytes())
    };
    let is_operator = |it: &i32| {
        has(it, "cmdline", "/usr/bin/logferry-operator") && has(it, "environ", &variable)
    };
    numbers.filter(is_operator).filter_map(Pid::from_raw).collect()
}

/// A pod that prints its name and stays; it has no sidecar, and what it prints is collected.
fn starts_without(scene: &Scene, name: &str) {
    let admin = scene.admin();
    admin.apply(&pod(name, &format!("echo here is {name}; sleep 1000")).to_string()).unwrap();
    assert_eq!(scene.of_pod(name, "{.spec.initContainers}"), "", "{name}");
    scene.wait_ready(name);
    wait_for_bodies(&[format!("here is {name}")], || scene.of_node(name, "app"));
    admin.kubectl(&["delete", "pod", name, "--grace-period=0", "--force"]).unwrap();
}

#[test]
fn pods_start_and_their_output_is_collected_while_the_webhook_is_slow_or_down() {
    let scene = Scene::start();
    // It takes connections, and says nothing.
    let all = operators(&scene);
    assert_eq!(all.len(), 2, "{all:?}");
    all.iter().for_each(|it| kill_process(*it, Signal::STOP).unwrap());
    starts_without(&scene, "slow-0");
    all.iter().for_each(|it| kill_process(*it, Signal::CONT).unwrap());
    scene.wait_long("an answer", || has_sidecar(&scene.asks("probe")));

    let scale = ["scale", "--namespace=logferry", "deployment/logferry-operator"];
    scene.admin().kubectl(&[&scale[..], &["--replicas=0"]].concat()).unwrap();
    scene.wait_long("the end of all replicas", || operators(&scene).is_empty());
    starts_without(&scene, "down-0");
    scene.admin().kubectl(&[&scale[..], &["--replicas=2"]].concat()).unwrap();
    scene.wait_rolled_out();
    scene.wait_long("an answer", || has_sidecar(&scene.asks("probe")));
}

#[test]
fn no_pod_misses_its_sidecar_while_the_operator_is_replaced() {
    let scene = Scene::start();
    let before = operators(&scene);
    let operator = "deployment/logferry-operator";
    scene.admin().kubectl(&["rollout", "restart", "--namespace=logferry", operator]).unwrap();
    let (is_over, pods) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Also where the wait below fails.
    let deadline = Deadline::after(2 * PATIENCE);
    thread::scope(|scope| {
        for asker in 0..ASKERS {
            let (scene, is_over, pods) = (&scene, &is_over, &pods);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) && deadline.left().is_some() {
                    for pod in scene.ask_many(&format!("load-{asker}"), PODS_AT_ONCE) {
                        let count = pods.fetch_add(1, Ordering::Relaxed);
                        let said = || scene.operator_logs();
                        assert!(has_sidecar(&pod), "after {count} pods: {}", said());
                    }
                }
            });
        }
        scene.wait_rolled_out();
        scene.wait_long("others, and none of those before", || {
            let now = operators(&scene);
            now.len() == before.len() && !now.iter().any(|it| before.contains(it))
        });
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} pods while both replicas were replaced", pods.into_inner());
}
