//! State disk: the folder of checkpoint files in memory, which fails, tears writes, and forgets what was
//! not synced when the power is cut.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::checkpoint::{StateDisk, StateFile};

/// What happens to one step of the process to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// It fails, and nothing of it is done.
    Fails(io::ErrorKind),
    /// A write stops after so many bytes, and fails. Other steps fail.
    Short(usize),
    /// The process dies within it: of a write, so many bytes are done. It does nothing more.
    Dies(usize),
}

/// A folder. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default, Clone)]
struct State {
    files: Vec<Bytes>,
    names: BTreeMap<String, usize>,
    /// The names that a power cut leaves.
    safe_names: BTreeMap<String, usize>,
    /// Steps done and failed.
    steps: u64,
    failed: u64,
    /// The fault of the step with that number.
    fault: Option<(u64, DiskFault)>,
    /// The process does nothing more.
    is_dead: bool,
}

#[derive(Debug, Default, Clone)]
struct Bytes {
    now: Vec<u8>,
    safe: Vec<u8>,
}

impl SimDisk {
    /// Steps that changed anything, or failed to, so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// How many of them failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// The step after so many others has a fault.
    pub fn fail_after(&self, steps: u64, fault: DiskFault) {
        let mut state = self.lock();
        state.fault = Some((state.steps + steps, fault));
    }

    /// Whether the process died at a step.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Another process has the folder now.
    pub fn revive(&self) {
        let mut state = self.lock();
        (state.is_dead, state.fault) = (false, None);
    }

    /// The power is cut: what was not synced is gone, but for the first `torn` bytes that were written
    /// since; and for the names, if they are `kept`.
    pub fn cut_power(&self, torn: usize, kept: bool) {
        let mut state = self.lock();
        for file in &mut state.files {
            let begin = file.safe.len();
            let mut left = file.safe.clone();
            left.extend(file.now.iter().skip(begin).take(torn));
            *file = Bytes { now: left.clone(), safe: left };
        }
        if !kept {
            state.names = state.safe_names.clone();
        }
        state.safe_names = state.names.clone();
    }

    /// The folder as it is, apart from this one.
    #[must_use]
    pub fn copy(&self) -> SimDisk {
        let mut state = self.lock().clone();
        (state.is_dead, state.fault) = (false, None);
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step that changes something; of a write, how many of `bytes` are done.
    fn step(&self, bytes: usize) -> (MutexGuard<'_, State>, usize, io::Result<()>) {
        let mut state = self.lock();
        if state.is_dead {
            return (state, 0, Err(io::Error::other("the process is dead")));
        }
        let number = state.steps;
        state.steps += 1;
        let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        state.failed += u64::from(fault.is_some());
        let (done, outcome) = match fault {
            None => (bytes, Ok(())),
            Some(DiskFault::Fails(kind)) => (0, Err(kind.into())),
            Some(DiskFault::Short(done)) => (done, Err(io::ErrorKind::StorageFull.into())),
            Some(DiskFault::Dies(done)) => {
                state.is_dead = true;
                (done, Err(io::Error::other("the process died")))
            }
        };
        (state, done.min(bytes), outcome)
    }
}

impl StateDisk for SimDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.files[number].now.clone())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StateFile>> {
        let (mut state, _, outcome) = self.step(0);
        outcome?;
        state.files.push(Bytes::default());
        let number = state.files.len() - 1;
        state.names.insert(name.to_owned(), number);
        drop(state);
        Ok(Box::new(Handle { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, _, outcome) = self.step(0);
        outcome?;
        let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut state, _, outcome) = self.step(0);
        outcome?;
        state.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let (mut state, _, outcome) = self.step(0);
        outcome?;
        state.safe_names = state.names.clone();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/state").join(name)
    }
}

/// An open file of the folder.
#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    number: usize,
}

impl StateFile for Handle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, done, outcome) = self.disk.step(bytes.len());
        let offset = usize::try_from(offset).expect("a small file");
        let file = &mut state.files[self.number].now;
        let end = offset + done;
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset..end].copy_from_slice(&bytes[..done]);
        outcome
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        let (mut state, _, outcome) = self.disk.step(0);
        outcome?;
        let len = usize::try_from(bytes).expect("a small file");
        state.files[self.number].now.resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, _, outcome) = self.disk.step(0);
        outcome?;
        let file = &mut state.files[self.number];
        file.safe = file.now.clone();
        Ok(())
    }
}
