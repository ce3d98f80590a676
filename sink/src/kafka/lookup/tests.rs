//! Lookups in topics of the real Kafka.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flow::{Codec, Context, Encoding, Marks, PayloadHeader, Span, SystemClock};
use kafka_kit::{Cluster, Listener};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::kafka::header;
use crate::kafka::message::whole;

static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::builder().start().expect("Kafka starts"));

/// Cursors that a section spans.
const SECTION_BYTES: u64 = 10;
/// Contexts that write at the same rate.
const CONTEXTS: u64 = 60;
/// The time of a topic's first message, in milliseconds since 1970, and the epoch that begins then.
const BEGIN_MS: i64 = 1_790_000_000_000;
const EPOCH: u32 = 1_790_000_000;

struct Topic {
    name: String,
    producer: BaseProducer,
    messages: u64,
}

fn id(number: u64) -> ContextId {
    ContextId::of(&[b"lookup", &number.to_le_bytes()])
}

impl Topic {
    fn new(name: &str, partitions: i32) -> Topic {
        // Its times are of long ago.
        CLUSTER.create_topic(name, partitions, 1, &[("retention.ms", "-1")]).unwrap();
        let brokers = CLUSTER.addresses(Listener::Plain);
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("partitioner", "murmur2")
            // A busy machine has it send again what was stored.
            .set("enable.idempotence", "true")
            .set("topic.metadata.refresh.interval.ms", "200")
            .create();
        Topic { name: name.to_owned(), producer: producer.unwrap(), messages: 0 }
    }

    /// A section of a context, a millisecond after the one before.
    fn send(&mut self, context: ContextId, epoch: u32, begin: u64) {
        let header = PayloadHeader {
            context: Arc::new(Context {
                id: context,
                tenant: Arc::from("shop"),
                attributes: vec![],
            }),
            epoch,
            span: Span::new(begin, begin + SECTION_BYTES),
            marks: Marks { first: begin == 0, last: false },
            records: 1,
            filtered: 0,
            gap: None,
            observed_unix_ns: (BEGIN_MS + self.messages.cast_signed()) * 1_000_000,
            positions: Vec::new(),
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: 0..0,
        };
        let message = whole(0, &header, false);
        let value = format!("{{\"body\":\"x\",\"log.cursor\":{begin}}}\n");
        let key = context.to_string();
        let mut record = BaseRecord::to(&self.name)
            .key(&key)
            .payload(&value)
            .headers(header::encode("me", &header, &message, Encoding::JsonLines, Codec::None))
            .timestamp(header.observed_unix_ns / 1_000_000);
        while let Err((error, again)) = self.producer.send(record) {
            assert_eq!(
                error.rdkafka_error_code(),
                Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
            );
            self.producer.poll(Duration::from_millis(10));
            record = again;
        }
        self.messages += 1;
    }

    /// Sections `numbers` of all contexts, in turn.
    fn send_all(&mut self, epoch: u32, numbers: std::ops::Range<u64>) {
        for number in numbers {
            for context in 0..CONTEXTS {
                self.send(id(context), epoch, number * SECTION_BYTES);
            }
        }
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }

    fn look_up(&self, lookup: &Lookup) -> Around {
        let brokers = CLUSTER.addresses(Listener::Plain);
        let mut reader = TopicReader::open(&brokers, &self.name, &[]).unwrap();
        let ends: i64 = reader.bounds().values().map(|it| it.end).sum();
        assert_eq!(ends, self.messages.cast_signed(), "all were taken");
        let around = lookup.run(&mut reader, &SystemClock).unwrap();
        println!("{}: {} of {} messages", self.name, around.messages, self.messages);
        around
    }
}

fn lookup(context: u64, cursor: u64) -> Lookup {
    Lookup {
        context: id(context),
        epoch: None,
        cursor,
        lines: 3,
        since_unix_ms: None,
        messages_max: u64::MAX,
    }
}

/// Numbers of the sections that were found.
fn numbers(around: &Around) -> Vec<u64> {
    around.sections.iter().map(|it| it.header.span.begin / SECTION_BYTES).collect()
}

#[test]
fn a_small_part_of_a_large_topic_is_read() {
    let mut topic = Topic::new("large", 3);
    topic.send_all(EPOCH, 0..500);
    topic.send_all(EPOCH + 30, 0..500);
    for (context, epoch, number, want) in [
        (7, None, 250, 247..254),
        (8, None, 0, 0..4),
        (9, None, 499, 496..500),
        (10, Some(EPOCH), 250, 247..254),
        (11, Some(EPOCH), 499, 496..500),
        (12, Some(EPOCH + 30), 2, 0..6),
    ] {
        let cursor = number * SECTION_BYTES + 4;
        let around = topic.look_up(&Lookup { epoch, ..lookup(context, cursor) });
        assert_eq!(numbers(&around), want.collect::<Vec<u64>>(), "{context} {number}");
        assert_eq!(around.epoch, Some(epoch.unwrap_or(EPOCH + 30)));
        assert!(around.is_complete);
        assert!(around.messages < topic.messages / 20, "{} were read", around.messages);
    }
    // The time of reading says where to begin: no halving.
    let number = 250 * CONTEXTS + 13;
    let since_unix_ms = Some(BEGIN_MS + number.cast_signed());
    let around = topic.look_up(&Lookup { since_unix_ms, ..lookup(13, 2504) });
    assert_eq!((around.epoch, numbers(&around)), (Some(EPOCH), (247..254).collect()));
    assert!(around.messages < 600, "{} were read", around.messages);
    // A time that is wrong only costs.
    let since_unix_ms = Some(BEGIN_MS + 400 * CONTEXTS.cast_signed());
    let around = topic.look_up(&Lookup { since_unix_ms, ..lookup(13, 2504) });
    assert_eq!((around.epoch, numbers(&around)), (Some(EPOCH), (247..254).collect()));
    assert!(around.messages < topic.messages / 10, "{} were read", around.messages);
}

#[test]
fn a_context_that_writes_little_is_found_between_many() {
    let mut topic = Topic::new("quiet", 2);
    for number in 0..5 {
        topic.send_all(EPOCH, number * 100..(number + 1) * 100);
        topic.send(id(CONTEXTS), EPOCH, number * SECTION_BYTES);
    }
    topic.send_all(EPOCH, 500..600);
    let around = topic.look_up(&lookup(CONTEXTS, 2 * SECTION_BYTES));
    assert_eq!(numbers(&around), [0, 1, 2, 3, 4]);
    // With a limit, it says that it has not seen all.
    let around = topic.look_up(&Lookup { messages_max: 1000, ..lookup(CONTEXTS, 20) });
    assert_eq!((around.is_complete, around.messages), (false, 1000));
}

#[test]
fn what_retention_has_left_is_found() {
    let mut topic = Topic::new("trimmed", 1);
    topic.send_all(EPOCH, 0..200);
    let first = 100 * CONTEXTS;
    CLUSTER.trim_topic("trimmed", 0, first.cast_signed()).unwrap();
    let around = topic.look_up(&lookup(20, 150 * SECTION_BYTES));
    assert_eq!(numbers(&around), (147..154).collect::<Vec<u64>>());
    let around = topic.look_up(&lookup(20, 101 * SECTION_BYTES));
    assert_eq!(numbers(&around), (100..105).collect::<Vec<u64>>());
    // What was removed: its neighbours are the first that are left.
    let around = topic.look_up(&lookup(20, 50 * SECTION_BYTES));
    assert_eq!(numbers(&around), (100..103).collect::<Vec<u64>>());
}

#[test]
fn sections_from_before_a_topic_grew_are_found_in_other_partitions() {
    let mut topic = Topic::new("grown", 3);
    topic.send_all(EPOCH, 0..150);
    CLUSTER.grow_topic("grown", 5).unwrap();
    // The producer has to hear of it.
    std::thread::sleep(Duration::from_secs(2));
    topic.send_all(EPOCH, 150..300);
    let mut moved = 0;
    for context in 0..8 {
        for (number, want) in [(150, 147..154), (149, 146..153), (20, 17..24), (280, 277..284)] {
            let around = topic.look_up(&lookup(context, number * SECTION_BYTES));
            assert_eq!(numbers(&around), want.collect::<Vec<u64>>(), "{context} {number}");
            let first = around.sections.first().unwrap().partition;
            moved += usize::from(around.sections.iter().any(|it| it.partition != first));
        }
    }
    assert!(moved > 4, "{moved} lookups went over two partitions");
}

#[test]
fn nothing_is_found_of_a_context_that_is_not_there() {
    let mut topic = Topic::new("nobody", 3);
    topic.send_all(EPOCH, 0..2);
    let around = topic.look_up(&lookup(CONTEXTS + 1, 0));
    assert_eq!((around.epoch, around.sections.len()), (None, 0));
    let around = topic.look_up(&Lookup { epoch: Some(EPOCH + 1), ..lookup(1, 0) });
    assert_eq!((around.epoch, around.sections.len()), (Some(EPOCH + 1), 0));
    // Behind the end: what comes before.
    let around = topic.look_up(&lookup(1, 1_000_000));
    assert_eq!(numbers(&around), [0, 1]);
}
