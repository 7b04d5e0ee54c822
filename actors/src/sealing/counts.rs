//! What of the store was not believed.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What of the store a node has not believed since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealingCounts {
    /// Sealed under another root, damaged, or not sealed at all.
    pub foreign: u64,
    /// Older than something that was seen.
    pub rolled_back: u64,
}

#[derive(Default)]
pub(super) struct Counts {
    foreign: AtomicU64,
    rolled_back: AtomicU64,
}

impl Counts {
    pub(super) fn foreign(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rolled_back(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> SealingCounts {
        SealingCounts {
            foreign: self.foreign.load(Ordering::Relaxed),
            rolled_back: self.rolled_back.load(Ordering::Relaxed),
        }
    }
}
