//! Checkpoint storing: any sequence of stores, errors of the disk, deaths and power cuts.
//!
//! What is found afterwards is what was stored last, or something that was to be stored since, whole:
//! never older, never a mixture. Where nothing failed it is just that, and nothing is said of damage.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;

use flow::{ContextId, Head, Place, Position, Streams};
use pipeline::checkpoint::{CheckpointStore, Entry};
use pipeline::source::Known;
use sim::{DiskFault, SimDisk};

use crate::input::Input;

const NOW: i64 = 1_800_000_000;
/// Most steps: each opening keeps what it wrote.
const STEPS_MAX: usize = 64;

type State = BTreeMap<u128, Known>;

/// A store, and what may be found in its folder.
struct Stored {
    disk: SimDisk,
    store: CheckpointStore,
    /// What was stored last, and each state that was to be stored since.
    states: Vec<State>,
    /// What the store could not keep: it is given again, as the tracker does.
    unstored: State,
    /// Something failed since the store was opened.
    has_failed: bool,
}

/// One input: the steps.
///
/// # Panics
/// If what is found is not what was stored.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = SimDisk::default();
    let (store, _) = CheckpointStore::open_on(Box::new(disk.clone()), NOW).expect("in memory");
    let mut stored = Stored {
        disk,
        store,
        states: vec![State::new()],
        unstored: State::new(),
        has_failed: false,
    };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        stored.step(&mut input);
    }
    stored.reopen();
}

impl Stored {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0..=3 => self.store(input),
            4 => {
                let (after, bytes) = (input.below(6), usize::from(input.byte()));
                let fault = match input.below(4) {
                    0 => DiskFault::Fails(ErrorKind::StorageFull),
                    1 => DiskFault::Fails(ErrorKind::Other),
                    2 => DiskFault::Short(bytes),
                    _ => DiskFault::Dies(bytes),
                };
                self.disk.fail_after(after as u64, fault);
            }
            5 => self.reopen(),
            _ => {
                let (torn, has_names) = (usize::from(input.byte()), input.below(2) == 0);
                self.disk.cut_power(torn, has_names);
                // What was written and not synced may be there, in part.
                self.has_failed |= self.states.len() > 1;
                self.reopen();
            }
        }
    }

    fn store(&mut self, input: &mut Input<'_>) {
        let mut state = self.states.last().expect("there is one").clone();
        let is_refresh = input.below(8) == 0;
        self.unstored.extend((0..input.below(5)).map(|_| changed(input)));
        state.extend(self.unstored.clone());
        let all: HashSet<ContextId> = state.keys().map(|it| ContextId(*it)).collect();
        self.states.push(state);
        let entries = self.unstored.iter().map(|(id, known)| Entry {
            context: ContextId(*id),
            known: known.clone(),
            updated_unix_seconds: NOW,
            end: None,
        });
        if self.store.store(entries.collect(), NOW, is_refresh, || all).is_ok() {
            self.states = self.states.split_off(self.states.len() - 1);
            self.unstored.clear();
        } else {
            self.has_failed = true;
        }
    }

    /// Another process has the folder now.
    fn reopen(&mut self) {
        self.has_failed |= self.disk.is_dead();
        self.disk.revive();
        let opened = CheckpointStore::open_on(Box::new(self.disk.clone()), NOW);
        let (store, loaded) = opened.unwrap_or_else(|why| panic!("{why}"));
        let found: State =
            loaded.entries.iter().map(|it| (it.context.0, it.known.clone())).collect();
        let place = self.states.iter().rposition(|it| *it == found);
        assert!(place.is_some(), "{found:?}\n of {:?}", self.states);
        if !self.has_failed {
            assert!(loaded.damage.is_empty(), "{:?}", loaded.damage);
            assert_eq!(Some(&found), self.states.last());
        }
        (self.store, self.states, self.has_failed) = (store, vec![found], false);
        self.unstored.clear();
    }
}

/// A context, and where it stands now.
fn changed(input: &mut Input<'_>) -> (u128, Known) {
    let number = u64::from(input.byte());
    let position = |it: u64| Position {
        generation: number + it,
        offset: number * it,
        head: Head::of(b"first line"),
        place: Place::of(b"last line"),
        ..Position::default()
    };
    let generations = (0..number % 4).map(position).collect();
    let continued =
        Streams::from_bits(u8::try_from(number % 4).expect("two bits")).expect("streams");
    let is_new = number == 0;
    let known = Known { cursor: number, is_new, generations, continued, ..Known::new(1) };
    (u128::from(number % 6), known)
}
