//! All tests of the configuration that see it from outside, in one binary.

use std::path::{Path, PathBuf};

use crd::{ConfigFile, Problems, Settings, resolve};

mod crdcheck;
mod definitions;
mod docs;
mod examples;
mod golden;
mod hostile;
mod loading;
mod reach;

/// The settings of one file that holds `text`.
fn resolve_text(text: &str) -> Result<Settings, Problems> {
    resolve_bytes(text.as_bytes())
}

fn resolve_bytes(bytes: &[u8]) -> Result<Settings, Problems> {
    resolve(vec![ConfigFile { path: PathBuf::from("agent.yaml"), bytes: Ok(bytes.to_vec()) }])
}

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the repository")
}

/// Whether generated files are to be rewritten.
fn is_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
