//! Volume: what a log disk says of its files, with a mark on the folder that the agent collects: that they are on one, and
//! whose they are.
//!
//! The mark is an extended attribute in the namespace `security`: anybody may read it, and only who administers the
//! machine may write it (`CAP_SYS_ADMIN` in the user namespace of the mount; capabilities(7)). A tenant who can
//! make folders, also as root of a container, can make no such mark.

use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;

/// Name of the folder that bears the mark, in the folder of a volume.
pub const LOGS: &str = "logs";
/// Name of the mark.
pub const MARK: &str = "security.logdisk";
/// Longest mark, in bytes.
pub const MARK_BYTES_MAX: usize = 4096;

/// The mark that says this: `KEY=VALUE`, one after the other, each ended by a NUL. That of a log disk that says nothing is
/// empty.
///
/// Neither keys nor values may contain a NUL, and keys no `=`.
#[must_use]
pub fn encode(context: &[(String, String)]) -> Vec<u8> {
    let mut mark = Vec::new();
    for (key, value) in context {
        mark.extend_from_slice(key.as_bytes());
        mark.push(b'=');
        mark.extend_from_slice(value.as_bytes());
        mark.push(0);
    }
    mark
}

/// What a mark says; what is no mark says nothing.
#[must_use]
pub fn decode(mark: &[u8]) -> Vec<(String, String)> {
    let Some(text) = mark.strip_suffix(&[0]).and_then(|it| std::str::from_utf8(it).ok()) else {
        return Vec::new();
    };
    let pairs: Option<Vec<(String, String)>> = text
        .split('\0')
        .map(|it| it.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    pairs.unwrap_or_default()
}

/// What the mark on an open folder says; `None` if there is none.
pub(super) fn of(folder: impl AsFd) -> Option<Vec<(String, String)>> {
    let mut mark = Vec::with_capacity(MARK_BYTES_MAX);
    match rustix::fs::fgetxattr(folder, MARK, spare_capacity(&mut mark)) {
        Ok(_) => Some(decode(&mark)),
        // Most folders have none; of one that is longer than any, nothing is known.
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_it_was_made_of_and_anything_else_says_nothing() {
        let context = [("k8s.pod.name", "web-0"), ("team", "a=b"), ("empty", "")];
        let context = context.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(decode(&encode(&context)), context);
        for none in [&b""[..], b"\0", b"a=b", b"a\0", b"a=b\0c\0", b"a=\xff\0"] {
            assert_eq!(decode(none), [], "{none:?}");
        }
    }
}
