//! JSON strings (RFC 8259, section 7): escapes what must be escaped, and finds it in wide steps.

/// How many bytes are looked at together while nothing needs an escape.
const WIDE_BYTES: usize = 32;
/// How many bytes are looked at together near an escape: one word.
const WORD_BYTES: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Appends UTF-8 `text` as the inside of a JSON string.
pub(super) fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some((wide, after)) = rest.split_first_chunk::<WIDE_BYTES>() {
        let is_clean = wide.iter().fold(true, |is_clean, &byte| is_clean & !needs_escape(byte));
        if is_clean {
            out.extend_from_slice(wide);
            rest = after;
        } else {
            rest = put_words(out, rest, WIDE_BYTES);
        }
    }
    rest = put_words(out, rest, rest.len());
    for &byte in rest {
        if needs_escape(byte) {
            put_escape(out, byte);
        } else {
            out.push(byte);
        }
    }
}

/// Appends about `wanted` bytes of `text` word by word, and returns what is left.
fn put_words<'a>(out: &mut Vec<u8>, text: &'a [u8], wanted: usize) -> &'a [u8] {
    let mut rest = text;
    while text.len() - rest.len() < wanted {
        let Some((word, after)) = rest.split_first_chunk::<WORD_BYTES>() else { break };
        let found = escapes(u64::from_le_bytes(*word));
        let clean = found.trailing_zeros() as usize / 8;
        let end = out.len() + clean;
        out.extend_from_slice(word);
        if clean == WORD_BYTES {
            rest = after;
        } else {
            out.truncate(end);
            put_escape(out, word[clean]);
            rest = &rest[clean + 1..];
        }
    }
    rest
}

/// The high bit of the lowest byte that needs an escape, and bits of no meaning above it; 0 if
/// there is none.
///
/// `x - 1` borrows into the high bit just where a byte is 0; a borrow can only mark a byte falsely
/// that lies above a byte marked truly.
#[inline]
fn escapes(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_bytes(word ^ (ONES * u64::from(b'"')));
    let backslash = zero_bytes(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) & HIGH_BITS
}

#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            let digit = b"0123456789abcdef"[usize::from(byte & 0xF)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads_back(text: &str) {
        let mut out = vec![b'"'];
        put_escaped(&mut out, text.as_bytes());
        out.push(b'"');
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text: String) {
            reads_back(&text);
        }

        #[test]
        fn an_escape_is_found_at_any_place(
            clean in "[a-z€]{0,80}", special in "[\\x00-\\x1f\"\\\\]{1,3}", more in "[a-z]{0,80}",
        ) {
            reads_back(&format!("{clean}{special}{more}"));
        }
    }

    #[test]
    fn every_single_byte_character_reads_back() {
        for byte in 0..0x80_u8 {
            reads_back(&format!("before {} after", char::from(byte)));
        }
    }
}
