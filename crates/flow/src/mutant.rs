//! Mutants: real bugs of log agents, ours among them, which the tests must catch.
//!
//! Each is switched on by its name, in `LOGFERRY_MUTANT`, and only in builds with the feature `mutants`:
//! in all others the question is answered when it is compiled. `scripts/mutants.py` runs them;
//! docs/PROOF.md says what catches each.

/// Whether the code is to do what the bug of that name does.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn is_mutant(_name: &str) -> bool {
    false
}

/// Whether the code is to do what the bug of that name does.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is_mutant(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("LOGFERRY_MUTANT").ok());
    CHOSEN.as_deref() == Some(name)
}
