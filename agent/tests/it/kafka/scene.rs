//! Scene: brokers, an agent that writes to them, two tenants who log, and the proof of what arrived.

use std::collections::HashMap;

use benches::check::{CheckOptions, Checker};
use benches::load::LoadSpec;
use benches::truth::StreamTruth;
use kafka_kit::{Builder, Cluster, Isolation, Listener, Proxy, Read};

use crate::kit::{
    Agent, Bed, Run, Writer, assert_exact, files, get, judge, load, now_ns, resource, rotation,
    sleep_ms, wait_for,
};

/// Partitions of a topic, unless a test says something else.
pub(super) const PARTITIONS: i32 = 3;
/// Each has a folder of its own, and the topic `logs-NAME`.
pub(super) const TENANTS: [&str; 2] = ["shop", "bank"];
/// Longest rest of a tenant whom a fault is none of, in milliseconds: a test machine is busy. Looked for longer.
pub(super) const REST_MS_MAX: u64 = 5000;
/// Longest way of all that was written into the topics, in seconds: a broker may be silent for 30.
const DELIVERY_SECONDS_MAX: u64 = 150;
/// What a tenant writes, in bytes a second.
const RATE: u64 = 200_000;
/// Streams of a tenant; its numbers begin at a multiple.
const STREAMS: u32 = 4;

/// Brokers, and an agent that is configured and not started yet.
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) bed: Bed,
}

impl Scene {
    /// One broker, behind the proxy.
    pub(super) fn proxied() -> Scene {
        Scene::new(Cluster::builder(), Listener::Proxied, 1, "")
    }

    /// Brokers, a topic for each tenant, and an agent whose sink has further `fields`.
    pub(super) fn new(builder: Builder, listener: Listener, replicas: i32, fields: &str) -> Scene {
        let cluster = builder.start().expect("Kafka starts");
        for tenant in TENANTS {
            let topic = format!("logs-{tenant}");
            let properties: &[_] = if replicas > 2 { &[("min.insync.replicas", "2")] } else { &[] };
            cluster.create_topic(&topic, PARTITIONS, replicas, properties).unwrap();
        }
        let bed = Bed::new();
        let scene = Scene { cluster, bed };
        scene.configure(listener, fields);
        scene
    }

    pub(super) fn configure(&self, listener: Listener, fields: &str) {
        let rule = |tenant: &str| {
            files(tenant, &format!("{tenant}/*.log"), &format!("  tenant: {tenant}\n"))
        };
        let [one, other] = TENANTS.map(rule);
        self.bed.configure(&[
            &self.bed.agent(""),
            &sink(&self.cluster, listener, fields),
            &one,
            &other,
        ]);
    }

    /// What stands before the first broker.
    pub(super) fn proxy(&self) -> &Proxy {
        self.cluster.broker(1).proxy()
    }

    /// Rotating logs of a tenant.
    pub(super) fn load(&self, tenant: &str) -> LoadSpec {
        let number = TENANTS.iter().position(|it| *it == tenant).expect("a tenant");
        LoadSpec {
            rotation: rotation(512 << 10),
            rate: RATE,
            first_stream: u32::try_from(number).expect("small") * STREAMS,
            ..load(&self.bed.log(tenant), STREAMS)
        }
    }

    /// Both tenants begin to log.
    pub(super) fn write(&self) -> Writers {
        self.write_at(RATE)
    }

    /// The same, with so many bytes a second of each.
    pub(super) fn write_at(&self, rate: u64) -> Writers {
        Writers(TENANTS.map(|tenant| Writer::start(&LoadSpec { rate, ..self.load(tenant) })))
    }

    /// Both end; the agent delivers all and stops; and both topics have everything once and in order.
    pub(super) fn prove(&self, agent: Agent, writers: Writers) {
        for (tenant, truth) in TENANTS.iter().zip(self.finish(agent, writers)) {
            assert_arrived(&self.cluster, &format!("logs-{tenant}"), &truth);
        }
    }

    /// The same where messages may come again, and then behind later ones: none is missing. Says how many lines
    /// came again.
    pub(super) fn prove_with_doubles(&self, agent: Agent, writers: Writers) {
        for (tenant, truth) in TENANTS.iter().zip(self.finish(agent, writers)) {
            let options = CheckOptions { allow_doubled: true, ..CheckOptions::default() };
            let mut checker = Checker::new(truth, options);
            let values = values(&messages(&self.cluster, &format!("logs-{tenant}")));
            for line in values.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                checker.take_line(line);
            }
            let it = checker.finish();
            let (doubled, late) = (it.doubled, it.out_of_order);
            println!("{tenant}: {} lines, {doubled} again, {late} behind later ones", it.lines);
            let strange = it.corrupt + it.foreign + it.unexpected + it.unreadable;
            assert!(it.lost == 0 && strange == 0 && it.gaps == 0 && it.arrived > 0, "{it}");
        }
    }

    /// Both end, and the agent delivers all and stops.
    fn finish(&self, mut agent: Agent, writers: Writers) -> [Vec<StreamTruth>; 2] {
        let truth = writers.0.map(Writer::stop);
        wait_for_delivery(&mut agent);
        agent.stop();
        truth
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = (0..).map(|life| self.bed.path(format!("stderr.{life}")));
            for text in said.map_while(|path| std::fs::read_to_string(path).ok()) {
                eprintln!("--- an agent said ---\n{text}");
            }
        }
    }
}

/// Both tenants, logging.
pub(super) struct Writers([Writer; 2]);

pub(super) fn sink(cluster: &Cluster, listener: Listener, fields: &str) -> String {
    let brokers = cluster.addresses(listener).replace(',', "', '");
    let spec = format!(
        "  kafka:\n    brokers: ['{brokers}']\n    topic: 'logs-${{tenant}}'\n{fields}  encoding: json_lines\n"
    );
    resource("LogSink", "default", &spec)
}

/// All messages of a topic, partition by partition, in their order.
pub(super) fn messages(cluster: &Cluster, topic: &str) -> Vec<Read> {
    let partitions = cluster.end_offsets(topic).expect("the topic is there");
    // At once: it takes most of its time to start.
    std::thread::scope(|scope| {
        let isolation = Isolation::Uncommitted;
        let read =
            |(it, end)| scope.spawn(move || cluster.consume_count(topic, it, isolation, end));
        let all: Vec<_> = partitions.into_iter().map(read).collect();
        let all = all.into_iter().map(|it| it.join().expect("it does not panic"));
        all.flat_map(|it| it.expect("the topic can be read")).collect()
    })
}

/// What the messages say, one behind the other, compressed by the agent or not.
pub(super) fn values(messages: &[Read]) -> Vec<u8> {
    let is_packed = |it: &Read| {
        it.headers.iter().any(|(name, value)| name == "content-encoding" && value == b"zstd")
    };
    let value = |it: &Read| {
        let value = it.value.clone().filter(|it| !it.is_empty())?;
        Some(if is_packed(it) { zstd::decode_all(&*value).expect("a frame") } else { value })
    };
    messages.iter().filter_map(value).flatten().collect()
}

pub(super) fn header<'a>(message: &'a Read, name: &str) -> &'a str {
    let found = message.headers.iter().find(|(key, _)| key == name);
    std::str::from_utf8(&found.unwrap_or_else(|| panic!("{name} in {message:?}")).1).unwrap()
}

/// The spans of each context follow each other, in the order of the topic, from 0 on; and so do its
/// epochs.
#[track_caller]
pub(super) fn assert_tiled(messages: &[Read]) {
    assert_tiled_from(messages, |_| 0);
}

/// The same from where `begin` says that the context begins.
#[track_caller]
pub(super) fn assert_tiled_from(messages: &[Read], begin: impl Fn(&Read) -> u64) {
    let mut ends = HashMap::new();
    for message in messages {
        let context = header(message, "log.context.id").to_owned();
        assert_eq!(message.key.as_deref(), Some(context.as_bytes()));
        let (from, to) = span(message);
        let before = ends.insert(context, to).unwrap_or_else(|| begin(message));
        let place = (header(message, "log.context.id"), message.offset);
        assert_eq!(from, before, "{place:?}; {}", told(messages));
    }
}

/// The cursors of a message.
pub(super) fn span(message: &Read) -> (u64, u64) {
    let cursor = |name| header(message, name).parse::<u64>().unwrap();
    (cursor("log.cursor.begin"), cursor("log.cursor.end"))
}

/// Where each message is, and which span it has, for who has to find out.
fn told(messages: &[Read]) -> String {
    let one = |it: &Read| {
        let (begin, end) = span(it);
        format!("{}@{} {begin}..{end}\n", &header(it, "log.context.id")[..4], it.offset)
    };
    messages.iter().map(one).collect()
}

pub(super) fn wait_for_delivery(agent: &mut Agent) {
    let deadline_ns = now_ns() + DELIVERY_SECONDS_MAX * 1_000_000_000;
    // What is written now is heard of within a scan; so it is looked at twice.
    for _ in 0..2 {
        loop {
            agent.assert_running();
            let unread = agent.metric("logferry_lag_bytes");
            let left = agent.metric("logferry_in_flight_bytes") + unread;
            if left == 0.0 && agent.ready().0 == 200 {
                break;
            }
            assert!(
                now_ns() < deadline_ns,
                "not within {DELIVERY_SECONDS_MAX} s: {left} bytes are left, {unread} of them unread:\n{}",
                agent.account()
            );
            sleep_ms(50);
        }
        sleep_ms(1500);
    }
}

/// The topic has everything once and in order, by Kafka's own consumer and by `logferry audit`.
#[track_caller]
pub(super) fn assert_arrived(cluster: &Cluster, topic: &str, truth: &[StreamTruth]) {
    let messages = messages(cluster, topic);
    assert_tiled(&messages);
    assert_exact(&judge(truth.to_vec(), &values(&messages)));
    assert_audit_clean(cluster, topic);
}

/// `logferry audit` of a topic.
pub(crate) fn audit(cluster: &Cluster, topic: &str) -> Run {
    let brokers = cluster.addresses(Listener::Plain);
    Run::of(&["audit", "--kafka", &brokers, "--topic", topic, "--output", "json"])
}

/// `logferry audit` finds nothing wrong in the topic; what it says.
#[track_caller]
pub(crate) fn assert_audit_clean(cluster: &Cluster, topic: &str) -> serde_json::Value {
    let audit = audit(cluster, topic);
    let report = audit.json();
    assert_eq!((audit.code, &report["clean"]), (Some(0), &true.into()), "{report:#}");
    report
}

/// A metric of one tenant; 0 if it is not there.
pub(super) fn metric_of(bed: &Bed, name: &str, tenant: &str) -> f64 {
    let text = get(bed.listen, "/metrics").map(|(_, text)| text).unwrap_or_default();
    let begin = format!("{name}{{tenant=\"{tenant}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begin));
    value.map_or(0.0, |it| it.parse().expect("a number"))
}

/// Longest time without a delivery for a tenant, within the next `milliseconds`; in milliseconds.
///
/// Counted in looks: a machine that stands still for all is no rest of one.
pub(super) fn longest_rest_ms(bed: &Bed, tenant: &str, milliseconds: u64) -> u64 {
    const LOOK_MS: u64 = 50;
    let delivered = || metric_of(bed, "logferry_delivered_bytes_total", tenant);
    let (mut last, mut rest, mut longest) = (delivered(), 0, 0);
    for _ in 0..milliseconds / LOOK_MS {
        sleep_ms(LOOK_MS);
        let now = delivered();
        rest += 1;
        longest = longest.max(rest);
        if now > last {
            (last, rest) = (now, 0);
        }
    }
    longest * LOOK_MS
}

/// Waits until a tenant has got more delivered than it has now.
pub(super) fn wait_for_more(bed: &Bed, tenant: &str) {
    let delivered = || metric_of(bed, "logferry_delivered_bytes_total", tenant);
    let before = delivered();
    wait_for("more of a tenant", || {
        let now = delivered();
        // A data plane that was started anew begins to count again.
        if now > 0.0 && now != before { Ok(()) } else { Err(format!("{now} bytes")) }
    });
}
