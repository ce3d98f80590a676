//! Objects of Alibaba's agent have a status that names what is not done of them, with the rights that the chart gives.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::status::{condition, condition_of, create, get, log_node, wait_condition};
use crate::kit::{Operator, SHOP, rendered, server, wait_for};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn object(name: &str) -> String {
    let path = top().join("crates/aliyun/tests/objects").join(name).with_extension("yaml");
    fs::read_to_string(path).expect("an object")
}

fn message(object: &Value, about: &str) -> String {
    condition_of(object, about)["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn each_field_that_is_not_honoured_is_named_in_the_status() {
    let (server, folder) = (server(), tempfile::tempdir().expect("a folder"));
    let rights = rendered(folder.path(), "aliyun: {enabled: true}\n", &["ClusterRole"]);
    server.admin().apply(&rights).expect("rights");
    server.admin().apply(SHOP).expect("a namespace");
    let account = server.service_account("logferry", "logferry-operator").expect("an account");
    let flags = [
        "--namespace=logferry",
        "--leader-elect-retry-period=500ms",
        "--status-period=1s",
        "--aliyun=namespace",
    ];
    let operator = Operator::start(folder.path(), account.kubeconfig(), &flags);
    // Their kinds come later: what is there is judged, and they are looked for again.
    wait_condition(&server, &["logsink", "default"], "Accepted", "True Valid");
    for entry in fs::read_dir(top().join("deploy/helm/logferry/files/aliyun")).expect("files") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("text");
        server.admin().apply(&text).expect("a definition");
    }
    for kind in [
        "aliyunlogconfigs.log.alibabacloud.com",
        "clusteraliyunpipelineconfigs.telemetry.alibabacloud.com",
    ] {
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{kind}")];
        server.admin().kubectl(&wait).expect("in use");
    }
    for name in ["2-regex-stdout", "4-regex-file", "5-sidecar-nginx", "7-pipeline-multiline"] {
        server.admin().apply(&object(name)).expect("applied as it is");
    }

    // Taken, with each field that is not done by its name.
    let stdout = ["aliyunlogconfig", "regex-stdout", "-nshop"];
    let taken = wait_condition(&server, &stdout, "FieldsHonoured", "False SomeLeftOut");
    assert_eq!(condition(&taken, "Accepted"), "True Valid");
    let said = message(&taken, "FieldsHonoured");
    for line in [
        "spec.project: not applicable: ",
        "spec.shardCount: not applicable: ",
        "spec.lifeCycle: not applicable: ",
        "spec.logtailConfig.configName: not applicable: ",
        "spec.logtailConfig.inputDetail.plugin.processors: not yet: ",
    ] {
        assert!(said.lines().any(|it| it.starts_with(line)), "{line}: {said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(!said.contains("logstore"), "{said}");
    let pipeline = ["clusteraliyunpipelineconfig", "example-k8s-file"];
    wait_condition(&server, &pipeline, "Accepted", "True Valid");
    // Refused as a whole, with the reason.
    let nginx = ["aliyunlogconfig", "nginx-access", "-nshop"];
    let refused = wait_condition(&server, &nginx, "Accepted", "False Invalid");
    let why = message(&refused, "Accepted");
    assert!(why.contains("inputDetail.dockerFile") && why.contains("not a namespace's"), "{why}");

    // What agents say of the two LogConfigs of one object is its own; a node counts once.
    let of = |name: &str, bytes: u64| {
        let counts = json!({"pods": 1, "containers": 1, "sources": 1, "readBytes": bytes,
            "deliveredBytes": bytes, "deliveredRecords": 1, "lagBytes": 0, "shedRecords": 0, "lostBytes": 0});
        json!({"namespace": "shop", "name": name, "counts": counts, "problems": []})
    };
    let log_configs = [of("regex-file", 30), of("regex-file-2", 12)];
    let said = log_node("node-1", &json!(log_configs));
    let agent = server.service_account("logferry", "logferry").expect("an account");
    create(&agent, &folder, &said);
    let file = ["aliyunlogconfig", "regex-file", "-nshop"];
    wait_condition(&server, &file, "Ready", "True Collecting");
    let counted = wait_for("the counts", || {
        Some(get(&server, &file)).filter(|it| it["status"]["counts"]["deliveredBytes"] == 42)
    });
    assert_eq!(
        (&counted["status"]["nodes"], &counted["status"]["counts"]["pods"]),
        (&1.into(), &2.into())
    );
    let table = server.admin().kubectl(&["get", "aliyunlogconfig", "-nshop"]).expect("a table");
    let line = table.lines().find(|it| it.starts_with("regex-file")).expect("its line");
    let cells: Vec<&str> = line.split_whitespace().take(6).collect();
    assert_eq!(cells, ["regex-file", "java", "True", "True", "Collecting", "False"], "{table}");

    // A LogConfig of its name comes before: the object is refused, and accepted again once that is gone.
    let twin = "{apiVersion: logferry.dev/v1alpha1, kind: LogConfig, metadata: {name: regex-stdout, namespace: shop}, \
                spec: {source: {containers: {pods: {include: [twin]}}}}}\n";
    server.admin().apply(twin).expect("applied");
    let refused = wait_condition(&server, &stdout, "Accepted", "False Invalid");
    assert!(message(&refused, "Accepted").contains("taken"), "{refused}");
    wait_condition(&server, &["logconfig", "regex-stdout", "-nshop"], "Accepted", "True Valid");
    server.admin().kubectl(&["delete", "logconfig", "regex-stdout", "-nshop"]).expect("deleted");
    wait_condition(&server, &stdout, "Accepted", "True Valid");
    assert!(!operator.log().contains("forbidden"), "{}", operator.log());
}
