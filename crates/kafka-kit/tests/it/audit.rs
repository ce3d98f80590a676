//! Kafka's own tools tell what a client under test has sent.

use kafka_kit::{Access, Isolation};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::producer::Producer;
use crate::shared::cluster_with;

#[test]
fn every_byte_of_keys_values_and_headers_is_read_as_it_was_sent() {
    let cluster = cluster_with("audit-bytes");
    let producer = Producer::new(&cluster.client(&Access::Plain));
    let all: Vec<u8> = (0..=255).collect();
    let text = "\\x41,:\t\n\u{1}grün NO_HEADERS".as_bytes();
    let headers = || {
        let headers = OwnedHeaders::new();
        let headers = headers.insert(Header { key: "all", value: Some(&all) });
        headers.insert(Header { key: "text", value: Some(text) })
    };
    let with: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to("audit-bytes", 0)
        .key(&all[..])
        .payload(text)
        .headers(headers())
        .timestamp(1_700_000_000_123);
    let without: BaseRecord<'_, [u8], [u8], usize> =
        BaseRecord::with_opaque_to("audit-bytes", 1).payload(&all);
    for record in [with, without] {
        producer.inner().send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.reports(2);

    let read = cluster.consume("audit-bytes", 0, Isolation::Uncommitted).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].offset, read[0].timestamp_ms), (0, 1_700_000_000_123));
    assert_eq!(read[0].key.as_deref(), Some(&all[..]));
    assert_eq!(read[0].value.as_deref(), Some(text));
    let headers = [("all".to_owned(), all.clone()), ("text".to_owned(), text.to_vec())];
    assert_eq!(read[0].headers, headers);
    assert_eq!((read[1].offset, &read[1].key, &read[1].headers[..]), (1, &None, &[][..]));
    assert_eq!(read[1].value.as_deref(), Some(&all[..]));
}

#[test]
fn an_aborted_transaction_is_seen_by_who_reads_uncommitted_alone() {
    let cluster = cluster_with("audit-transactions");
    let mut config = cluster.client(&Access::Plain);
    config.set("transactional.id", "audit").set("compression.type", "zstd");
    let producer = Producer::new(&config);
    let wait = std::time::Duration::from_secs(30);
    producer.inner().init_transactions(wait).unwrap();
    let value = [b'v'; 1000];
    for is_committed in [true, false] {
        producer.inner().begin_transaction().unwrap();
        producer.deliver("audit-transactions", &value).unwrap();
        if is_committed {
            producer.inner().commit_transaction(wait).unwrap();
        } else {
            producer.inner().abort_transaction(wait).unwrap();
        }
    }

    let offsets = |isolation| -> Vec<i64> {
        let read = cluster.consume("audit-transactions", 0, isolation).unwrap();
        read.into_iter().map(|it| it.offset).collect()
    };
    // After each transaction is the mark of its end.
    assert_eq!(offsets(Isolation::Committed), [0]);
    assert_eq!(offsets(Isolation::Uncommitted), [0, 2]);
    assert_eq!(cluster.end_offsets("audit-transactions").unwrap()[&0], 4);

    let batches = cluster.dump(1, "audit-transactions", 0).unwrap();
    let is_control: Vec<bool> = batches.iter().map(|it| it.is_control).collect();
    assert_eq!(is_control, [false, true, false, true]);
    assert!(batches.iter().all(|it| it.is_valid && it.is_transactional && it.producer_id >= 0));
    assert_eq!((&*batches[0].codec, batches[0].count, batches[0].base_offset), ("zstd", 1, 0));
    assert!(batches[0].bytes < 300, "{} bytes are not compressed", batches[0].bytes);
}
