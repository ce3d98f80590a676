//! Size: amounts of bytes as people write them.

use std::fmt;
use std::str::FromStr;

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

/// Units by their names, largest first, so that the first that divides is the one to show.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
];

/// A text that is not an amount of bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("size {0:?}: want a whole number and a unit out of kB, KiB, MB, MiB, GB, GiB or none")]
pub struct ParseSizeError(String);

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Size, ParseSizeError> {
        let unknown = || ParseSizeError(text.to_owned());
        let split = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| unknown())?;
        let scale = match unit.trim() {
            "" | "B" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unknown)?.1,
        };
        number.checked_mul(scale).map(Size).ok_or_else(unknown)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |scale: u64| self.0 >= scale && self.0.is_multiple_of(scale);
        match UNITS.iter().find(|(_, scale)| fits(*scale)) {
            Some((name, scale)) => write!(f, "{}{name}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_show_the_same() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("4kB", 4_000),
            ("64KiB", 65_536),
            ("10MB", 10_000_000),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!("1 GB".parse::<Size>().unwrap(), Size(1_000_000_000));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MB", "-1", "1.5GB", "1M", "1TB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
