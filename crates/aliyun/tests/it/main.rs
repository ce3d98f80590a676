//! All tests of the conversion that see it from outside, in one binary.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod document;
mod objects;
mod random;

use std::path::Path;

/// The top of the repository.
fn top() -> &'static Path {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent);
    above.expect("the crate is two folders below the top")
}

/// Whether golden files are to be written anew.
fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
