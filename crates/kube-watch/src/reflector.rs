//! Reflector: keeps a copy of all objects of a kind: lists them once, and watches them from there.
//!
//! A watch ends by itself every few minutes, and is opened again where it ended. If the server does not
//! remember that place, all is listed anew (410 Gone). A watch that is silent for longer than the server
//! is between two bookmarks is dead, whatever the connection says.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flow::Clock;
use futures_util::TryStreamExt;
use kube::Client;
use kube::core::params::WatchParams;
use kube::core::{Request, Status, WatchEvent};
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::list::{self, Freshness, GONE, ListError};
use crate::{Kind, Timing, WatchMeter};

/// How long the server is asked to keep a watch open, in seconds; each is cut by a part that differs.
const WATCH_SECONDS: Duration = Duration::from_secs(290);
/// Longest that the server may take to begin to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the server says of a path that it does not know.
const NOT_FOUND: u16 = 404;
/// What it says if this is none of the agent's business.
const FORBIDDEN: u16 = 403;
/// How often a kind is looked for that need not be there: a thousand agents ask four times a second.
const ABSENT_MAX: Duration = Duration::from_secs(300);

/// What a reflector writes to.
pub(crate) trait Copy: Send + 'static {
    /// What the API server sends.
    type Object: Versioned + DeserializeOwned + Clone + Send + 'static;
    /// All objects follow.
    fn begin_list(&mut self);
    /// This object is there, and is so.
    fn put(&mut self, object: Self::Object);
    /// This object is gone.
    fn remove(&mut self, object: Self::Object);
    /// What was not put since the list began is gone.
    fn end_list(&mut self);
    /// How many objects there are.
    fn count(&self) -> usize;
}

/// An object that says how new it is.
pub(crate) trait Versioned {
    /// Its `resourceVersion`.
    fn version(&self) -> &str;
}

/// Keeps one kind.
pub(crate) struct Reflector<C> {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    /// Field selector.
    pub(crate) fields: Option<String>,
    pub(crate) copy: C,
    pub(crate) meter: Arc<WatchMeter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timing: Timing,
    /// Where the next watch begins; `None` if all must be listed first.
    pub(crate) version: Option<String>,
}

/// How a watch ended.
enum End {
    /// As it should; whether anything was heard.
    Closed { was_heard: bool },
    /// What follows is not remembered.
    Gone,
    /// It failed, and why; whether anything was heard before.
    Failed { why: String, was_heard: bool },
}

impl<C: Copy> Reflector<C> {
    /// Runs for ever.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.timing.retry_first, self.timing.retry_max);
        let mut absent = Backoff::new(self.timing.retry_first, ABSENT_MAX);
        let mut is_absence_said = false;
        // The first list may be as old as what the server has in memory; after a 410 that would be too old.
        let mut freshness = if self.kind == Kind::Pods { Freshness::Any } else { Freshness::Now };
        loop {
            let Some(version) = self.version.clone() else {
                match self.list(freshness).await {
                    Ok(version) => self.version = Some(version),
                    Err(ListError::Api(status))
                        if self.kind.is_aliyun()
                            && status.code == NOT_FOUND
                            && self.copy.count() == 0 =>
                    {
                        if !std::mem::replace(&mut is_absence_said, true) {
                            let kind = self.kind.plural();
                            tracing::info!(
                                kind,
                                "the API server has no such kind; looking for it now and then"
                            );
                        }
                        tokio::time::sleep(absent.pause()).await;
                    }
                    Err(error) => {
                        self.failed(&error.to_string());
                        tokio::time::sleep(backoff.pause()).await;
                    }
                }
                continue;
            };
            let end = self.watch(version).await;
            self.meter.open(false);
            let was_heard = match end {
                End::Closed { was_heard } => was_heard,
                End::Gone => {
                    tracing::info!(
                        kind = self.kind.plural(),
                        "too much was missed; listing all anew"
                    );
                    (self.version, freshness) = (None, Freshness::Now);
                    // A server that forgets all the time is not asked for lists all the time.
                    tokio::time::sleep(backoff.pause()).await;
                    continue;
                }
                End::Failed { why, was_heard } => {
                    self.failed(&why);
                    was_heard
                }
            };
            if was_heard {
                backoff.reset();
            }
            // Also after a watch that ended well: a server that ends all at once is not to be hammered.
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn list(&mut self, freshness: Freshness) -> Result<String, ListError> {
        let copy = &mut self.copy;
        copy.begin_list();
        let fields = self.fields.as_deref();
        let listed =
            list::list(&self.client, self.kind, fields, freshness, |object| copy.put(object)).await;
        // A kind that the server does not know has no objects. Of one that it did know, it is not believed:
        // while it starts, it may not know all of its kinds yet.
        let code = match &listed {
            Err(ListError::Api(status)) => status.code,
            _ => 0,
        };
        // Nothing waits for what may be left out.
        let is_left_out = code == FORBIDDEN && self.kind.is_aliyun();
        if (code == NOT_FOUND || is_left_out) && copy.count() == 0 {
            copy.end_list();
        }
        let version = listed?;
        copy.end_list();
        self.heard();
        self.meter.listed();
        Ok(version)
    }

    async fn watch(&mut self, version: String) -> End {
        let failed = |why: String| End::Failed { why, was_heard: false };
        let params = WatchParams {
            field_selector: self.fields.clone(),
            timeout: Some(self.watch_seconds()),
            ..WatchParams::default()
        };
        let request = match Request::new(self.kind.url_path()).watch(&params, &version) {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        let opening = self.client.request_events::<C::Object>(request);
        let events = match tokio::time::timeout(ANSWER_TIMEOUT, opening).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) if is_gone(&status) => return End::Gone,
            Ok(Err(error)) => return failed(text_of(&error)),
            Err(_) => return failed("no answer to a watch".to_owned()),
        };
        self.meter.open(true);
        self.heard();
        let mut events = pin!(events);
        let mut was_heard = false;
        loop {
            let event = match tokio::time::timeout(self.timing.silence_max, events.try_next()).await
            {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return End::Closed { was_heard },
                Ok(Err(kube::Error::Api(status))) if is_gone(&status) => return End::Gone,
                Ok(Err(error)) => return End::Failed { why: text_of(&error), was_heard },
                Err(_) => {
                    let seconds = self.timing.silence_max.as_secs();
                    let why = format!("a watch was silent for {seconds} s");
                    return End::Failed { why, was_heard: true };
                }
            };
            self.heard();
            was_heard = true;
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.version = Some(object.version().to_owned());
                    self.copy.put(object);
                }
                WatchEvent::Deleted(object) => {
                    self.version = Some(object.version().to_owned());
                    self.copy.remove(object);
                }
                WatchEvent::Bookmark(bookmark) => {
                    self.version = Some(bookmark.metadata.resource_version);
                }
                WatchEvent::Error(status) if is_gone(&status) => return End::Gone,
                WatchEvent::Error(status) => {
                    return End::Failed { why: status.to_string(), was_heard };
                }
            }
            self.meter.keeps(self.copy.count());
        }
    }

    /// A server that serves thousands of agents is not asked by all of them at once.
    fn watch_seconds(&self) -> u32 {
        let pause = Backoff::new(WATCH_SECONDS, WATCH_SECONDS).pause();
        u32::try_from(pause.as_secs()).unwrap_or(u32::MAX)
    }

    fn heard(&self) {
        self.meter.keeps(self.copy.count());
        self.meter.heard(self.clock.monotonic_ns());
    }

    /// Says it when it begins, and not again until something went well.
    fn failed(&self, why: &str) {
        if self.meter.failed(self.clock.monotonic_ns()) {
            let kind = self.kind.plural();
            tracing::warn!(kind, why, "the API server does not tell; what it said last stays true");
        }
    }
}

/// What the server said, without how it is written in Rust.
fn text_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.to_string(),
        other => other.to_string(),
    }
}

fn is_gone(status: &Status) -> bool {
    status.code == GONE || matches!(status.reason.as_str(), "Expired" | "Gone")
}
