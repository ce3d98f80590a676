//! Batch: what a producer sent at once for a partition, as it lies in a segment on a broker's disk.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

/// The head of a batch, and whether its checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last record.
    pub last_offset: i64,
    /// How many records it has.
    pub count: u32,
    /// The session of an idempotent producer; -1 without one.
    pub producer_id: i64,
    /// Which of those that had the `transactional.id`, or began anew; -1 without one.
    pub producer_epoch: i16,
    /// The number of its first record in that session; -1 without one.
    pub base_sequence: i32,
    /// Whether it is part of a transaction.
    pub is_transactional: bool,
    /// Whether it is the mark of a transaction's end, and no producer's records.
    pub is_control: bool,
    /// How its records are compressed: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub codec: String,
    /// Its length on the disk, in bytes.
    pub bytes: u64,
    /// Whether its checksum is right.
    pub is_valid: bool,
}

/// The batches in what `kafka-dump-log` prints: a line for each, beginning with `baseOffset:`, between others.
pub(crate) fn parse_batches(text: &str) -> Result<Vec<Batch>> {
    let lines = text.lines().filter(|line| line.starts_with("baseOffset:"));
    lines.map(|line| parse_batch(line).with_context(|| format!("kafka-dump-log: {line}"))).collect()
}

fn parse_batch(line: &str) -> Result<Batch> {
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(words.len().is_multiple_of(2), "not pairs of names and values");
    let fields: HashMap<&str, &str> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let field = |name: &str| fields.get(name).copied().with_context(|| format!("no {name}"));
    Ok(Batch {
        base_offset: field("baseOffset:")?.parse()?,
        last_offset: field("lastOffset:")?.parse()?,
        count: field("count:")?.parse()?,
        producer_id: field("producerId:")?.parse()?,
        producer_epoch: field("producerEpoch:")?.parse()?,
        base_sequence: field("baseSequence:")?.parse()?,
        is_transactional: field("isTransactional:")?.parse()?,
        is_control: field("isControl:")?.parse()?,
        codec: field("compresscodec:")?.to_owned(),
        bytes: field("size:")?.parse()?,
        is_valid: field("isvalid:")?.parse()?,
    })
}
