//! Writer: a file held open for writing, whatever its name.

use super::{End, Life, World};

/// A file open for writing.
#[derive(Debug)]
pub struct Writer {
    world: World,
    index: usize,
}

impl Writer {
    pub(super) fn new(world: &World, index: usize) -> Writer {
        Writer { world: world.clone(), index }
    }

    /// Appends.
    pub fn append(&self, bytes: &[u8]) {
        let offset = self.world.lock().files[self.index].now().bytes.len();
        self.write_at(offset, bytes);
    }

    /// Writes at an offset; what lies between the end and it is a hole.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) {
        let (mut state, now_ns) = self.world.change();
        let file = &mut state.files[self.index];
        file.modified_ns = now_ns;
        let life = file.now_mut();
        let end = offset + bytes.len();
        life.bytes.resize(life.bytes.len().max(end), 0);
        life.bytes[offset..end].copy_from_slice(bytes);
        life.store(offset, end);
        life.writes.push((life.len(), now_ns));
    }

    /// Cuts the file: a new life begins with the bytes that are kept.
    pub fn truncate(&self, len: usize) {
        let (mut state, now_ns) = self.world.change();
        let file = &mut state.files[self.index];
        file.modified_ns = now_ns;
        let life = file.now_mut();
        let kept = life.bytes[..life.bytes.len().min(len)].to_vec();
        life.end = Some(End { at_ns: now_ns, kept: kept.len() as u64 });
        file.synced = file.synced.min(kept.len());
        file.lives.push(Life::new(now_ns, kept));
    }

    /// What was written so far is safe from power cuts.
    pub fn sync(&self) {
        let file = &mut self.world.lock().files[self.index];
        file.synced = file.now().bytes.len();
    }

    /// Which of all files it writes to.
    #[must_use]
    pub fn file_number(&self) -> usize {
        self.index
    }

    /// Length of the file now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.world.lock().files[self.index].now().bytes.len()
    }

    /// Whether the file holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (mut state, _) = self.world.change();
        state.files[self.index].writers -= 1;
        state.free_if_unused(self.index);
    }
}
