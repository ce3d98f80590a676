//! Murmur2: which partition a key belongs to, as Kafka's Java clients and our producer have it.

/// What Kafka's clients begin with.
const SEED: u32 = 0x9747_b28c;
const FACTOR: u32 = 0x5bd1_e995;

/// The partition of `key` among `count`.
///
/// # Panics
/// If there are none.
pub(super) fn partition_of(key: &[u8], count: i32) -> i32 {
    let hash = hash(key) & 0x7fff_ffff;
    hash.cast_signed() % count
}

fn hash(key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<4>();
    // The length only stirs the hash: what is beyond 32 bits makes no difference that anybody relies on.
    let mut hash = SEED ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use kafka_kit::{Cluster, Isolation};

    use super::*;

    #[test]
    fn keys_have_the_partitions_that_javas_producer_gives_them() {
        const COUNT: i32 = 3;
        let cluster = Cluster::builder().start().expect("Kafka starts");
        cluster.create_topic("keys", COUNT, 1, &[]).unwrap();
        let contexts = (0..40_u128).map(|it| flow::ContextId(it * 0x1234_5678_9abc_def1_0101_0307));
        let contexts = contexts.map(|it| it.to_string());
        // Each remainder of four, too.
        let short = (1..20).map(|it| "k3y-of-some-length-x"[..it].to_owned());
        let keys: Vec<String> = contexts.chain(short).collect();
        let messages: Vec<(&str, &str)> = keys.iter().map(|it| (it.as_str(), "value")).collect();
        cluster.produce("keys", &messages).unwrap();
        let mut seen = 0;
        for partition in 0..COUNT {
            for read in cluster.consume("keys", partition, Isolation::Uncommitted).unwrap() {
                assert_eq!(partition_of(&read.key.unwrap(), COUNT), partition);
                seen += 1;
            }
        }
        assert_eq!(seen, keys.len());
    }
}
