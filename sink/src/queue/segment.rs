//! Segment: one file of a tenant's queue: its name, its header and its trailer.
//!
//! The header says which segment this is. The trailer is written last, when the segment is sealed:
//! it points to the index, and a file that ends in a valid one never grows again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::checksum;

use super::format::{Fields, Malformed, Put, len_u32};
use super::limits::TENANT_BYTES_MAX;

/// First bytes of each segment; the line ends show a copy that was made as text.
const SEGMENT_MAGIC: [u8; 8] = *b"LFQSEG\r\n";
/// First bytes of each trailer.
const TRAILER_MAGIC: [u8; 8] = *b"LFQEND\r\n";
/// The version written, and the only one read.
pub const FORMAT_VERSION: u32 = 1;
/// Length of the segment header, in bytes.
pub(super) const SEGMENT_HEADER_BYTES: usize = 128;
/// Length of the trailer, in bytes.
pub(super) const TRAILER_BYTES: usize = 48;
/// What follows the sequence in a segment's file name.
const SEGMENT_SUFFIX: &str = ".seg";

/// A name that may not be a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {0:?}: not a tenant's name; want 1 to 63 of a-z, 0-9, dot and hyphen, not beginning \
     with a dot"
)]
pub struct TenantNameError(pub String);

/// Checks that `name` can be a tenant's, and so is safe as a folder's name.
///
/// # Errors
/// If it is not.
pub fn check_tenant(name: &str) -> Result<(), TenantNameError> {
    let fits = (1..=TENANT_BYTES_MAX).contains(&name.len());
    let known = name.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    // No "." and "..", and nothing hidden.
    let visible = !name.starts_with('.');
    if fits && known && visible { Ok(()) } else { Err(TenantNameError(name.to_owned())) }
}

/// Path of segment `sequence` in a tenant's folder.
pub(super) fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:016x}{SEGMENT_SUFFIX}"))
}

/// The sequence that a segment's file name tells.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits.len() == 16 && is_hex { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// Why the first bytes of a file are not a segment header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderFault {
    #[error("the file ends within the segment header")]
    Short,
    #[error("the segment header is damaged")]
    Damaged,
    #[error("the segment header says version {0}")]
    Version(u32),
}

/// The head of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) tenant: Arc<str>,
    pub(super) sequence: u64,
    /// Wall-clock time of creation, nanoseconds since 1970.
    pub(super) created_unix_ns: i64,
    /// Stands in each frame of the segment.
    pub(super) stamp: u64,
}

impl SegmentHeader {
    /// A header for a new segment. Tenants cannot foresee the stamp, since it depends on both clocks.
    pub(super) fn new(
        tenant: &Arc<str>,
        sequence: u64,
        created_unix_ns: i64,
        monotonic_ns: u64,
    ) -> SegmentHeader {
        let mut seed = Vec::with_capacity(96);
        seed.put_i64(created_unix_ns);
        seed.put_u64(monotonic_ns);
        seed.put_u64(sequence);
        seed.put(tenant.as_bytes());
        SegmentHeader {
            tenant: Arc::clone(tenant),
            sequence,
            created_unix_ns,
            stamp: checksum(&seed),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        check_tenant(&self.tenant).expect("checked before a segment is begun");
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.put(&SEGMENT_MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(len_u32(SEGMENT_HEADER_BYTES));
        out.put_u64(self.sequence);
        out.put_i64(self.created_unix_ns);
        out.put_u64(self.stamp);
        out.put_u8(u8::try_from(self.tenant.len()).expect("at most 63"));
        out.put(self.tenant.as_bytes());
        out.resize(SEGMENT_HEADER_BYTES - 8, 0);
        let sum = checksum(&out);
        out.put_u64(sum);
        out
    }

    /// Reads a header. The checksum comes before the version, so that damage is not taken for news.
    pub(super) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(HeaderFault::Short)?;
        let (covered, sum) = bytes.split_at(SEGMENT_HEADER_BYTES - 8);
        if !covered.starts_with(&SEGMENT_MAGIC) || checksum(covered).to_le_bytes() != sum {
            return Err(HeaderFault::Damaged);
        }
        let mut fields = Fields::new(&covered[SEGMENT_MAGIC.len()..]);
        let version = fields.u32().map_err(|_| HeaderFault::Damaged)?;
        if version != FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        SegmentHeader::fields(&mut fields).map_err(|_| HeaderFault::Damaged)
    }

    fn fields(fields: &mut Fields<'_>) -> Result<SegmentHeader, Malformed> {
        if fields.u32()? as usize != SEGMENT_HEADER_BYTES {
            return Err(Malformed::Field("header length"));
        }
        let sequence = fields.u64()?;
        let created_unix_ns = fields.i64()?;
        let stamp = fields.u64()?;
        let tenant_bytes = usize::from(fields.u8()?);
        let tenant = fields.text(tenant_bytes, "tenant")?;
        check_tenant(tenant).map_err(|_| Malformed::Field("tenant"))?;
        fields.zero(fields.left(), "reserved")?;
        Ok(SegmentHeader { tenant: Arc::from(tenant), sequence, created_unix_ns, stamp })
    }
}

/// The end of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) index_offset: u64,
    pub(super) index_bytes: u64,
    pub(super) stamp: u64,
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.put(&TRAILER_MAGIC);
        out.put_u32(FORMAT_VERSION);
        out.put_u32(len_u32(TRAILER_BYTES));
        out.put_u64(self.index_offset);
        out.put_u64(self.index_bytes);
        out.put_u64(self.stamp);
        let sum = checksum(&out);
        out.put_u64(sum);
        out
    }

    /// The trailer, if `bytes`, the last ones of a file of `file_bytes`, are one.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Option<Trailer> {
        let (covered, sum) = bytes.split_at_checked(TRAILER_BYTES - 8)?;
        if !covered.starts_with(&TRAILER_MAGIC) || checksum(covered).to_le_bytes() != sum {
            return None;
        }
        let mut fields = Fields::new(&covered[TRAILER_MAGIC.len()..]);
        let version = fields.u32().ok()?;
        let length = fields.u32().ok()?;
        let trailer = Trailer {
            index_offset: fields.u64().ok()?,
            index_bytes: fields.u64().ok()?,
            stamp: fields.u64().ok()?,
        };
        let end = trailer.index_offset.checked_add(trailer.index_bytes)?;
        let holds = version == FORMAT_VERSION
            && length as usize == TRAILER_BYTES
            && trailer.index_offset >= SEGMENT_HEADER_BYTES as u64
            && end.checked_add(TRAILER_BYTES as u64) == Some(file_bytes);
        holds.then_some(trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_names_are_tenants() {
        for good in ["a", "shop", "team-1.eu", "0", &"x".repeat(63)] {
            assert!(check_tenant(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".x", "A", "a/b", "a_b", "LOCK", "ä", "a\0", &"x".repeat(64)] {
            assert!(check_tenant(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_lead_back_to_sequences() {
        let path = segment_path(Path::new("/q"), 0x1f);
        assert_eq!(path, Path::new("/q/000000000000001f.seg"));
        assert_eq!(sequence_of("000000000000001f.seg"), Some(0x1f));
        for bad in ["1f.seg", "000000000000001F.seg", "+00000000000001f.seg", "x", "LOCK"] {
            assert_eq!(sequence_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn header_and_trailer_come_back() {
        let header = SegmentHeader::new(&Arc::from("shop"), 3, 4, 5);
        let mut bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        assert_eq!(SegmentHeader::decode(&bytes[..127]), Err(HeaderFault::Short));
        bytes[50] ^= 1;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Damaged));
        let trailer = Trailer { index_offset: 128, index_bytes: 100, stamp: 9 };
        let bytes = trailer.encode();
        assert_eq!(bytes.len(), TRAILER_BYTES);
        assert_eq!(Trailer::decode(&bytes, 276), Some(trailer));
        assert_eq!(Trailer::decode(&bytes, 277), None);
    }

    #[test]
    fn an_unknown_version_is_told_apart_from_damage() {
        let mut bytes = SegmentHeader::new(&Arc::from("shop"), 3, 4, 5).encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Damaged));
        let sum = checksum(&bytes[..120]);
        bytes[120..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Version(2)));
    }
}
