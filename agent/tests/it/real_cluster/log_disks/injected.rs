//! A pod that asks by an annotation gets its log disk, and nothing that it writes there is lost, or collected twice.

use std::fs;
use std::path::Path;

use node_kit::{Cluster, IMAGE};
use serde_json::{Value, json};

use super::super::{body, image, patiently};
use super::{Shared, rendered};
use crate::kit::{Bed, LOGFERRY, wait_until};

/// Lines before the pod is deleted, and as many that it writes when it is told to end.
const LINES: usize = 1_000;

/// A pod that asks for a log disk and has a volume as any other: it writes the same lines to both.
fn pod() -> String {
    let script = format!(
        "write() {{ n=$1; while [ $n -lt $2 ]; do echo line $n >> /var/log/app/app.log || echo failed; \
         echo line $n >> /data/app.log; n=$((n + 1)); done; }}; trap 'write {LINES} {}; exit 0' TERM; \
         write 0 {LINES}; while :; do sleep 0.1; done",
        2 * LINES
    );
    let annotations = json!({
        "logdisk.logferry.dev/inject": "true", "logdisk.logferry.dev/folders": "/var/log/app",
        "logdisk.logferry.dev/size": "16Mi",
    });
    let app = json!({"name": "app", "image": IMAGE, "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let spec = json!({"terminationGracePeriodSeconds": 60, "containers": [app],
        "volumes": [{"name": "data", "emptyDir": {}}]});
    let metadata = json!({"name": "web-0", "namespace": "shop", "annotations": annotations});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

/// What the chart says beside: webhooks, and a LogConfig of files inside containers that selects those of the log disk, too.
fn values(cluster: &Cluster, socket: &Path) -> Value {
    let files = json!({"include": ["/var/log/app/*.log", "/data/*.log"]});
    let containers = json!({"namespaces": {"include": ["shop"]}, "files": files});
    json!({
        "kubernetesApi": {"enabled": true},
        "crds": {"install": true},
        "operator": {"replicas": 1},
        "webhook": {"enabled": true, "timeoutSeconds": 10},
        "containerFiles": {"enabled": true, "socket": socket, "storage": [],
            "kubelet": cluster.runtime().kubelet_folder()},
        "config": {"clusterLogConfigs": {"inside": {"source": {"containers": containers}}}},
    })
}

#[test]
fn an_injected_log_disk_loses_nothing_and_what_a_log_config_selects_inside_the_container_comes_once()
 {
    // Of its own: a folder within another that containers mount would be held by that.
    let folder = tempfile::tempdir().unwrap();
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    let kubelet = Shared::new(cluster.runtime().kubelet_folder());
    let disks = Shared::new(folder.path().join("disks"));
    let (admin, runtime) = (cluster.admin(), cluster.runtime());
    let socket = runtime.socket();
    let own = Shared::of(socket.parent().unwrap(), folder.path().join("runtime"));
    let socket = own.0.join(socket.file_name().unwrap());
    for name in ["logferry", "logferry-operator", "logdisk"] {
        let program = Path::new(LOGFERRY).with_file_name(name);
        assert!(program.is_file(), "{name} is not built: cargo build --workspace");
        let called = if name == "logdisk" { "logferry-logdisk" } else { name };
        runtime.import(image(&format!("docker.io/library/{called}:0.1.0"), &program)).unwrap();
    }
    let patiently = |arguments: &[&str]| patiently(admin, arguments);
    admin.kubectl(&["create", "namespace", "logferry"]).unwrap();
    admin.kubectl(&["create", "namespace", "shop"]).unwrap();
    admin.apply(&rendered(&bed, &cluster, &disks.0, values(&cluster, &socket))).unwrap();
    for set in ["daemonset/logferry-logdisk", "daemonset/logferry", "deployment/logferry-operator"]
    {
        patiently(&["rollout", "status", "--namespace=logferry", set]);
    }
    // Of a new certificate the API server hears a moment later.
    let file = bed.path("pod.json");
    fs::write(&file, pod()).unwrap();
    let file = format!("--filename={}", file.display());
    let probe = ["create", "--dry-run=server", "--output=json", &file];
    let would_be = || admin.kubectl(&probe).unwrap_or_else(|error| format!("{error:#}"));
    let has_one = |it: &String| it.contains("\"driver\": \"logdisk.logferry.dev\"");
    wait_until("a pod with a log disk", would_be, has_one);
    let made = admin.kubectl(&["create", "--output=json", &file]).unwrap();
    assert!(has_one(&made), "{made}");
    patiently(&["wait", "--namespace=shop", "--for=condition=Ready", "pod/web-0"]);

    let of_web = || {
        let records = bed.records().into_iter();
        records.filter(|it| it["k8s.pod.name"] == "web-0").collect::<Vec<Value>>()
    };
    let of = |records: &[Value], path: &str| {
        let is_of = |it: &&Value| {
            it["log.file.path"]
                .as_str()
                .is_some_and(|it| it.ends_with("/app.log") && it.contains(path))
        };
        records.iter().filter(is_of).map(body).collect::<Vec<String>>()
    };
    let lines = |count: usize| (0..count).map(|it| format!("line {it}")).collect::<Vec<_>>();
    let disk = disks.0.display().to_string();
    let counts = |records: &[Value]| (of(records, &disk).len(), of(records, "/data/").len());
    let all = |count: usize| move |it: &(usize, usize)| it.0 >= count && it.1 >= count;
    wait_until("all lines of both", || counts(&of_web()), all(LINES));
    let target = |mounts: &str| {
        let is_ours = |it: &&str| it.contains("fuse") && it.contains("/volumes/kubernetes.io~csi/");
        mounts.lines().filter(is_ours).count()
    };
    let mounted = || target(&fs::read_to_string("/proc/self/mountinfo").unwrap());
    assert!(mounted() > 0, "it is a log disk");

    patiently(&["delete", "pod", "web-0", "--namespace=shop"]);
    wait_until(
        "all that it wrote at its end",
        || of(&of_web(), &disk).len(),
        |it| *it >= 2 * LINES,
    );
    let left = || (mounted(), fs::read_dir(disks.0.join("stores")).unwrap().count());
    wait_until("unmounted, and nothing left", left, |it| *it == (0, 0));
    let records = of_web();
    assert_eq!(of(&records, &disk), lines(2 * LINES), "once, whole and in order");
    // Of the other volume what was read before the kubelet removed it, and once.
    let of_data = of(&records, "/data/");
    assert_eq!(of_data, lines(of_data.len()));
    // By no other way: neither through the mount nor by another name.
    let inside = records.iter().filter(|it| it["log.file.path"] == "/var/log/app/app.log").count();
    assert_eq!(inside, 0, "read through the mount, too");
    let from_files = records.iter().filter(|it| !it["log.file.path"].is_null()).count();
    assert_eq!(from_files, 2 * LINES + of_data.len());
    assert!(records.iter().all(|it| it["body"] != "failed"));
    assert_eq!(records[0]["k8s.namespace.name"], "shop");
    let end = ["delete", "daemonset", "--all", "--namespace=logferry", "--cascade=foreground"];
    patiently(&end);
    drop((disks, kubelet, own));
}
