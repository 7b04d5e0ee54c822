//! A 64-bit fingerprint (FNV-1a) that tells whether two runs saw the same bytes.
//!
//! It guards against mistakes, not against an adversary, and is the same on every machine and release.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A running FNV-1a hash; each part is closed with its length, so `("ab", "c")` differs from `("a", "bc")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(u64);

/// FNV's published constants for 64 bits.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for Fingerprint {
    fn default() -> Self {
        Self(OFFSET_BASIS)
    }
}

impl Fingerprint {
    /// The fingerprint of one part.
    pub fn of(part: &[u8]) -> Self {
        Self::default().and(part)
    }

    /// This fingerprint, carried on over one part more.
    #[must_use]
    pub fn and(self, part: &[u8]) -> Self {
        let length = (part.len() as u64).to_le_bytes();
        Self(
            part.iter()
                .chain(&length)
                .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)),
        )
    }

    /// Its bytes, little-endian, to be hashed into another.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        // Property: where one part ends matters, and printing is stable.
        assert_ne!(Fingerprint::of(b"ab").and(b"c"), Fingerprint::of(b"a").and(b"bc"));
        assert_eq!(Fingerprint::default().to_string(), "cbf29ce484222325");
    }
}
