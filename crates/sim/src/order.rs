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
    for (number, read) in read.iter().enumerate().take(file) {
        let (got, due) = (read.last().copied().unwrap_or_default(), due(files, number, at_ns));
        if got < due {
            return Err(format!("read file {file} while file {number} was read to {got} of {due}"));
        }
    }
    Ok(())
}

/// How much of a file must be delivered before anything of a younger one is: nothing if it could not be read any more.
pub(crate) fn due(files: &[File], number: usize, at_ns: u64) -> u64 {
    let (older, younger) = (&files[number], files[number + 1..].iter().flat_map(|it| &it.lives));
    if older.lost.is_some_and(|lost| lost.at_ns() <= at_ns) {
        return 0;
    }
    let first_ns = younger.filter_map(Life::first_write_ns).min();
    first_ns.map_or(0, |first_ns| older.now().len_at(first_ns))
}

/// Nothing of anything was delivered.
pub(crate) fn nothing_read(world: &World) -> Read {
    world.files().iter().map(|file| vec![0; file.lives.len()]).collect()
}
