//! Grammars: names and paths that others choose, taken apart and put together.
//!
//! One small grammar after the other, by the first byte of the input: paths as text, rotated names,
//! pods' directories, globs, tenants, ids. A new grammar is a function and a line of the table.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use flow::ContextId;
use globset::GlobSet;
use pipeline::discovery::rotation::{self, Suffix};
use pipeline::discovery::{FileSelection, PodPath};
use pipeline::fs::Printable;
use sink::queue::check_tenant;

use crate::input::Input;

mod globs;

const GRAMMARS: [fn(&[u8]); 6] =
    [printable_paths, rotated_names, pod_directories, globs::run, tenants, context_ids];

/// One input: which grammar, and the text.
///
/// # Panics
/// If what was taken apart is not what was there.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let grammar = GRAMMARS[input.below(GRAMMARS.len())];
    grammar(input.rest());
}

/// A path as text is one line, and can be read back.
fn printable_paths(path: &[u8]) {
    let text = Printable(Path::new(OsStr::from_bytes(path))).to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    let mut bytes = Vec::new();
    let mut parts = text.split("\\x");
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    assert_eq!(bytes, path);
}

/// A rotated name is the live one, and a suffix that says when; and names have an order.
fn rotated_names(text: &[u8]) {
    let names: Vec<&[u8]> = text.split(|byte| *byte == b'\n').take(3).collect();
    for name in &names {
        let Some((base, suffix)) = rotation::split(name) else { continue };
        let plain = name.strip_suffix(b".gz").unwrap_or(name);
        let tail = plain.strip_prefix(base).expect("the live name first");
        let (between, tail) = tail.split_first().expect("then a suffix");
        assert!(!base.is_empty() && b".-".contains(between));
        match suffix {
            Suffix::Number(number) => {
                let text = std::str::from_utf8(tail).expect("digits");
                assert_eq!(text.parse(), Ok(number));
            }
            Suffix::Date(date) => assert_eq!(date, tail),
        }
        assert!(!rotation::is_unfinished(name), "finished, and not");
    }
    let order = |one: &[u8], other: &[u8]| {
        rotation::order(OsStr::from_bytes(one), OsStr::from_bytes(other))
    };
    for one in &names {
        assert_eq!(order(one, one), Ordering::Equal);
        for other in &names {
            assert_eq!(order(one, other), order(other, one).reverse());
            for third in &names {
                let is_chain = order(one, other).is_le() && order(other, third).is_le();
                assert!(!is_chain || order(one, third).is_le(), "no order");
            }
        }
    }
}

/// A pod's directory is its namespace, its name and its uid.
fn pod_directories(name: &[u8]) {
    let Some(pod) = PodPath::parse(OsStr::from_bytes(name)) else { return };
    let PodPath { namespace, pod, uid } = pod;
    assert_eq!(format!("{namespace}_{pod}_{uid}").as_bytes(), name);
    assert!(!namespace.contains('_') && !pod.contains('_') && !uid.is_empty());
    // A namespace may become a tenant.
    assert!(check_tenant(&namespace).is_ok(), "{namespace:?} is no tenant");
}

/// A tenant's name is a folder's, and no other.
fn tenants(name: &[u8]) {
    let Ok(name) = std::str::from_utf8(name) else { return };
    if check_tenant(name).is_err() {
        return;
    }
    let components: Vec<Component<'_>> = Path::new(name).components().collect();
    assert_eq!(components, [Component::Normal(OsStr::new(name))]);
    assert_eq!(Printable(Path::new(name)).to_string(), name);
    assert!(name.len() <= 63 && name.to_lowercase() == name && !name.starts_with('.'));
}

/// An id is 32 digits, and they are the number's.
fn context_ids(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match text.parse::<ContextId>() {
        Ok(id) => assert_eq!(id.to_string(), text.to_lowercase()),
        Err(why) => {
            let is_id = text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(!is_id, "{why}");
        }
    }
}

/// A path without what says nothing: `//` and `.`.
fn clean(path: &[u8]) -> PathBuf {
    let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
    let parts = path.components().filter(|it| matches!(it, Component::Normal(_)));
    [Component::RootDir].into_iter().chain(parts).collect()
}

fn selection(glob: &str) -> Result<FileSelection, String> {
    FileSelection::new(&[glob.to_owned()], GlobSet::empty()).map_err(|why| why.to_string())
}
