//! Compression: which codecs and levels there are for what.

use crate::defaults;
use crate::limits::{self, Range};
use crate::report::Check;
use crate::settings::CompressionSettings;
use crate::spec::{CodecName, CompressionSpec};

/// What is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The blocks of a sink of our own.
    Blocks,
    /// What a file or stdout gets: never.
    Text,
    /// Kafka's record batches.
    RecordBatches,
    /// The values of Kafka's messages.
    Values,
}

/// What is written at `path`, or `default`.
pub(super) fn resolve(
    path: &str,
    spec: &CompressionSpec,
    what: What,
    default: CodecName,
    check: &mut Check<'_>,
) -> CompressionSettings {
    let (codec_path, level_path) = (format!("{path}.codec"), format!("{path}.level"));
    let codec = spec.codec.unwrap_or(default);
    if let Some((why, cure)) = refusal(codec, what) {
        check.error(&codec_path, why, cure);
    }
    let Some((default_level, range)) = levels(codec, what) else {
        if spec.level.is_some() && !check.document.is_broken(&codec_path) {
            let (why, cure) = if what == What::RecordBatches {
                let cure = "remove it, or write codec: zstd, lz4 or gzip";
                ("only zstd, lz4 and gzip have levels", cure)
            } else {
                ("only zstd has levels", "remove it, or write codec: zstd")
            };
            check.error(&level_path, why, cure);
        }
        return match codec {
            CodecName::Lz4 => CompressionSettings::Lz4 { level: None },
            CodecName::Snappy => CompressionSettings::Snappy,
            _ => CompressionSettings::None,
        };
    };
    let level = check.ranged(&level_path, spec.level, default_level, &range);
    match codec {
        CodecName::Gzip => CompressionSettings::Gzip { level },
        CodecName::Lz4 => CompressionSettings::Lz4 { level: Some(level) },
        _ => CompressionSettings::Zstd { level },
    }
}

/// Why a codec is not for that, and what to do.
fn refusal(codec: CodecName, what: What) -> Option<(&'static str, &'static str)> {
    match (what, codec) {
        (_, CodecName::None) | (What::RecordBatches, _) => None,
        (What::Text, _) => {
            Some(("not for a file or stdout", "remove it; what a file or stdout gets is text"))
        }
        (_, CodecName::Zstd) | (What::Blocks, CodecName::Lz4) => None,
        (What::Blocks, _) => Some(("only for kafka", "write zstd, lz4 or none")),
        (What::Values, _) => {
            let cure = "write zstd or none, or let Kafka compress: spec.compression";
            Some(("not for payloads", cure))
        }
    }
}

/// The default and the range of a codec's levels, if it has any.
fn levels(codec: CodecName, what: What) -> Option<(i32, Range<i32>)> {
    match (codec, what) {
        (CodecName::Zstd, What::RecordBatches) => {
            Some((defaults::ZSTD_LEVEL, limits::KAFKA_ZSTD_LEVEL))
        }
        (CodecName::Zstd, _) => Some((defaults::ZSTD_LEVEL, limits::ZSTD_LEVEL)),
        (CodecName::Lz4, What::RecordBatches) => {
            Some((defaults::LZ4_LEVEL, limits::KAFKA_LZ4_LEVEL))
        }
        (CodecName::Gzip, What::RecordBatches) => Some((defaults::GZIP_LEVEL, limits::GZIP_LEVEL)),
        _ => None,
    }
}
