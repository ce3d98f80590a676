//! Starting: sources of the first scan that wait to be begun.
//!
//! Files that were there before are in no hurry: what is known is read first, so that few sources are awake at a
//! time. But no lane waits for another: each has one that is read, and those that wait are begun lane by lane in
//! turn. So a tenant's thousand large files do not stand before another tenant's single one.

use std::collections::{HashMap, VecDeque};

use flow::ContextId;

use super::{Initial, Reader, TURNS_MAX};
use crate::schedule::LaneIndex;
use crate::source::{SeenFile, SourceSpec};

/// Sources that may wait: more than discovery tells of. Beyond, what it tells stays in its channel, in order.
///
/// 4,096: about 4 MiB of names for each reader, until they are begun.
const WAITING_MAX: usize = 4096;

/// What is known of a source that is not begun.
#[derive(Debug)]
pub(super) struct News {
    pub(super) spec: SourceSpec,
    pub(super) files: Vec<SeenFile>,
    pub(super) seen_ns: u64,
    /// Counts it as long as it waits.
    pub(super) _initial: Initial,
}

/// Sources that wait to be begun, by lane.
#[derive(Debug, Default)]
pub(super) struct Starting {
    /// The lane whose turn it is comes first; none is empty.
    lanes: VecDeque<(LaneIndex, VecDeque<News>)>,
    contexts: HashMap<ContextId, LaneIndex>,
}

impl Starting {
    pub(super) fn is_full(&self) -> bool {
        self.contexts.len() >= WAITING_MAX
    }

    /// The source comes last of its lane.
    pub(super) fn put(&mut self, lane: LaneIndex, news: News) {
        self.contexts.insert(news.spec.context.id, lane);
        match self.lanes.iter_mut().find(|it| it.0 == lane) {
            Some((_, waiting)) => waiting.push_back(news),
            None => self.lanes.push_back((lane, VecDeque::from([news]))),
        }
    }

    /// The source of the context, if it waits.
    pub(super) fn take(&mut self, context: ContextId) -> Option<News> {
        let lane = self.contexts.get(&context)?;
        let place = self.lanes.iter().position(|it| it.0 == *lane)?;
        let (_, waiting) = &self.lanes[place];
        let index = waiting.iter().position(|it| it.spec.context.id == context)?;
        self.remove(place, index)
    }

    /// The next source of the first lane that may go on; that lane comes last then.
    fn next(&mut self, may: impl Fn(LaneIndex) -> bool) -> Option<News> {
        let place = self.lanes.iter().position(|it| may(it.0))?;
        let lane = self.lanes.remove(place)?;
        self.lanes.push_back(lane);
        self.remove(self.lanes.len() - 1, 0)
    }

    fn remove(&mut self, place: usize, index: usize) -> Option<News> {
        let (_, waiting) = &mut self.lanes[place];
        let news = waiting.remove(index)?;
        if waiting.is_empty() {
            self.lanes.remove(place);
        }
        self.contexts.remove(&news.spec.context.id);
        if self.contexts.is_empty() {
            // The start is over.
            *self = Starting::default();
        }
        Some(news)
    }
}

impl Reader {
    /// The source that is to be begun next, if one may be: where few are ready, or none of its lane.
    pub(super) fn next_to_begin(&mut self) -> Option<News> {
        if self.is_stopping {
            return None;
        }
        let has_room = self.schedule.ready_count() < TURNS_MAX;
        let schedule = &self.schedule;
        self.starting.next(|lane| has_room || !schedule.has_ready(lane))
    }

    /// Begins one source whatever else is ready: while a sink takes nothing, all are begun in the end, and hold
    /// their files.
    pub(super) fn begin_one(&mut self, now_ns: u64) -> bool {
        if self.is_stopping {
            return false;
        }
        let Some(news) = self.starting.next(|_| true) else { return false };
        self.begin(news, now_ns);
        true
    }
}
