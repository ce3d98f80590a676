//! Log disks of pods: driver, holder and agent as the chart installs them, and a pod that has no right at all.

mod injected;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use node_kit::{Cluster, IMAGE};
use serde_json::{Value, json};

use super::{bodies, image};
use crate::kit::{Bed, LOGFERRY, Run, wait_until};

/// Lines that the pod writes while the driver is replaced.
const LINES: usize = 1_500;
/// How long pods may take, beside much else on the machine.
const PATIENCE: &str = "--timeout=50s";

/// A folder whose mounts reach containers, and theirs it, as those of a host that systemd started do.
struct Shared(PathBuf);

impl Shared {
    fn new(path: PathBuf) -> Shared {
        Shared::of(&path.clone(), path)
    }

    /// The same of what is in `folder`, shown at `path`.
    fn of(folder: &Path, path: PathBuf) -> Shared {
        fs::create_dir_all(&path).unwrap();
        let run = |arguments: &[&str]| {
            let status = Command::new("mount").args(arguments).arg(&path).status().unwrap();
            assert!(status.success(), "mount {arguments:?} {}", path.display());
        };
        run(&["--bind", folder.to_str().unwrap()]);
        run(&["--make-rshared"]);
        Shared(path)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let below = self.0.display().to_string();
        let paths: Vec<_> = mounts.lines().filter_map(|it| it.split(' ').nth(4)).collect();
        for path in paths.into_iter().rev().filter(|it| it.starts_with(&below)) {
            drop(Command::new("umount").args(["--lazy", path]).status());
        }
    }
}

/// What the chart installs on this node, with these values beside.
fn rendered(bed: &Bed, cluster: &Cluster, disks: &Path, more: Value) -> String {
    let mut values = json!({
        "kubernetesApi": {"enabled": false},
        "networkPolicy": {"enabled": false},
        "priorityClass": {"create": false},
        "crds": {"install": false},
        "logs": {"pods": cluster.logs()},
        "state": {"path": bed.path("").to_str().unwrap().trim_end_matches('/')},
        "containerFiles": {"kubelet": cluster.runtime().kubelet_folder()},
        "logDisk": {"enabled": true, "path": disks},
    });
    let more = more.as_object().unwrap().clone();
    values.as_object_mut().unwrap().extend(more);
    let file = bed.path("values.yaml");
    fs::write(&file, values.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/deploy.sh");
    let run = Run::by(Command::new(script), &["render", file.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout
}

/// A pod of the restricted profile that writes lines to a log disk.
fn writer() -> String {
    let script = format!(
        "i=0; while [ $i -lt {LINES} ]; do echo line $i >> /logs/app.log || echo failed $i; i=$((i + 1)); \
         [ $((i % 10)) = 0 ] && sleep 0.1; done; echo written; sleep 1000"
    );
    let security = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}});
    let app = json!({"name": "app", "image": IMAGE, "command": ["sh", "-c", script],
        "securityContext": security, "volumeMounts": [{"name": "logs", "mountPath": "/logs"}]});
    let csi = json!({"driver": "logdisk.logferry.dev", "volumeAttributes": {"size": "16M"}});
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [app],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "logs", "csi": csi}]});
    let metadata = json!({"name": "web-0", "namespace": "shop"});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

#[test]
fn a_pod_without_rights_writes_to_a_log_disk_and_does_not_notice_that_the_driver_is_replaced() {
    // Of its own: a folder within another that containers mount would be held by that.
    let folder = tempfile::tempdir().unwrap();
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    let kubelet = Shared::new(cluster.runtime().kubelet_folder());
    let disks = Shared::new(folder.path().join("disks"));
    let (admin, runtime) = (cluster.admin(), cluster.runtime());
    let logdisk = Path::new(LOGFERRY).with_file_name("logdisk");
    assert!(logdisk.is_file(), "it is not built: cargo build --package logferry-logdisk");
    for (name, program) in [("logferry", Path::new(LOGFERRY)), ("logferry-logdisk", &logdisk)] {
        runtime.import(image(&format!("docker.io/library/{name}:0.1.0"), program)).unwrap();
    }
    admin.kubectl(&["create", "namespace", "logferry"]).unwrap();
    admin.kubectl(&["create", "namespace", "shop"]).unwrap();
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    admin.kubectl(&["label", "namespace", "shop", restricted]).unwrap();
    admin.apply(&rendered(&bed, &cluster, &disks.0, json!({}))).unwrap();
    let rolled_out = |name: &str| {
        let set = format!("daemonset/{name}");
        admin.kubectl(&["rollout", "status", "--namespace=logferry", &set, PATIENCE]).unwrap();
    };
    rolled_out("logferry-logdisk");
    rolled_out("logferry");

    admin.apply(&writer()).unwrap();
    let ready = ["wait", "--namespace=shop", "--for=condition=Ready", "pod/web-0", PATIENCE];
    admin.kubectl(&ready).unwrap();
    let restart = ["rollout", "restart", "--namespace=logferry", "daemonset/logferry-logdisk"];
    admin.kubectl(&restart).unwrap();
    rolled_out("logferry-logdisk");
    let of_web = || bodies(&bed.records(), "web-0");
    let of_disk = || of_web().into_iter().filter(|it| it.starts_with("line ")).collect::<Vec<_>>();
    let lines = wait_until("all lines", of_disk, |it| it.len() >= LINES);
    assert_eq!(lines, (0..LINES).map(|it| format!("line {it}")).collect::<Vec<_>>());
    let records = bed.records();
    assert!(records.iter().all(|it| !it["body"].to_string().contains("failed")));
    let first = records.iter().find(|it| it["body"] == "line 0").unwrap();
    assert_eq!(first["k8s.namespace.name"], "shop");
    assert_eq!(first["k8s.serviceaccount.name"], "default");
    let uid = ["get", "pod", "web-0", "--namespace=shop", "--output=jsonpath={.metadata.uid}"];
    assert_eq!(first["k8s.pod.uid"], Value::from(admin.kubectl(&uid).unwrap()));

    admin.kubectl(&["delete", "pod", "web-0", "--namespace=shop", PATIENCE]).unwrap();
    let said = || {
        let records = bed.records();
        let of_driver = records.iter().filter(|it| it["k8s.container.name"] == "driver");
        of_driver.map(|it| it["body"].to_string()).collect::<Vec<_>>()
    };
    let left = || fs::read_dir(disks.0.join("stores")).unwrap().count();
    wait_until("nothing left", || (left(), said()), |it| it.0 == 0);
    // Its root is read only, and what it sets in /sys is not.
    let said = said();
    assert!(said.iter().any(|it| it.contains("registered with the kubelet")), "{said:?}");
    assert!(!said.iter().any(|it| it.contains("the kernel's own limit")), "{said:?}");
    let end = ["delete", "daemonset", "--all", "--namespace=logferry", "--cascade=foreground"];
    admin.kubectl(&[&end[..], &[PATIENCE]].concat()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop((disks, kubelet));
}
