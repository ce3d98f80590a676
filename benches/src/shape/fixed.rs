//! Lines of exactly so many bytes: a level, then words and numbers as application logs have them.

use super::Draft;
use crate::random::Random;
use crate::token::TOKEN_BYTES;

/// Shortest fixed line, in bytes: a token and a few letters.
pub const FIXED_BYTES_MIN: usize = 48;

const _: () = assert!(FIXED_BYTES_MIN > TOKEN_BYTES);

const LEVELS: [&str; 4] = ["INFO ", "INFO ", "DEBUG ", "WARN "];

const PHRASES: [&str; 24] = [
    "connection accepted from peer ",
    "request handled in microseconds ",
    "cache entry evicted for key ",
    "worker pool resized to ",
    "replica caught up at offset ",
    "lease renewed for shard ",
    "flushing memtable of bytes ",
    "scheduling job number ",
    "session opened for user ",
    "queue depth of partition ",
    "retry attempt after milliseconds ",
    "compaction finished with tables ",
    "transaction committed at sequence ",
    "heartbeat received from node ",
    "configuration reloaded, version ",
    "token bucket refilled with ",
    "rows scanned by statement ",
    "bytes written to segment ",
    "snapshot taken of term ",
    "handshake done with cipher suite ",
    "timer fired for subscription ",
    "index rebuilt up to document ",
    "message routed to topic ",
    "garbage collected pages ",
];

pub(super) fn compose(random: &mut Random, bytes: usize, draft: &mut Draft) {
    let words_end = bytes.saturating_sub(TOKEN_BYTES);
    draft.push(random.pick(&LEVELS));
    while draft.text.len() < words_end {
        draft.push(random.pick(&PHRASES)).number(random.skewed_below(40_000)).push("; ");
    }
    draft.text.truncate(words_end);
    draft.token();
}
