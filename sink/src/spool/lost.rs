//! Lost: frames that the disk has spoiled become gaps of what they held, as their headers or the index tell.

use std::sync::Arc;

use flow::{Codec, Encoding, GapReason, Payload, PayloadHeader, is_mutant};

use super::entries::{Entries, Entry, Next};
use super::gaps::Gaps;
use super::{SpoolStore, cut, part, sections};
use crate::queue::{FetchError, FrameId};

impl SpoolStore {
    /// The payload of an entry, without tickets; gaps if it is damaged.
    ///
    /// # Errors
    /// [`FetchError::Damaged`] if nothing tells what it held.
    pub(super) fn read(
        &self,
        tenant: &Arc<str>,
        entries: &Entries,
        next: Next,
        is_by_section: bool,
    ) -> Result<Payload, FetchError> {
        let Next { frame, parts, lost, .. } = next;
        if let Some(lost) = lost {
            return Ok(Gaps::of_lost(&lost).payload(tenant, entries.encoding()));
        }
        let known = |context| entries.contexts.get(&context).cloned();
        let fetched = self.queue.fetch(tenant, frame, known).and_then(|mut it| {
            if let Some(parts) = parts.as_deref().filter(|parts| cut::is_due(&it, parts)) {
                match cut::cut(&it, parts) {
                    Ok(rest) => return Ok((rest, None)),
                    Err(why) => tracing::error!(why, "not cut: some of it is delivered twice"),
                }
            }
            if is_by_section && it.codec != Codec::None {
                sections::to_compressed(&mut it.headers, &it.block).map_err(FetchError::Damaged)?;
            }
            Ok((it, parts.as_deref()))
        });
        match fetched {
            Ok((fetched, parts)) => Ok(part::payload(tenant, fetched, parts)),
            Err(FetchError::Damaged(why)) => {
                let lost = self.lost(tenant, entries, frame);
                if lost.is_empty() || is_mutant("spool_skips_what_is_damaged") {
                    return Err(FetchError::Damaged(why));
                }
                tracing::error!(tenant = &**tenant, why, "the spool has lost what it kept: a gap");
                let lost = part::headers(lost, parts.as_deref());
                Ok(Gaps::of_lost(&lost).payload(tenant, entries.encoding()))
            }
            Err(refused) => Err(refused),
        }
    }

    /// What is owed of an entry, and how it is written.
    ///
    /// # Errors
    /// As [`SpoolStore::read`].
    pub(super) fn headers(
        &self,
        tenant: &Arc<str>,
        entries: &Entries,
        entry: &Entry,
    ) -> Result<(Vec<PayloadHeader>, Encoding), FetchError> {
        if let Some(lost) = &entry.lost {
            return Ok((lost.to_vec(), entries.encoding()));
        }
        let known = |context| entries.contexts.get(&context).cloned();
        let (headers, encoding) = match self.queue.fetch(tenant, entry.frame, known) {
            Ok(fetched) => (fetched.headers, fetched.encoding),
            Err(FetchError::Damaged(why)) => match self.lost(tenant, entries, entry.frame) {
                lost if lost.is_empty() => return Err(FetchError::Damaged(why)),
                lost => (lost, entries.encoding()),
            },
            Err(refused) => return Err(refused),
        };
        Ok((part::headers(headers, entry.parts.as_deref()), encoding))
    }

    /// The sections of a damaged frame, as gaps; nothing if nobody tells.
    fn lost(&self, tenant: &str, entries: &Entries, frame: FrameId) -> Vec<PayloadHeader> {
        let known = |context| entries.contexts.get(&context).cloned();
        let offsets = frame.offset..frame.offset + 1;
        let sections = self.queue.sections_at(tenant, frame.sequence, offsets, known);
        sections.into_iter().map(|it| lost_header(it.header)).collect()
    }
}

/// A section that cannot be read any more.
pub(super) fn lost_header(header: PayloadHeader) -> PayloadHeader {
    let is_lost = header.gap.is_none() && !header.span.is_empty();
    let gap = if is_lost { Some(GapReason::Unreadable) } else { header.gap };
    PayloadHeader { gap, ..header }
}
