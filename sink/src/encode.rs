//! Encode: the encoder of each encoding.

use flow::{Encode, Encoding};

use crate::by_record::ByRecordEncoder;
use crate::json_lines::JsonLinesEncoder;
use crate::otlp::OtlpEncoder;

/// The encoder for `encoding`.
#[must_use]
pub fn make(encoding: Encoding) -> Box<dyn Encode> {
    match encoding {
        Encoding::OtlpProto => Box::new(OtlpEncoder::new()),
        Encoding::JsonLines => Box::new(JsonLinesEncoder::new()),
        Encoding::Json => Box::new(ByRecordEncoder::json()),
        Encoding::Raw => Box::new(ByRecordEncoder::raw()),
    }
}
