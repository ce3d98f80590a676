//! Report: what an audit found, in numbers, and as JSON.

use std::sync::Arc;

use flow::{Context, GapReason, Span};
use serde_json::{Map, Value, json};

/// Declared gaps, by reason. One whose size nobody can know has no bytes, and counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// In the order of [`GapReason::ALL`].
    of: [GapSum; GapReason::ALL.len()],
}

/// The gaps of one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GapSum {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Gaps {
    /// Counts gaps.
    pub(super) fn add(&mut self, reason: GapReason, gaps: GapSum) {
        let sum = &mut self.of[usize::from(reason.code()) - 1];
        sum.count += gaps.count;
        sum.bytes += gaps.bytes;
    }

    /// The gaps for `reason`.
    #[must_use]
    pub fn of(&self, reason: GapReason) -> GapSum {
        self.of[usize::from(reason.code()) - 1]
    }

    /// Bytes in all gaps.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.of.iter().map(|sum| sum.bytes).sum()
    }

    /// The reasons for which there are gaps.
    pub fn each(&self) -> impl Iterator<Item = (GapReason, GapSum)> {
        GapReason::ALL.into_iter().map(|it| (it, self.of(it))).filter(|(_, sum)| sum.count > 0)
    }

    fn to_json(&self) -> Value {
        let fields = self.each().map(|(reason, GapSum { count, bytes })| {
            (reason.name().to_owned(), json!({ "count": count, "bytes": bytes }))
        });
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

/// Whether the first section of a context and epoch is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It is.
    Present,
    /// It is not, and retention has removed segments: it was in one of them.
    Trimmed,
    /// It is not, and nothing was removed: it is lost.
    Missing,
}

impl Head {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Head::Present => "present",
            Head::Trimmed => "trimmed",
            Head::Missing => "missing",
        }
    }
}

/// What was found of one context and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextAudit {
    /// The context, as described last.
    pub context: Arc<Context>,
    /// The epoch.
    pub epoch: u32,
    /// From the first cursor to the last; none if no byte was covered.
    pub covered: Option<Span>,
    /// Sections.
    pub sections: u64,
    /// Records.
    pub records: u64,
    /// Records that filters left out.
    pub filtered: u64,
    /// Bytes of the source in sections that are no gaps; doubled ones count twice.
    pub bytes: u64,
    /// Declared gaps.
    pub gaps: Gaps,
    /// Bytes between the first cursor and the last that no section covers.
    pub lost: u64,
    /// Bytes covered again.
    pub doubled: u64,
    /// Sections that came after later ones without doubling anything: filled in late.
    pub misordered: u64,
    /// Whether the beginning is there.
    pub head: Head,
    /// Whether the source was read to its end, and the queue says so.
    pub ended: bool,
    /// There were so many holes that filling one late may count as both lost and doubled.
    pub coarse: bool,
}

impl ContextAudit {
    /// Nothing lost, nothing doubled, everything in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.misordered == 0 && self.head != Head::Missing
    }

    fn to_json(&self) -> Value {
        json!({
            "context": self.context.id.to_string(),
            "name": self.context.to_string(),
            "epoch": self.epoch,
            "begin": self.covered.map(|span| span.begin),
            "end": self.covered.map(|span| span.end),
            "sections": self.sections,
            "records": self.records,
            "filtered": self.filtered,
            "bytes": self.bytes,
            "gaps": self.gaps.to_json(),
            "lost": self.lost,
            "doubled": self.doubled,
            "misordered": self.misordered,
            "head": self.head.name(),
            "ended": self.ended,
            "coarse": self.coarse,
        })
    }
}

/// What was found of one tenant's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Whether retention has removed segments.
    pub is_trimmed: bool,
    /// By context id and epoch.
    pub contexts: Vec<ContextAudit>,
    /// Bodies that are not what their headers say.
    pub faults: u64,
    /// The first of them, in words.
    pub fault_texts: Vec<String>,
    /// Things that the reader had to leave out.
    pub problems: u64,
    /// The first of them, in words.
    pub problem_texts: Vec<String>,
}

impl AuditReport {
    /// Nothing lost, nothing doubled, everything in order and readable.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults == 0 && self.problems == 0 && self.contexts.iter().all(ContextAudit::is_clean)
    }

    /// The sum over all contexts of what `of` tells.
    #[must_use]
    pub fn total(&self, of: impl Fn(&ContextAudit) -> u64) -> u64 {
        self.contexts.iter().map(of).sum()
    }

    /// The gaps of all contexts.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        let all = self.contexts.iter().flat_map(|it| it.gaps.each());
        all.for_each(|(reason, sum)| gaps.add(reason, sum));
        gaps
    }

    /// The report as JSON; numbers of bytes are numbers.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "clean": self.is_clean(),
            "trimmed": self.is_trimmed,
            "totals": {
                "contexts": self.contexts.len(),
                "sections": self.total(|it| it.sections),
                "records": self.total(|it| it.records),
                "filtered": self.total(|it| it.filtered),
                "bytes": self.total(|it| it.bytes),
                "gaps": self.gaps().to_json(),
                "lost": self.total(|it| it.lost),
                "doubled": self.total(|it| it.doubled),
                "misordered": self.total(|it| it.misordered),
                "heads_missing": self.total(|it| u64::from(it.head == Head::Missing)),
                "heads_trimmed": self.total(|it| u64::from(it.head == Head::Trimmed)),
                "ended": self.total(|it| u64::from(it.ended)),
                "faults": self.faults,
                "problems": self.problems,
            },
            "contexts": self.contexts.iter().map(ContextAudit::to_json).collect::<Vec<_>>(),
            "faults": self.fault_texts,
            "problems": self.problem_texts,
        })
    }
}
