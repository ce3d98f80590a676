//! Recorded: what a real API server (Kubernetes 1.35) asked of pods that its controllers made, and of LogConfigs by kubectl.

use serde_json::{Value, json};

use super::events::subject;
use super::review::{Request, Review};
use super::validate::validate;
use crate::inject::tests::{applied, base, template};
use crate::inject::{CONFIG, NAME, Namespace, Skip, inject, log_disk};

macro_rules! recorded {
    ($name:literal) => {
        request(include_str!(concat!("../../tests/data/reviews/", $name, ".json")))
    };
}

fn request(text: &str) -> Request {
    serde_json::from_str::<Review>(text).unwrap().request().unwrap()
}

fn patch(of: &Request, pod: &Value) -> Result<Vec<Value>, Skip> {
    let namespace = Namespace { name: of.namespace.clone(), ..Namespace::default() };
    inject(pod, &namespace, Ok(&base()), &template())
}

#[test]
fn pods_of_every_controller_get_their_sidecar_once_and_events_are_of_who_made_them() {
    for (request, kind, name) in [
        (recorded!("deployment"), "ReplicaSet", ""),
        (recorded!("stateful_set"), "StatefulSet", "web-statefulset-0"),
        (recorded!("daemon_set"), "DaemonSet", ""),
        (recorded!("dry_run"), "Pod", "probe-0"),
    ] {
        // Who has but a generateName has no name yet.
        assert_eq!(request.name, name, "{kind}");
        assert_eq!(subject(&request).kind.as_deref(), Some(kind));
        assert_eq!(request.dry_run, kind == "Pod");
        let pod = applied(&request.object, &patch(&request, &request.object).unwrap());
        assert_eq!(pod["spec"]["initContainers"][0]["name"], NAME, "{kind}");
        assert!(pod["metadata"]["annotations"][CONFIG].is_string(), "{kind}");
        let mounts = &pod["spec"]["containers"][0]["volumeMounts"];
        let mount = json!({"name": "logferry-files-0", "mountPath": "/var/log/app"});
        assert!(mounts.as_array().unwrap().contains(&mount), "{kind}: {mounts}");
        assert_eq!(patch(&request, &pod).unwrap(), Vec::<Value>::new(), "{kind}: once");
    }
}

#[test]
fn a_pod_on_the_network_of_its_host_gets_none() {
    let request = recorded!("host_network");
    assert_eq!(patch(&request, &request.object), Err(Skip::HostNetwork));
}

#[test]
fn a_pod_gets_its_log_disks_once_and_none_where_a_volume_is() {
    let request = recorded!("log_disk");
    let namespace = Namespace { name: request.namespace.clone(), ..Namespace::default() };
    let (patch, pod) = log_disk::inject(&request.object, &namespace, true).unwrap();
    assert_eq!(applied(&request.object, &patch), pod);
    let attributes = json!({"size": "16Mi", "full": "drop_oldest"});
    let csi = json!({"driver": "logdisk.logferry.dev", "volumeAttributes": attributes});
    let volumes = ["log-disk-0", "log-disk-1"].map(|name| json!({"name": name, "csi": csi}));
    assert_eq!(pod["spec"]["volumes"].as_array().unwrap()[1..], volumes);
    let mounts = json!([
        {"name": "log-disk-0", "mountPath": "/srv/log"},
        {"name": "log-disk-1", "mountPath": "/var/log/app"},
    ]);
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"], mounts);
    assert_eq!(log_disk::inject(&pod, &namespace, true).unwrap().0, Vec::<Value>::new(), "once");
    let request = recorded!("log_disk_taken");
    let skip = log_disk::inject(&request.object, &namespace, true).unwrap_err();
    assert_eq!(skip.reason(), "FolderTaken", "{skip}");
}

#[test]
fn a_log_config_is_judged_as_kubectl_sends_it_whatever_metadata_the_server_adds() {
    let said = |request: Request| validate(&request).problems.join("\n");
    assert_eq!(said(recorded!("log_config_created")), "");
    assert_eq!(said(recorded!("log_config_changed")), "");
    let broken = said(recorded!("log_config_broken"));
    for field in ["spec.source.containers.pods", "spec.multiline.begin"] {
        assert!(broken.contains(field), "{field}: {broken}");
    }
}
