//! Lines: how characters are written, and which lines become one record.

use crd::spec::MultilineSpec;
use crd::{ByteSize, Period, TextEncoding};

use crate::fields::Fate;
use crate::object::Object;

/// How long MultilineSpec may wait, in milliseconds.
const TIMEOUT_MS: (u64, u64) = (10, 300_000);
/// How long records of several lines may be, in bytes, as long as the Agent and the LogConfig say nothing of lines.
const BYTES: (u64, u64) = (1 << 10, 256 << 10);

/// How characters are written in files.
pub(crate) fn encoding(object: &mut Object<'_>, path: &str) -> Option<TextEncoding> {
    match object.text(path)?.to_ascii_lowercase().as_str() {
        "" | "utf8" | "utf-8" => {}
        "utf16" => return Some(TextEncoding::Utf16le),
        other => object.note(
            path,
            Fate::NotYet,
            &format!("{other:?} is delivered as the bytes that it is"),
        ),
    }
    None
}

/// A record begins with a line that matches; none, if each line does.
pub(crate) fn begin(pattern: &str, is_whole_line: bool) -> Option<MultilineSpec> {
    if matches!(pattern, "" | ".*") {
        return None;
    }
    let begin = match is_whole_line {
        true => format!("^(?:{pattern})$"),
        false => pattern.to_owned(),
    };
    Some(MultilineSpec { begin: Some(begin), ..MultilineSpec::default() })
}

/// So many milliseconds, as long as there may be.
pub(crate) fn timeout(ms: u64) -> Period {
    Period::ms(ms.clamp(TIMEOUT_MS.0, TIMEOUT_MS.1))
}

/// So many bytes, as many as there may be.
pub(crate) fn bytes(bytes: u64) -> ByteSize {
    ByteSize(bytes.clamp(BYTES.0, BYTES.1))
}
