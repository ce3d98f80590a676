//! Watch: what a reader did in each of its ticks, turn by turn, and where its sources stood afterwards.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Receiver, bounded};
use flow::{Content, Context, ContextId, Encode, Encoding, GapReason, Section, attribute};
use pipeline::meter::{Meter, TenantMeter};
use pipeline::reader::{Command, ReaderReport};

use super::{DIRECTORIES, Plane};

/// What one turn brought.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) stream: usize,
    pub(crate) context: ContextId,
    pub(crate) at_unix_ns: i64,
    /// Bytes of the source.
    pub(crate) bytes: u64,
    /// Bytes of records that are delivered.
    pub(crate) kept_bytes: u64,
    pub(crate) records: u64,
    /// … and of the last of them, with what follows it.
    pub(crate) last_bytes: u64,
    pub(crate) gap: Option<GapReason>,
    /// It says that the chain is gone.
    pub(crate) is_end: bool,
    /// Bytes that it became.
    pub(crate) encoded_bytes: usize,
}

impl Turn {
    pub(crate) fn has_records(&self) -> bool {
        self.gap.is_none() && !self.is_end
    }

    /// It was a read; a gap or an end that is declared takes next to nothing.
    pub(crate) fn is_read(&self) -> bool {
        !self.is_end && self.gap.is_none_or(|it| it == GapReason::Shed)
    }
}

/// All turns of a node, in order. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Vec<Turn>>>);

impl Turns {
    pub(crate) fn len(&self) -> usize {
        self.look(<[Turn]>::len)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Turn]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An encoder that notes each turn.
    pub(super) fn noting(&self, inner: Box<dyn Encode>) -> Box<dyn Encode> {
        Box::new(Noting { inner, turns: self.clone() })
    }
}

#[derive(Debug)]
struct Noting {
    inner: Box<dyn Encode>,
    turns: Turns,
}

impl Encode for Noting {
    fn encoding(&self) -> Encoding {
        self.inner.encoding()
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        let begin = out.len();
        self.inner.encode(section, out);
        let bytes = section.span.bytes();
        let (mut gap, mut filtered) = (None, 0);
        match &section.content {
            Content::Gap(it) => gap = Some(it.reason),
            Content::Records { filtered: it, .. } => {
                filtered = u64::from(*it);
            }
            Content::End => {}
        }
        let (mut kept_bytes, mut last_bytes) = (0, 0);
        if let Content::Records { chunk, .. } = &section.content {
            let body_bytes = |it| chunk.body(it).len() as u64;
            kept_bytes = chunk.records().iter().map(body_bytes).sum();
            last_bytes = chunk.records().last().map_or(0, |last| match filtered {
                0 => bytes - u64::from(last.cursor),
                _ => body_bytes(last),
            });
        }
        let mut turns = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.push(Turn {
            stream: stream_of(&section.context),
            context: section.context.id,
            at_unix_ns: section.observed_unix_ns,
            bytes,
            kept_bytes: if filtered > 0 { kept_bytes } else { bytes },
            records: section.records().len() as u64,
            last_bytes,
            gap,
            is_end: matches!(section.content, Content::End),
            encoded_bytes: out.len() - begin,
        });
    }
}

/// Which stream a context is.
pub(crate) fn stream_of(context: &Context) -> usize {
    let path = context.text(attribute::LOG_FILE_PATH).unwrap_or_default();
    let number = path.strip_prefix(DIRECTORIES).and_then(|it| it.split('/').next());
    number.and_then(|it| it.parse().ok()).expect("the directory of a stream")
}

/// One tick of a reader.
#[derive(Debug)]
pub(crate) struct ReaderTick {
    /// Its turns, among all.
    pub(crate) turns: Range<usize>,
    /// Whom the commands were about that it had to take.
    pub(crate) news: Vec<ContextId>,
    /// Memory in use afterwards, by tenant.
    pub(crate) used: Vec<(Arc<str>, usize)>,
    /// Bytes of removed files that the agent says it holds open, by tenant.
    pub(crate) pinned: Vec<(Arc<str>, u64)>,
    /// What the agent says that limits held back, in bytes and nanoseconds, by tenant.
    pub(crate) delayed: Vec<(Arc<str>, u64, u64)>,
    /// Bytes that tenants with a limit owe, as it says.
    pub(crate) debts: Vec<(Arc<str>, u64)>,
    /// In which life of the agent it was, and when that began.
    pub(crate) life: u32,
    pub(crate) begun_ns: u64,
    /// When it was, and when the reader wanted its next one at the latest.
    pub(crate) at_ns: u64,
    pub(crate) due_ns: u64,
    /// Where the sources stood afterwards; none if nobody knows.
    pub(crate) report: Option<ReaderReport>,
}

/// Watches a reader. A report is asked for right after a tick, and is the first thing of the next.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) turns: Turns,
    /// Ticks are noted.
    pub(crate) is_on: bool,
    seen: usize,
    /// Turns before the reader was there.
    pub(crate) begun: usize,
    asked: Option<(ReaderTick, Receiver<ReaderReport>)>,
    ticks: Vec<ReaderTick>,
}

impl Watch {
    /// The reader had a tick at that time, wanted its next one then, and was told of these contexts before.
    pub(super) fn note(
        &mut self,
        plane: &Plane,
        meter: &Meter,
        news: Vec<ContextId>,
        (at_ns, due_ns): (u64, Option<u64>),
    ) {
        if !self.is_on {
            return;
        }
        self.settle();
        let turns = self.seen..self.turns.len();
        self.seen = turns.end;
        let pinned = |(tenant, it): &(Arc<str>, Arc<TenantMeter>)| {
            (Arc::clone(tenant), it.pinned_bytes.get())
        };
        let pinned = meter.tenants().iter().map(pinned).collect();
        let delayed = |(tenant, it): &(Arc<str>, Arc<TenantMeter>)| {
            (Arc::clone(tenant), it.delayed_bytes.get(), it.delayed_ns.get())
        };
        let tick = ReaderTick {
            turns,
            news,
            used: plane.budgets.used(),
            pinned,
            delayed: meter.tenants().iter().map(delayed).collect(),
            debts: plane.limits.debts(at_ns),
            life: plane.life,
            begun_ns: plane.begun_ns,
            at_ns,
            due_ns: due_ns.unwrap_or(at_ns).max(at_ns),
            report: None,
        };
        let is_first = plane.for_reader.is_empty();
        let (sender, report) = bounded(1);
        plane.for_reader.send(Command::Report(sender)).expect("the reader is there");
        if is_first {
            self.asked = Some((tick, report));
        } else {
            self.ticks.push(tick);
        }
    }

    /// The ticks that are known since the last call.
    pub(crate) fn take(&mut self) -> Vec<ReaderTick> {
        std::mem::take(&mut self.ticks)
    }

    /// The reader is gone.
    pub(super) fn end(&mut self) {
        self.settle();
        self.seen = self.turns.len();
        self.begun = self.seen;
    }

    fn settle(&mut self) {
        if let Some((mut tick, report)) = self.asked.take() {
            tick.report = report.try_recv().ok();
            self.ticks.push(tick);
        }
    }
}
