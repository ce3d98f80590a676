//! Containers that say by variables what to collect of them, as Alibaba's agent has it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::bed::{ClusterBed, line};
use crate::kit::{append, body, wait_until};

fn env(variables: &[(&str, &str)]) -> Value {
    variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// Topic and body of each record.
fn delivered(bed: &ClusterBed) -> BTreeSet<(String, String)> {
    let topic = |it: &Value| it["log.topic"].as_str().unwrap_or("-").to_owned();
    bed.records().iter().map(|it| (topic(it), body(it))).collect()
}

#[test]
fn variables_of_a_container_collect_it_and_wrong_ones_are_said() {
    let bed = ClusterBed::new();
    let fields = format!("  nodeName: node-1\n  podLogsDirectory: '{}'\n", bed.root());
    bed.configure(&[&bed.agent(&fields)]);
    bed.api.apply("logsinks", bed.sink());
    let write = |name: &str| append(&bed.log_of(name), line(&format!("of {name}")).as_bytes());
    let pods: [(&str, &[(&str, &str)]); 5] = [
        ("plain", &[("OTHER", "stdout")]),
        ("access", &[("aliyun_logs_access", "stdout")]),
        (
            "named",
            &[
                ("aliyun_logs_web", "stdout-only"),
                ("aliyun_logs_web_logstore", "shop-web"),
                ("aliyun_logs_web_project", "p"),
            ],
        ),
        ("wrong", &[("aliyun_logs_wrong", "standard output")]),
        // It is of this namespace alone, whatever it says.
        (
            "thief",
            &[("aliyun_logs_thief", "/etc/shadow"), ("aliyun_logs_thief_dockerfile", "false")],
        ),
    ];
    for (name, variables) in pods {
        bed.tell_pod_with_variables(name, &env(variables));
        write(name);
    }
    let mut agent = bed.start_with(&["--aliyun=cluster"]);
    let pair = |topic: &str, body: &str| (topic.to_owned(), body.to_owned());
    let mut want = BTreeSet::from([pair("access", "of access"), pair("shop-web", "of named")]);
    bed.wait_for_queue();
    wait_until("both", || delivered(&bed), |it| *it == want);
    agent.wait_said("write stdout, stdout-only, stderr-only");
    agent.wait_said("spec.project: not applicable");
    agent.wait_said("files of the host are not a namespace's to read");
    // Another pod that says the same is collected, and one that says something new.
    bed.tell_pod_with_variables("second", &env(&[("aliyun_logs_access", "stdout")]));
    write("second");
    want.insert(pair("access", "of second"));
    wait_until("the second", || delivered(&bed), |it| *it == want);
    bed.tell_pod_with_variables("late", &env(&[("aliyun_logs_late", "stdout")]));
    write("late");
    want.insert(pair("late", "of late"));
    wait_until("the late one", || delivered(&bed), |it| *it == want);
    agent.assert_running();
    bed.wait_state("aliyun_logs_late");
    agent.stop();
    // They are known at a start without the API server.
    bed.api.set_down(true);
    append(&bed.log_of("late"), line("later").as_bytes());
    let agent = bed.start_with(&["--aliyun=cluster"]);
    want.insert(pair("late", "later"));
    wait_until("what came later", || delivered(&bed), |it| *it == want);
    agent.stop();
    bed.assert_audit_clean();
}
