//! Printable: a path as text, for records, logs and people. Paths are bytes that tenants choose.

use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as text: control characters, backslashes, and bytes that are not UTF-8, are `\xNN`.
///
/// So a name can neither break a line of a log nor be mistaken for another's.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a Path);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
        };
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\\' {
                    escape(f, character.encode_utf8(&mut [0; 4]).as_bytes())?;
                } else {
                    f.write_char(character)?;
                }
            }
            escape(f, chunk.invalid())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn names_of_any_bytes_have_a_text_of_one_line() {
        let cases: [(&[u8], &str); 4] = [
            (b"/a\\b/\xff.log", "/a\\x5cb/\\xff.log"),
            (b"/new\nline\x1b[31m\x7f", "/new\\x0aline\\x1b[31m\\x7f"),
            ("/next\u{85}line".as_bytes(), "/next\\xc2\\x85line"),
            ("/Zürich 🦀".as_bytes(), "/Zürich 🦀"),
        ];
        for (path, want) in cases {
            assert_eq!(Printable(Path::new(OsStr::from_bytes(path))).to_string(), want);
        }
    }
}
