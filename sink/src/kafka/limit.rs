//! Limit: what a lane learned of how much its topics take at once.
//!
//! Brokers say that something was too large, and neither what they would take nor which message of a batch it
//! was; and it is the compressed size that counts. So a lane halves what it sends, and tries more again
//! when that went well for a while.

/// Smallest limit, in bytes: below, a record is not cut any further.
pub(super) const LIMIT_BYTES_MIN: usize = 512;
/// Largest limit, in bytes: what takes more has none.
const LIMIT_BYTES_MAX: usize = 4 << 20;
/// So many in a row before twice as much is tried.
const PASSES: u32 = 64;

/// Most bytes that a lane sends at once, one thing after the other; none as long as nothing was too large.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Limit {
    bytes: Option<usize>,
    passed: u32,
}

impl Limit {
    pub(super) fn bytes(&self) -> Option<usize> {
        self.bytes
    }

    /// So many bytes were too large; returns whether that is the first time.
    pub(super) fn too_large(&mut self, bytes: usize) -> bool {
        let before = self.bytes.replace((bytes / 2).clamp(LIMIT_BYTES_MIN, LIMIT_BYTES_MAX));
        self.passed = 0;
        before.is_none()
    }

    /// Something within the limit was delivered.
    pub(super) fn passed(&mut self) {
        let Some(bytes) = self.bytes else { return };
        self.passed += 1;
        if self.passed == PASSES {
            self.passed = 0;
            self.bytes = Some(2 * bytes).filter(|it| *it <= LIMIT_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_when_too_large_and_doubles_after_a_while() {
        let mut limit = Limit::default();
        limit.passed();
        assert_eq!(limit.bytes(), None);
        assert!(limit.too_large(1 << 20));
        assert!(!limit.too_large(512 << 10));
        assert_eq!(limit.bytes(), Some(256 << 10));
        (1..PASSES).for_each(|_| limit.passed());
        assert_eq!(limit.bytes(), Some(256 << 10));
        limit.passed();
        assert_eq!(limit.bytes(), Some(512 << 10));
        (0..5 * PASSES).for_each(|_| limit.passed());
        assert_eq!(limit.bytes(), None);
        limit.too_large(100);
        assert_eq!(limit.bytes(), Some(LIMIT_BYTES_MIN));
    }
}
