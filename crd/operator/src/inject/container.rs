//! Container: the sidecar itself, and the volumes that are its own.

use serde_json::{Value, json};

use super::folders::Folders;
use super::{CONFIG, NAME, Template, items};

/// Where the agent finds its configuration, and what is said of the pod.
const CONFIG_FOLDER: &str = "/etc/logferry/config";
/// File there with the labels of the pod, which the kubelet keeps up to date.
const LABELS: &str = "labels";
/// Where it finds Secrets: as everywhere.
pub(super) const SECRETS_FOLDER: &str = "/etc/logferry/secrets";
/// Where it keeps what it must know after a restart of its container.
pub(super) const STATE_FOLDER: &str = "/var/lib/logferry";
/// The port of metrics and health, if the pod has no use for it itself.
const PORT: u64 = 9180;
/// Nobody, as distroless images number it: where nothing says who the application is.
const NOBODY: u64 = 65532;
/// Kubernetes' default.
const GRACE_SECONDS: u64 = 30;

/// A port that no container of the pod names.
pub(super) fn free_port(pod: &Value) -> u64 {
    let of = |kind: &str| items(&pod["spec"][kind]).flat_map(|it| items(&it["ports"])).cloned();
    let taken: Vec<Value> = of("containers").chain(of("initContainers")).collect();
    let is_free = |port: &u64| !taken.iter().any(|it| it["containerPort"] == *port);
    (PORT..PORT + 1000).find(is_free).unwrap_or(PORT)
}

/// What the pod may take to end.
pub(super) fn grace_seconds(pod: &Value) -> u64 {
    pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE_SECONDS)
}

/// Volumes for configuration, state and Secrets.
pub(super) fn volumes(secrets: &[&str]) -> Vec<Value> {
    let field = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let config = [
        field("agent.yaml", &format!("metadata.annotations['{CONFIG}']")),
        field(LABELS, "metadata.labels"),
        field("annotations", "metadata.annotations"),
    ];
    let mut volumes = vec![
        json!({"name": "logferry-config", "downwardAPI": {"items": config}}),
        // It outlives the container, as the files do.
        json!({"name": "logferry-state", "emptyDir": {}}),
    ];
    for (index, secret) in secrets.iter().enumerate() {
        // One that is not there delays what is sent, and not the pod's start.
        let source = json!({"secretName": secret, "optional": true, "defaultMode": 0o444});
        volumes.push(json!({"name": format!("logferry-secret-{index}"), "secret": source}));
    }
    volumes
}

/// The container, as it is put before all others.
pub(super) fn sidecar(
    pod: &Value,
    folders: &Folders,
    secrets: &[&str],
    port: u64,
    template: &Template,
) -> Value {
    let mut mounts = vec![
        json!({"name": "logferry-config", "mountPath": CONFIG_FOLDER, "readOnly": true}),
        json!({"name": "logferry-state", "mountPath": STATE_FOLDER}),
    ];
    for (index, secret) in secrets.iter().enumerate() {
        mounts.push(json!({
            "name": format!("logferry-secret-{index}"),
            "mountPath": format!("{SECRETS_FOLDER}/{secret}"),
            "readOnly": true,
        }));
    }
    mounts.extend_from_slice(folders.mounts());
    let identity = [
        ("LOGFERRY_POD_NAMESPACE", "metadata.namespace"),
        ("LOGFERRY_POD_NAME", "metadata.name"),
        ("LOGFERRY_POD_UID", "metadata.uid"),
        ("NODE_NAME", "spec.nodeName"),
    ];
    let identity = identity
        .map(|(name, path)| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    let labels =
        json!({"name": "LOGFERRY_POD_LABELS", "value": format!("{CONFIG_FOLDER}/{LABELS}")});
    let env: Vec<Value> = identity.into_iter().chain([labels]).collect();
    let probe = |period: u64, failures: u64| {
        json!({
            "httpGet": {"path": "/live", "port": port},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    let mut sidecar = json!({
        "name": NAME,
        "image": template.image,
        "imagePullPolicy": template.image_pull_policy,
        // Nobody reads what it leaves: the files go with the pod.
        "args": ["run", "-f", CONFIG_FOLDER, "--drain"],
        "env": env,
        // What is first starts at once and looks for files: the application waits for no more than that. `/live` asks
        // for no queue.
        "startupProbe": probe(1, 120),
        "livenessProbe": probe(10, 6),
        "resources": {
            "requests": {"cpu": template.cpu, "memory": template.memory},
            "limits": {"memory": template.memory},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": user(pod),
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    });
    if template.has_native_sidecars {
        sidecar["restartPolicy"] = json!("Always");
    }
    sidecar
}

/// Who may read the files: the application's user, if all containers have the same and it is not root.
fn user(pod: &Value) -> u64 {
    let of_pod = pod["spec"]["securityContext"]["runAsUser"].as_u64();
    let of = |it: &Value| it["securityContext"]["runAsUser"].as_u64().or(of_pod);
    let mut users: Vec<Option<u64>> = items(&pod["spec"]["containers"]).map(of).collect();
    users.dedup();
    match users.as_slice() {
        [Some(user)] if *user != 0 => *user,
        _ => NOBODY,
    }
}
