//! What a container may write, and what arrives of it.

use node_kit::Containerd;
use serde_json::{Value, json};

use crate::kit::Agent;

use super::{bed, bodies, stop_and_audit, wait_for_count};

/// containerd cuts lines into parts of so many bytes.
const PART_BYTES: usize = 16 << 10;

/// Writes a line of so many bytes, all of them `letter`.
fn line_of(bytes: usize, letter: char) -> String {
    format!("head -c {bytes} /dev/zero | tr '\\0' {letter}; echo; ")
}

#[test]
fn lines_of_a_real_runtime_arrive_whole_whatever_they_are() {
    let lengths = [(PART_BYTES, 'a'), (PART_BYTES + 1, 'b'), (40_000, 'c'), (200_000, 'd')];
    let long: String = lengths.map(|(bytes, letter)| line_of(bytes, letter)).concat();
    // What is written to stderr meanwhile comes between the parts.
    let script = format!(
        "(for i in $(seq 200); do echo err $i; done >&2) & \
         {long} echo; printf 'dos\\r\\n'; printf '\\377\\200\\001\\n'; wait; printf 'no end'"
    );
    let (bed, node) = (bed(), Containerd::start().unwrap());
    let agent = Agent::start(&bed);
    let pod = node.pod("shop", "web-0").logs(bed.path("pods")).run().unwrap();
    let app = pod.run("app", &["sh", "-c", &script]).unwrap();
    assert_eq!(app.wait_ended().unwrap().exit_code, 0);

    let records = wait_for_count(&bed, 208);
    let err: Vec<String> = (1..=200).map(|number| format!("err {number}")).collect();
    assert_eq!(bodies(&records, "app", "stderr"), err);
    let out: Vec<&Value> = records.iter().filter(|it| it["log.iostream"] == "stdout").collect();
    let flags: Vec<&str> = out.iter().map(|it| it["log.flags"].as_str().unwrap_or("")).collect();
    for ((bytes, letter), record) in lengths.iter().zip(&out) {
        let text = record["body"].as_str().unwrap();
        assert!(*text == letter.to_string().repeat(*bytes), "{bytes} bytes became {}", text.len());
    }
    assert_eq!((&out[4]["body"], &out[5]["body"]), (&json!(""), &json!("dos")));
    assert_eq!(out[6]["body.bytes"], json!([0xff, 0x80, 1]));
    assert_eq!(out[7]["body"], "no end");
    assert_eq!(flags, ["", "", "", "", "", "", "", "unterminated"]);
    let record = out[0];
    assert_eq!(record["k8s.pod.uid"], pod.uid());
    assert_eq!(record["k8s.container.restart_count"], 0);
    assert_eq!(record["log.file.path"], app.log().to_str().unwrap());
    stop_and_audit(&bed, agent);
}
