//! Options: what can be chosen of a volume, by the command line and by whoever calls it for a pod.

use clap::ValueEnum;

/// How writes come from applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeOption {
    /// Into the page cache: as fast as a disk, and a few milliseconds later in the store
    Writeback,
    /// Each write by itself: in the store when it returns
    Strict,
    /// What is opened only to append is written to the store without asking anybody; all else as with strict
    Fast,
}

/// What becomes of writes when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FullOption {
    /// They wait, and fail after --full-seconds
    Block,
    /// They fail at once
    Enospc,
    /// The oldest bytes that are not delivered are let go, and declared as gaps
    #[value(name = "drop_oldest")]
    DropOldest,
}

/// When `fsync` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SyncOption {
    /// When the bytes are in the store
    Accept,
    /// When the queue has acknowledged them; ETIMEDOUT after --fsync-seconds
    Ack,
}

/// Reads a number of bytes, with K, M or G (powers of 1024) behind it or without.
///
/// # Errors
/// Says what a number of bytes looks like.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of bytes, such as 1048576, 64M or 1G");
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads permissions, such as 755 or 1777.
///
/// # Errors
/// Says what permissions look like.
pub fn permissions(text: &str) -> Result<u32, String> {
    let number = u32::from_str_radix(text, 8).ok().filter(|it| *it <= 0o7777);
    number.ok_or_else(|| format!("{text:?} are no permissions, such as 755 or 1777"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_numbers_with_units_of_1024() {
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("17"), Ok(17));
        for wrong in ["", "M", "-1", "1T", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(permissions("1777"), Ok(0o1777));
        for wrong in ["", "rwx", "788", "17777"] {
            assert!(permissions(wrong).is_err(), "{wrong}");
        }
    }
}
