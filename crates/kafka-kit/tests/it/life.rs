//! Brokers are killed, stopped and started again; and they end with the process that has them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_kit::{Access, Cluster, Isolation, wait_until};

use crate::producer::Producer;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_broker_is_the_same_after_every_kind_of_end() {
    let cluster = Cluster::builder().start().unwrap();
    cluster.create_topic("life", 1, 1, &[]).unwrap();
    let broker = cluster.broker(1);
    let producer = Producer::new(&cluster.client(&Access::Plain));
    assert_eq!(producer.deliver("life", b"first"), Ok(0));

    broker.kill().unwrap();
    assert!(!broker.is_running());
    assert!(broker.kill().is_err(), "it is dead already");
    producer.send("life", 1, b"while it is down");
    assert_eq!(producer.reports_within(Duration::from_millis(300)), 0);
    broker.start().unwrap();
    assert!(broker.start().is_err(), "it runs already");
    assert_eq!(producer.reports(1), [(1, Ok(1))]);

    broker.pause().unwrap();
    producer.send("life", 2, b"while it is paused");
    assert_eq!(producer.reports_within(Duration::from_millis(300)), 0);
    assert!(broker.is_running());
    broker.resume().unwrap();
    assert_eq!(producer.reports(1), [(2, Ok(2))]);

    broker.stop().unwrap();
    broker.set("compression.type", "lz4");
    broker.start().unwrap();
    assert_eq!(producer.deliver("life", b"after the end"), Ok(3));
    let codecs: Vec<String> =
        cluster.dump(1, "life", 0).unwrap().into_iter().map(|it| it.codec).collect();
    assert_eq!(codecs, ["none", "none", "none", "lz4"]);
    assert_eq!(cluster.consume("life", 0, Isolation::Committed).unwrap().len(), 4);
    let bytes = broker.resident_bytes().unwrap();
    assert!((50 << 20..1 << 30).contains(&bytes), "{bytes} bytes in RAM");
}

#[test]
fn a_property_that_kafka_does_not_take_is_told_with_its_log() {
    let error = Cluster::builder().set("log.segment.bytes", "nonsense").start().unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("log.segment.bytes"), "{text}");
}

#[test]
fn brokers_and_their_folder_go_with_a_process_that_is_killed() {
    // Beside the folder of the test programs.
    let example = std::env::current_exe().unwrap().with_file_name("../examples/broker");
    let mut holder = Command::new(&example)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut value = |name: &str| -> String {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(name).unwrap_or_else(|| panic!("{line}: not {name}")).to_owned()
    };
    let (folder, process) = (value("folder: "), value("process: "));
    let is_there = || {
        let status = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        status.contains(&folder)
    };
    assert!(is_there() && fs::exists(&folder).unwrap());

    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until("end of the broker and its folder", PATIENCE, || {
        anyhow::ensure!(!is_there(), "the broker runs");
        anyhow::ensure!(!fs::exists(&folder)?, "{folder} is there");
        Ok(())
    })
    .unwrap();
}
