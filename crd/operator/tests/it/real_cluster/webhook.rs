//! Webhooks, as a real API server asks them.

use std::path::Path;
use std::time::Duration;

use flow::{Clock, SystemClock};
use futures_util::{StreamExt, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube_watch::Access;
use node_kit::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_kit::{Authority, Place, Validity};

use crate::kit::{Operator, wait_until, webhook_place};

/// As the agent's `crds` prints them.
fn definitions() -> String {
    crd::custom_resource_definitions().map(|(_, it)| format!("---\n{it}")).collect()
}

const SINKS: &str = "
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec: {kafka: {brokers: ['kafka:9093'], topic: 'logs-${tenant}'}}
";

/// Pods that are made for the measurement, and so many at once.
const PODS: usize = 1_000;
const AT_ONCE: usize = 4;

/// A server with webhooks that nobody answers yet.
pub(super) struct Scene {
    pub(super) server: ApiServer,
    pub(super) folder: TempDir,
    pub(super) place: Place,
}

impl Scene {
    pub(super) fn new() -> Scene {
        let (server, folder) =
            (ApiServer::start().expect("a server"), tempfile::tempdir().expect("a folder"));
        let scene = Scene { server, folder, place: webhook_place() };
        std::fs::write(scene.folder.path().join("sinks.yaml"), SINKS).expect("can be written");
        let admin = scene.server.admin();
        admin.apply(&definitions()).expect("good");
        for definition in ["logconfigs", "logsinks"] {
            let name = format!("crd/{definition}.logferry.dev");
            admin.kubectl(&["wait", "--for=condition=Established", &name]).expect("established");
        }
        for configuration in scene.configurations() {
            admin.apply(&configuration.to_string()).expect("good");
        }
        scene
    }

    /// Those of the chart, but by address: no service leads anywhere here.
    fn configurations(&self) -> [Value; 2] {
        let Place { address, first_port } = self.place;
        let webhook = |name: &str, path: &str, policy: &str, rule: Value| {
            json!({
                "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": policy, "timeoutSeconds": 3, "rules": [rule],
                "clientConfig": {"url": format!("https://{address}:{first_port}{path}")},
            })
        };
        let rule = |group: &str, version: &str, resource: &str, operations: &[&str]| json!({"apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": operations});
        let pods = rule("", "v1", "pods", &["CREATE"]);
        let mut mutate = webhook("pods.logferry.dev", "/mutate", "Ignore", pods);
        mutate["reinvocationPolicy"] = json!("IfNeeded");
        let ours = rule("logferry.dev", "v1alpha1", "*", &["CREATE", "UPDATE"]);
        let validate = webhook("resources.logferry.dev", "/validate", "Ignore", ours);
        let configuration = |kind: &str, webhook: Value| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "logferry"}, "webhooks": [webhook],
            })
        };
        [
            configuration("MutatingWebhookConfiguration", mutate),
            configuration("ValidatingWebhookConfiguration", validate),
        ]
    }

    pub(super) fn operator(&self, further: &[&str]) -> Operator {
        let sinks = format!("--sidecar-config={}", self.folder.path().join("sinks.yaml").display());
        let Place { address, first_port } = self.place;
        let own = [
            "--namespace=default".to_owned(),
            "--leader-elect=false".to_owned(),
            format!("--webhook-bind-address={address}"),
            format!("--webhook-host={address}"),
            format!("--webhook-port={first_port}"),
            sinks,
        ];
        let all: Vec<&str> =
            own.iter().map(String::as_str).chain(further.iter().copied()).collect();
        Operator::start(self.folder.path(), self.server.admin().kubeconfig(), &all)
    }

    /// The API server asks it, and believes it.
    pub(super) fn wait_asked(&self, operator: &Operator) {
        wait_until("a pod with a sidecar", || {
            let pod = self.pod("probe", true, &["--dry-run=server"]);
            !operator.log().is_empty() && pod.is_ok_and(|it| has_sidecar(&it))
        });
    }

    /// Makes a pod by kubectl; what the server made of it.
    fn pod(&self, name: &str, asks: bool, further: &[&str]) -> anyhow::Result<Value> {
        let pod = pod(name, asks);
        let file = self.folder.path().join(format!("{name}.json"));
        std::fs::write(&file, pod.to_string())?;
        let file = format!("--filename={}", file.display());
        let create = ["create", &file, "--output=json"];
        let made = self.server.admin().kubectl(&[&create[..], further].concat())?;
        Ok(serde_json::from_str(&made)?)
    }
}

fn pod(name: &str, asks: bool) -> Value {
    let annotations = json!({
        "sidecar.logferry.dev/inject": asks.to_string(),
        "sidecar.logferry.dev/files": "/var/log/app/*.log",
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    })
}

/// What the operator says of how long it took.
fn seconds(operator: &Operator) -> String {
    let (_, metrics) = operator.get("/metrics").expect("it serves them");
    let of_mutate = |it: &&str| it.contains("webhook_seconds") && it.contains("\"mutate\"");
    metrics.lines().filter(of_mutate).map(|it| format!("{it}\n")).collect()
}

fn has_sidecar(pod: &Value) -> bool {
    pod["spec"]["initContainers"][0]["name"] == "logferry"
}

#[test]
fn a_pod_that_asks_gets_its_sidecar_and_why_another_has_none_is_an_event_and_a_metric() {
    let scene = Scene::new();
    let operator = scene.operator(&[]);
    scene.wait_asked(&operator);
    let pod = scene.pod("web-0", true, &[]).unwrap();
    assert!(has_sidecar(&pod), "{pod}");
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/var/log/app");
    assert!(!has_sidecar(&scene.pod("web-1", false, &[]).unwrap()));
    // Values that mean nothing: it starts as it is, and its owner is told.
    let bad = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-2", "namespace": "default",
        "annotations": {"sidecar.logferry.dev/inject": "yes"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}"#;
    let admin = scene.server.admin();
    admin.apply(bad).unwrap();
    wait_until("the event", || {
        let events =
            ["get", "events", "--namespace=default", "--output=jsonpath={.items[*].reason}"];
        admin.kubectl(&events).is_ok_and(|it| it.contains("InvalidValue"))
    });
    let (_, metrics) = operator.get("/metrics").unwrap();
    let skipped = r#"logferry_operator_injection_skipped_total{reason="InvalidValue"} 1"#;
    assert!(metrics.contains(skipped), "{metrics}");
}

#[test]
fn a_bad_log_config_is_refused_with_all_its_problems_and_pods_start_while_nobody_answers() {
    let scene = Scene::new();
    assert!(!has_sidecar(&scene.pod("early", true, &[]).unwrap()), "nobody answers yet");
    let mut operator = scene.operator(&[]);
    scene.wait_asked(&operator);
    let admin = scene.server.admin();
    let config = |spec: &str| {
        let head = "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {name: web, namespace: default}";
        admin.apply(&format!("{head}\nspec: {spec}\n"))
    };
    let refused = config(
        "{source: {containers: {pods: {include: ['[a']}, containers: {pattern: '('}}}, multiline: {begin: '('}}",
    );
    let said = refused.unwrap_err().to_string();
    for part in
        ["spec.source.containers.pods", "spec.source.containers.containers", "spec.multiline.begin"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    config("{source: {containers: {}}}").unwrap();
    assert!(operator.stop().success());
    assert!(!has_sidecar(&scene.pod("late", true, &[]).unwrap()), "nobody answers any more");
}

#[test]
fn certificates_change_under_load_and_no_pod_misses_its_sidecar() {
    let scene = Scene::new();
    let operator = scene.operator(&["--webhook-certificate-duration=45s"]);
    scene.wait_asked(&operator);
    let count = || operator.log().matches("showing a new certificate").count();
    let (begun, mut pods) = (count(), 0);
    // A certificate is replaced when a third of its life is left.
    let deadline = test_kit::Deadline::after(Duration::from_secs(150));
    while count() < begun + 2 {
        assert!(deadline.left().is_some(), "no new certificate: {}", operator.log());
        let pod = scene.pod("load", true, &["--dry-run=server"]).unwrap();
        assert!(has_sidecar(&pod), "pod {pods}: {}", operator.log());
        pods += 1;
    }
    println!("{}{pods} pods over two certificates", seconds(&operator));
}

#[test]
fn a_thousand_pods_get_their_sidecars_and_how_long_that_took_is_told() {
    let scene = Scene::new();
    let operator = scene.operator(&[]);
    scene.wait_asked(&operator);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let mut took_ms: Vec<u64> = runtime.block_on(async {
        let admin = Access::Kubeconfig(scene.server.admin().kubeconfig().to_path_buf());
        let client = admin.client().await.expect("a client");
        let pods: Api<DynamicObject> =
            Api::default_namespaced_with(client, &ApiResource::erase::<Pod>(&()));
        let make = |number: usize| {
            let pods = pods.clone();
            async move {
                let pod = serde_json::from_value(pod(&format!("p{number}"), true)).expect("one");
                let dry = PostParams { dry_run: true, ..PostParams::default() };
                let begin_ns = SystemClock.monotonic_ns();
                let made = pods.create(&dry, &pod).await.expect("is made");
                assert!(has_sidecar(&made.data), "{made:?}");
                (SystemClock.monotonic_ns() - begin_ns) / 1_000_000
            }
        };
        stream::iter(0..PODS).map(make).buffer_unordered(AT_ONCE).collect().await
    });
    took_ms.sort_unstable();
    let part = |percent: usize| took_ms[PODS * percent / 100 - 1];
    println!("{}", seconds(&operator));
    println!(
        "a pod is made, by the client: p50 {} ms, p99 {} ms, at most {} ms, {AT_ONCE} at once",
        part(50),
        part(99),
        part(100)
    );
}

#[test]
fn an_expired_certificate_lets_pods_start_and_a_renewed_one_is_taken_without_a_restart() {
    let scene = Scene::new();
    let (admin, folder) = (scene.server.admin(), scene.folder.path());
    let authority = Authority::new(folder, "vendor").unwrap();
    let show = |name: &str, validity| {
        let identity = authority.issue(name, Some(scene.place.address), validity).unwrap();
        let secret = ["secret", "generic", "logferry-webhook", "--namespace=default"];
        let part = |name: &str, it: &Path| format!("--from-file={name}={}", it.display());
        let parts = [part("tls.crt", &identity.certificate), part("tls.key", &identity.key)];
        let parts = [parts[0].as_str(), parts[1].as_str()];
        admin.kubectl(&[&["create"][..], &secret, &parts].concat()).unwrap();
    };
    show("expired", Validity::Expired);
    let bundle = ByteString(std::fs::read(authority.certificate()).unwrap());
    let path = "/webhooks/0/clientConfig/caBundle";
    let patch = json!([{"op": "add", "path": path, "value": bundle}]);
    let patch = format!("--patch={patch}");
    let of = ["patch", "mutatingwebhookconfiguration", "logferry", "--type=json", &patch];
    admin.kubectl(&of).unwrap();
    let operator = scene.operator(&["--webhook-external-certificate=true"]);
    let expiry = "logferry_operator_webhook_certificate_expiry_seconds";
    wait_until("the expired certificate", || operator.metric(expiry) < 0.0);
    assert!(!has_sidecar(&scene.pod("web-0", true, &[]).unwrap()));
    admin.kubectl(&["delete", "secret", "logferry-webhook", "--namespace=default"]).unwrap();
    show("renewed", Validity::Valid);
    scene.wait_asked(&operator);
    assert!(operator.metric(expiry) > 0.0);
}

#[test]
fn a_pod_with_its_sidecar_is_let_in_where_pods_are_restricted() {
    let scene = Scene::new();
    let operator = scene.operator(&[]);
    scene.wait_asked(&operator);
    let admin = scene.server.admin();
    let level = "pod-security.kubernetes.io/enforce=restricted";
    admin.kubectl(&["label", "namespace", "default", level]).unwrap();
    wait_until("a pod that says nothing to be refused", || {
        let refused = scene.pod("loose", true, &["--dry-run=server"]);
        refused.is_err_and(|it| it.to_string().contains("violates PodSecurity"))
    });
    let restricted = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strict", "namespace": "default", "annotations":
        {"sidecar.logferry.dev/inject": "true", "sidecar.logferry.dev/files": "/var/log/app/*.log"}},
        "spec": {"securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "app", "image": "app:1", "securityContext":
            {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}"#;
    admin.apply(restricted).unwrap();
    let made = admin.kubectl(&["get", "pod", "strict", "--output=json"]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(has_sidecar(&made), "{made}");
    assert_eq!(made["spec"]["initContainers"][0]["securityContext"]["runAsUser"], 1000);
}
