//! Work queue: which objects are to be looked at, and when; each by one worker at a time.
//!
//! As in client-go: what is added twice is looked at once, what is added while it is looked at is looked at once
//! more, and what failed is tried again after a pause of its own, which doubles.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// First pause of an object that failed: so small that a conflict is soon over.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Longest pause of an object that failed.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Which objects are to be looked at. As many as there are objects: a key is in it once.
#[derive(Debug)]
pub(crate) struct WorkQueue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    /// In the order in which they are due; numbers keep those of one moment in the order in which they came.
    due: BTreeSet<(Instant, u64, K)>,
    places: HashMap<K, (Instant, u64)>,
    /// Keys that a worker has.
    taken: HashSet<K>,
    /// Failures in a row.
    failures: HashMap<K, u32>,
    number: u64,
    retries: u64,
}

impl<K: Ord + Hash + Clone> WorkQueue<K> {
    pub(crate) fn new() -> WorkQueue<K> {
        WorkQueue { state: Mutex::new(State::default()), changed: Notify::new() }
    }

    /// Now, or as soon as there is a worker.
    pub(crate) fn add(&self, key: K) {
        self.add_after(key, Duration::ZERO);
    }

    /// After a time, unless it is due before that already.
    pub(crate) fn add_after(&self, key: K, after: Duration) {
        self.state().add(key, Instant::now() + after);
        self.changed.notify_one();
    }

    /// The next one that is due; the worker hands it back by [`WorkQueue::done`] or [`WorkQueue::failed`].
    pub(crate) async fn next(&self) -> K {
        loop {
            let next = self.state().take(Instant::now());
            match next {
                Ok(key) => {
                    // There may be more, for other workers.
                    self.changed.notify_one();
                    return key;
                }
                Err(Some(at)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Err(None) => self.changed.notified().await,
            }
        }
    }

    /// It was looked at.
    pub(crate) fn done(&self, key: &K) {
        self.state().done(key);
        self.changed.notify_one();
    }

    /// It could not be looked at, and is tried again. Returns how often it has failed in a row.
    pub(crate) fn failed(&self, key: K) -> u32 {
        let failures = self.state().failed(key, Instant::now());
        self.changed.notify_one();
        failures
    }

    /// For how long each key that is due has been so, the longest first.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        let now = Instant::now();
        let state = self.state();
        state.due.iter().map_while(|it| now.checked_duration_since(it.0)).collect()
    }

    /// Keys that are due, and tries after failures so far.
    pub(crate) fn depth_and_retries(&self) -> (usize, u64) {
        let state = self.state();
        let now = Instant::now();
        (state.due.iter().take_while(|it| it.0 <= now).count(), state.retries)
    }

    /// Nothing is left half done by who held the lock.
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for State<K> {
    fn default() -> State<K> {
        State {
            due: BTreeSet::new(),
            places: HashMap::new(),
            taken: HashSet::new(),
            failures: HashMap::new(),
            number: 0,
            retries: 0,
        }
    }
}

impl<K: Ord + Hash + Clone> State<K> {
    fn add(&mut self, key: K, at: Instant) {
        if let Some(place) = self.places.get(&key).copied() {
            if place.0 <= at {
                return;
            }
            self.due.remove(&(place.0, place.1, key.clone()));
        }
        self.number += 1;
        self.places.insert(key.clone(), (at, self.number));
        self.due.insert((at, self.number, key));
    }

    /// A key that is due and that nobody has; else when one will be, if there is any.
    fn take(&mut self, now: Instant) -> Result<K, Option<Instant>> {
        // Few are taken: as many as there are workers.
        let found = self.due.iter().find(|it| !self.taken.contains(&it.2)).cloned();
        let Some((at, number, key)) = found else { return Err(None) };
        if at > now {
            return Err(Some(at));
        }
        self.due.remove(&(at, number, key.clone()));
        self.places.remove(&key);
        self.taken.insert(key.clone());
        Ok(key)
    }

    fn done(&mut self, key: &K) {
        self.taken.remove(key);
        self.failures.remove(key);
    }

    fn failed(&mut self, key: K, now: Instant) -> u32 {
        self.taken.remove(&key);
        self.retries += 1;
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        let failures = *failures;
        let pause = RETRY_FIRST * 2u32.saturating_pow((failures - 1).min(16));
        self.add(key, now + pause.min(RETRY_MAX));
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_twice_is_looked_at_once_and_the_earlier_time_counts() {
        let (mut queue, now) = (State::default(), Instant::now());
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        for at in [60, 30, 90] {
            queue.add("late", after(at));
        }
        queue.add("now", now);
        queue.add("now", now);
        assert_eq!(queue.take(now), Ok("now"));
        assert_eq!(queue.take(now), Err(Some(after(30))));
        assert_eq!(queue.take(after(30)), Ok("late"));
        assert_eq!(queue.take(after(90)), Err(None));
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_once_more_by_nobody_else_meanwhile() {
        let (mut queue, now) = (State::default(), Instant::now());
        queue.add("one", now);
        assert_eq!(queue.take(now), Ok("one"));
        queue.add("one", now);
        assert_eq!(queue.take(now), Err(None), "two workers would have the same object");
        queue.done(&"one");
        assert_eq!(queue.take(now), Ok("one"));
    }

    #[test]
    fn what_fails_waits_longer_each_time_and_holds_up_nobody_else() {
        let (mut queue, mut now) = (State::default(), Instant::now());
        queue.add("bad", now);
        for want in [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000] {
            assert_eq!(queue.take(now), Ok("bad"));
            queue.failed("bad", now);
            queue.add("good", now);
            assert_eq!(queue.take(now), Ok("good"));
            queue.done(&"good");
            let at = queue.take(now).unwrap_err().unwrap();
            assert_eq!((at - now).as_millis(), want);
            now = at;
        }
        assert_eq!(queue.take(now), Ok("bad"));
        queue.done(&"bad");
        queue.add("bad", now);
        assert_eq!(queue.take(now), Ok("bad"));
        assert_eq!(queue.failed("bad", now), 1, "it was well in between");
    }

    #[tokio::test]
    async fn a_worker_that_waits_hears_of_what_is_added() {
        let queue = WorkQueue::new();
        queue.add_after("late", Duration::from_secs(3600));
        let add = async {
            tokio::task::yield_now().await;
            queue.add("now");
        };
        let (key, ()) = tokio::join!(queue.next(), add);
        assert_eq!(key, "now");
        queue.done(&key);
        assert_eq!((queue.depth_and_retries(), queue.waits().len()), ((0, 0), 0));
        queue.add("now");
        assert_eq!(queue.waits().len(), 1, "the late one is not due");
    }
}
