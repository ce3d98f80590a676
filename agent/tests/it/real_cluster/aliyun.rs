//! Objects of Alibaba's agent, applied as they are, to what pods write: the shapes of `crates/aliyun/tests/objects`; and
//! variables of a pod.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use node_kit::{Cluster, IMAGE, User};
use serde_json::{Value, json};

use super::start_agent;
use crate::kit::{Bed, Run, append, body, queue_sink, wait_until};

/// Definitions that the chart installs if it is asked to.
fn define(admin: &User) {
    admin.apply(&Run::of(&["crds"]).stdout).unwrap();
    let folder = top().join("deploy/helm/logferry/files/aliyun");
    for entry in fs::read_dir(folder).unwrap() {
        admin.apply(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
    }
    for name in [
        "aliyunlogconfigs.log.alibabacloud.com",
        "clusteraliyunpipelineconfigs.telemetry.alibabacloud.com",
    ] {
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")];
        admin.kubectl(&wait).unwrap();
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An object as it is in the examples.
fn object(name: &str) -> String {
    let path = top().join("crates/aliyun/tests/objects").join(name).with_extension("yaml");
    fs::read_to_string(path).unwrap()
}

/// A pod of busybox; what is written of labels and variables is JSON.
fn pod(namespace: &str, name: &str, container: (&str, &str), labels: Value, env: Value) -> String {
    let (container, script) = container;
    let script = format!("{script}; sleep 1000");
    let app =
        json!({"name": container, "image": IMAGE, "command": ["sh", "-c", script], "env": env});
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
    let spec =
        json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [app]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

/// What each pod is for says the topic of its record below. Those that say `off` are none of the eighth object's, which
/// is the cluster's, and so comes before.
fn pods() -> Vec<String> {
    let off = || json!({"logs": "off"});
    let with = |key: &str, value: &str| json!({"logs": "off", key: value});
    let env = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    let file = |path: &str, lines: &str| {
        let folder = Path::new(path).parent().unwrap().display().to_string();
        format!("mkdir -p {folder}; printf '{lines}' >{path}")
    };
    let service = file("/app/logs/service.log", "[2026-01-02T03:04:05] [INFO] of\\n  two lines\\n");
    let multi =
        file("/data/logs/app_1/x/test.LOG", "2024-06-19 16:35:00 INFO of\\n  several lines\\n");
    let variables = json!([
        {"name": "aliyun_logs_env", "value": "stdout"},
        {"name": "aliyun_logs_env_logstore", "value": "of-env"},
        {"name": "aliyun_logs_path", "value": "/srv/*.log"},
    ]);
    let path = file("/srv/a.log", "of a path\\n");
    vec![
        pod("shop", "env-0", ("app", &format!("echo of a variable; {path}")), off(), variables),
        pod("shop", "web-0", ("app", "echo plain"), off(), json!([])),
        pod(
            "shop",
            "quiet-0",
            ("app", "echo unwanted"),
            off(),
            env("COLLECT_STDOUT_FLAG", "false"),
        ),
        pod(
            "shop",
            "grafana-0",
            ("app", "printf 't=1 lvl=info of\\n  two lines\\n'"),
            off(),
            env("GF_INSTALL_PLUGINS", "x"),
        ),
        pod(
            "shop",
            "files-0",
            ("app", &file("/var/log/app/a.log", "of a file\\n")),
            off(),
            env("ROLE", "web"),
        ),
        pod("shop", "service-0", ("app", &service), with("app", "service"), json!([])),
        pod(
            "kube-system",
            "ingress-0",
            ("nginx-ingress-controller", "echo GET /"),
            off(),
            json!([]),
        ),
        pod("shop", "multi-0", ("mytest", &multi), with("app", "web"), json!([])),
        pod("bank", "any-0", ("app", "echo of any namespace"), json!({}), json!([])),
    ]
}

/// Pod, topic and body of each record.
fn delivered(bed: &Bed) -> BTreeSet<(String, String, String)> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or("-").to_owned();
    let each = |it: &Value| (text(it, "k8s.pod.name"), text(it, "log.topic"), body(it));
    bed.records().iter().map(each).collect()
}

#[test]
fn the_shapes_of_alibaba_s_objects_deliver_from_kubectl_to_the_record() {
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    let admin = cluster.admin();
    define(admin);
    for namespace in ["shop", "bank"] {
        admin.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    let (socket, kubelet) = (cluster.runtime().socket(), cluster.runtime().kubelet_folder());
    let fields = format!(
        "  nodeName: {}\n  podLogsDirectory: '{}'\n  containerRuntime:\n    socket: '{}'\n    kubeletDirectory: '{}'\n",
        node_kit::NODE,
        cluster.logs().display(),
        socket.display(),
        kubelet.display()
    );
    bed.configure(&[&bed.agent(&fields), &queue_sink("")]);
    let agent = start_agent(&bed, admin.kubeconfig(), &["--aliyun=namespace"]);
    let all = [
        "1-simple-stdout",
        "2-regex-stdout",
        "3-simple-file",
        "4-regex-file",
        "5-sidecar-nginx",
        "6-nginx-ingress",
        "7-pipeline-multiline",
        "8-pipeline-json",
    ];
    for name in all {
        admin.apply(&object(name)).unwrap();
    }
    for pod in pods() {
        admin.apply(&pod).unwrap();
    }
    // One by one, as a busy machine takes its time for all of them.
    for namespace in ["shop", "kube-system", "bank"] {
        let pods =
            admin.kubectl(&["get", "pods", "--output=name", "--namespace", namespace]).unwrap();
        for pod in pods.lines() {
            let running = "--for=jsonpath={.status.phase}=Running";
            let wait = ["wait", running, "--timeout=55s", "--namespace", namespace, pod];
            admin.kubectl(&wait).unwrap();
        }
    }
    let want = [
        ("web-0", "k8s-stdout", "plain"),
        ("grafana-0", "grafana", "t=1 lvl=info of\n  two lines"),
        ("files-0", "app-files", "of a file"),
        ("service-0", "java", "[2026-01-02T03:04:05] [INFO] of\n  two lines"),
        ("ingress-0", "nginx-ingress", "GET /"),
        ("multi-0", "k8s-file", "2024-06-19 16:35:00 INFO of\n  several lines"),
        ("any-0", "k8s-stdout", "of any namespace"),
        ("env-0", "of-env", "of a variable"),
        ("env-0", "path", "of a path"),
    ];
    let want: BTreeSet<(String, String, String)> =
        want.map(|(pod, topic, body)| (pod.into(), topic.into(), body.into())).into();
    wait_until("a record of each", || delivered(&bed), |it| *it == want);
    // Files of the host are not a namespace's to read.
    agent.wait_said("files of the host are not a namespace's to read");
    agent.stop();

    // They are an administrator's, who lets objects speak of all.
    let log = bed.path("nginx/access.log");
    fs::create_dir(log.parent().unwrap()).unwrap();
    append(&log, b"GET /shop\n");
    let folder = log.parent().unwrap().display().to_string();
    admin.apply(&object("5-sidecar-nginx").replace("/var/log/nginx", &folder)).unwrap();
    let agent = start_agent(&bed, admin.kubeconfig(), &["--aliyun=cluster"]);
    let access = ("-".to_owned(), "nginx-access".to_owned(), "GET /shop".to_owned());
    wait_until("the access log", || delivered(&bed), |it| it.contains(&access));
    assert!(!delivered(&bed).iter().any(|it| it.0 == "quiet-0"));
    agent.stop();
    bed.assert_audit_clean();
}
