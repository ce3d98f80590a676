//! State: rules, counts and connections of a proxy, shared by its threads.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rule::{Api, Fault, Line, Rule};
use test_kit::Deadline;

/// A partition of a Produce request that is refused, and with which code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) code: i16,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    inner: Mutex<Inner>,
    /// Told of every change of the line and of every cut.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    rules: Vec<Rule>,
    line: Line,
    requests: HashMap<i16, u64>,
    fired: u64,
    problems: Vec<String>,
    /// Both ends of each connection, by its number.
    connections: HashMap<u64, [TcpStream; 2]>,
    connections_made: u64,
    closed: bool,
}

impl State {
    pub(crate) fn add(&self, rule: Rule) {
        self.lock().rules.push(rule);
    }

    pub(crate) fn clear(&self) {
        self.lock().rules.clear();
        self.set_line(Line::Pass);
    }

    pub(crate) fn line(&self) -> Line {
        self.lock().line
    }

    pub(crate) fn set_line(&self, line: Line) {
        self.lock().line = line;
        if line == Line::Refuse {
            self.cut();
        }
        self.changed.notify_all();
    }

    pub(crate) fn requests(&self, api: Api) -> u64 {
        self.lock().requests.get(&(api as i16)).copied().unwrap_or(0)
    }

    pub(crate) fn fired(&self) -> u64 {
        self.lock().fired
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        self.lock().problems.clone()
    }

    pub(crate) fn problem(&self, what: String) {
        self.lock().problems.push(what);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.cut();
    }

    /// Enters a connection, and returns its number.
    pub(crate) fn connect(&self, ends: [TcpStream; 2]) -> u64 {
        let mut inner = self.lock();
        let number = inner.connections_made;
        inner.connections_made += 1;
        inner.connections.insert(number, ends);
        number
    }

    /// Closes a connection; one that is closed stays so.
    pub(crate) fn disconnect(&self, number: u64) {
        let ends = self.lock().connections.remove(&number);
        if let Some(ends) = ends {
            shut(&ends);
        }
        self.changed.notify_all();
    }

    pub(crate) fn cut(&self) {
        let ends: Vec<_> = self.lock().connections.drain().collect();
        for (_, ends) in &ends {
            shut(ends);
        }
        self.changed.notify_all();
    }

    /// Counts a request: what is to become of it.
    pub(crate) fn request(&self, api: i16) -> Option<Fault> {
        let mut inner = self.lock();
        *inner.requests.entry(api).or_default() += 1;
        let fault = inner
            .rules
            .iter_mut()
            .filter(|rule| rule.api as i16 == api && !rule.is_of_partition())
            .find_map(|rule| rule.meets().then(|| rule.fault.clone()));
        inner.fired += u64::from(fault.is_some());
        fault
    }

    /// Counts a Produce answer that has those partitions of which `place` finds one: where to put which codes.
    pub(crate) fn error_codes<T>(
        &self,
        mut place: impl FnMut(&str, i32) -> Option<T>,
    ) -> Vec<(T, i16)> {
        let mut inner = self.lock();
        let mut codes = Vec::new();
        for rule in &mut inner.rules {
            if let Fault::ErrorCode { topic, partition, code } = &rule.fault {
                let (found, code) = (place(topic, *partition), *code);
                if let Some(found) = found
                    && rule.meets()
                {
                    codes.push((found, code));
                }
            }
        }
        inner.fired += codes.len() as u64;
        codes
    }

    /// Counts a Produce request that has those partitions of which `place` finds one: what is refused, and with
    /// which code. One rule has its turn with each.
    pub(crate) fn refusals<T: PartialEq>(
        &self,
        mut place: impl FnMut(&str, i32) -> Option<T>,
    ) -> Vec<(T, Refusal)> {
        let mut inner = self.lock();
        let mut refusals = Vec::new();
        for rule in &mut inner.rules {
            if let Fault::Refuse { topic, partition, code } = &rule.fault {
                let refusal = Refusal { topic: topic.clone(), partition: *partition, code: *code };
                let found = place(topic, *partition);
                if let Some(found) = found
                    && refusals.iter().all(|(it, _)| *it != found)
                    && rule.meets()
                {
                    refusals.push((found, refusal));
                }
            }
        }
        inner.fired += refusals.len() as u64;
        refusals
    }

    /// Waits while the line is silent, and then for as long as it is slow. Whether the connection is still there.
    pub(crate) fn pass(&self, number: u64, is_answer: bool) -> bool {
        let inner = self.lock();
        let is_silent = |inner: &mut Inner| {
            inner.line == Line::Silent && inner.connections.contains_key(&number)
        };
        let inner =
            self.changed.wait_while(inner, is_silent).unwrap_or_else(PoisonError::into_inner);
        let line = inner.line;
        drop(inner);
        match line {
            Line::Slow(delay) if is_answer => self.rest(number, delay),
            _ => self.lock().connections.contains_key(&number),
        }
    }

    /// Waits so long, or until the connection is cut. Whether it is still there.
    pub(crate) fn rest(&self, number: u64, delay: Duration) -> bool {
        let deadline = Deadline::after(delay);
        let mut inner = self.lock();
        while let Some(left) = deadline.left()
            && inner.connections.contains_key(&number)
        {
            let woken = self.changed.wait_timeout(inner, left);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.connections.contains_key(&number)
    }

    /// Waits until the connection is cut.
    pub(crate) fn rest_until_cut(&self, number: u64) {
        let inner = self.lock();
        let is_there = |inner: &mut Inner| inner.connections.contains_key(&number);
        drop(self.changed.wait_while(inner, is_there));
    }

    /// No thread leaves it half changed: what a panic left behind can be used.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes both ends. One that the other side has closed already is what it should be.
fn shut(ends: &[TcpStream; 2]) {
    for end in ends {
        drop(end.shutdown(Shutdown::Both));
    }
}
