//! Log disks for pods that ask, as a real API server asks by the chart's webhooks.

use serde_json::{Value, json};

use super::webhook::Scene;
use crate::kit::{rendered, wait_until};

const VALUES: &str = "webhook: {enabled: true}\nlogDisk: {enabled: true}\n";

/// Has the server ask as the chart has it, but by address: no service leads anywhere here.
fn ask_by_the_chart(scene: &Scene) {
    let text = rendered(scene.folder.path(), VALUES, &["MutatingWebhookConfiguration"]);
    let file = crd::ConfigFile { path: "webhooks".into(), bytes: Ok(text.into_bytes()) };
    let mut configuration = crd::read_values(file).expect("one").remove(0);
    let (address, port) = (scene.place.address, scene.place.first_port);
    for webhook in configuration["webhooks"].as_array_mut().expect("a list") {
        webhook["clientConfig"] = json!({"url": format!("https://{address}:{port}/mutate")});
        // The machine may be busy.
        webhook["timeoutSeconds"] = json!(30);
    }
    let admin = scene.server.admin();
    admin.kubectl(&["delete", "mutatingwebhookconfiguration", "logferry"]).expect("there was one");
    admin.apply(&configuration.to_string()).expect("good");
}

/// Makes a pod of the restricted profile; what the server made of it.
fn made(scene: &Scene, namespace: &str, metadata: Value, mounts: Value) -> Value {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let app = json!({"name": "app", "image": "app:1", "securityContext": security, "volumeMounts": mounts});
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "containers": [app], "volumes": [{"name": "scratch", "emptyDir": {}}],
            "securityContext":
                {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    });
    pod["metadata"]["namespace"] = json!(namespace);
    let admin = scene.server.admin();
    admin.create(&pod.to_string()).expect("is let in");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let namespace = format!("--namespace={namespace}");
    let made = admin.kubectl(&["get", "pod", name, &namespace, "--output=json"]).expect("is there");
    serde_json::from_str(&made).expect("an object")
}

/// The log disks of a pod: attributes, and where its container has each.
fn disks(pod: &Value) -> Vec<(Value, String)> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let ours = volumes.filter(|it| it["csi"]["driver"] == "logdisk.logferry.dev");
    let at = |name: &Value| {
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array();
        let mount = mounts.into_iter().flatten().find(|it| it["name"] == *name);
        let mount = mount.expect("is mounted");
        mount["mountPath"].as_str().expect("a path").to_owned()
    };
    ours.map(|it| (it["csi"]["volumeAttributes"].clone(), at(&it["name"]))).collect()
}

#[test]
fn a_pod_that_asks_gets_its_log_disk_and_why_another_has_none_is_an_event_and_a_metric() {
    let scene = Scene::new();
    ask_by_the_chart(&scene);
    let operator = scene.operator(&["--log-disks=true"]);
    scene.wait_asked(&operator);
    let admin = scene.server.admin();
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    admin.kubectl(&["label", "namespace", "default", restricted]).expect("may");
    let asks = |name: &str, folders: &str| {
        json!({"name": name, "annotations": {
            "logdisk.logferry.dev/inject": "true", "logdisk.logferry.dev/folders": folders,
            "logdisk.logferry.dev/size": "16Mi", "logdisk.logferry.dev/full": "drop_oldest",
        }})
    };
    let pod = made(&scene, "default", asks("web-0", "/var/log/app,/srv/log"), json!([]));
    let attributes = json!({"size": "16Mi", "full": "drop_oldest"});
    let both = ["/srv/log", "/var/log/app"].map(|it| (attributes.clone(), it.to_owned()));
    assert_eq!(disks(&pod), both, "{pod}");
    assert!(pod["spec"]["initContainers"].is_null(), "no sidecar: {pod}");

    // By the label of a namespace, which a pod beats.
    admin.kubectl(&["create", "namespace", "bank"]).expect("may");
    admin
        .kubectl(&["label", "namespace", "bank", "logdisk.logferry.dev/inject=true"])
        .expect("may");
    let folders = "logdisk.logferry.dev/folders=/var/log/till";
    admin.kubectl(&["annotate", "namespace", "bank", folders]).expect("may");
    let silent = |name: &str| made(&scene, "bank", json!({"name": name}), json!([]));
    // The server hears of labels of namespaces a moment later.
    let mut tries = 0..;
    wait_until("a log disk", || {
        let pod = silent(&format!("till-{}", tries.next().expect("endless")));
        disks(&pod) == [(Value::Null, "/var/log/till".to_owned())]
    });
    let refuses = json!({"name": "none", "labels": {"logdisk.logferry.dev/inject": "false"}});
    assert_eq!(disks(&made(&scene, "bank", refuses, json!([]))), []);

    // What nobody else says, a LogConfig chooses.
    let config = "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {name: disks, namespace: default}\n\
         spec: {source: {containers: {podSelector: {matchLabels: {app: till}}, logDisk: \
         {folders: [/var/log/till], size: 8MiB, full: enospc, fsyncTimeout: 90s}}}}\n";
    admin.apply(config).expect("good");
    let mut till = asks("till", "/srv/log");
    let annotations = till["annotations"].as_object_mut().expect("a mapping");
    annotations.remove("logdisk.logferry.dev/folders");
    annotations.remove("logdisk.logferry.dev/size");
    till["labels"] = json!({"app": "till"});
    let attributes = json!({"size": "8388608", "full": "drop_oldest", "fsyncSeconds": "90"});
    let pod = made(&scene, "default", till, json!([]));
    assert_eq!(disks(&pod), [(attributes, "/var/log/till".to_owned())], "{pod}");

    // It starts as it is, and who made it is told.
    let taken = json!([{"name": "scratch", "mountPath": "/srv/log"}]);
    assert_eq!(disks(&made(&scene, "default", asks("web-1", "/srv/log"), taken)), []);
    wait_until("the event", || {
        let notes =
            ["get", "events", "--namespace=default", "--output=jsonpath={.items[*].message}"];
        let said = "container app has volume scratch at /srv/log";
        admin.kubectl(&notes).is_ok_and(|it| it.contains(said))
    });
    let (_, metrics) = operator.get("/metrics").expect("it serves them");
    let skipped = r#"logferry_operator_log_disks_skipped_total{reason="FolderTaken"} 1"#;
    assert!(metrics.contains(skipped), "{metrics}");
}
