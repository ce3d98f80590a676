//! Order: an older generation is read to its end before the next.

use crate::World;
use crate::world::{File, Life};

/// What was delivered of each life of each file so far, in bytes.
pub(crate) type Read = Vec<Vec<u64>>;

/// Checks that bytes of a file may be delivered now: of every older one, all that was written before
/// any younger one got its first byte was delivered already, if it could still be read. What came
/// later is a late write.
///
/// # Errors
/// If it was not.
pub(crate) fn check(files: &[File], read: &Read, file: usize, at_ns: u64) -> Result<(), String> {
    for (number, older) in files.iter().enumerate().take(file) {
        let younger = files[number + 1..].iter().flat_map(|it| &it.lives);
        let Some(first_ns) = younger.filter_map(Life::first_write_ns).min() else { continue };
        let (last, got) = (older.now(), read[number].last().copied().unwrap_or_default());
        let due = last.len_at(first_ns);
        if older.lost.is_none_or(|lost| lost.at_ns() > at_ns) && got < due {
            return Err(format!("read file {file} while file {number} was read to {got} of {due}"));
        }
    }
    Ok(())
}

/// Nothing of anything was delivered.
pub(crate) fn nothing_read(world: &World) -> Read {
    world.files().iter().map(|file| vec![0; file.lives.len()]).collect()
}
