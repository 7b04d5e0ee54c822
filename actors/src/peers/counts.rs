//! What was sealed, opened and refused, counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use connectome_codecs::Refusal;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Default)]
pub(super) struct Counts {
    sealed: AtomicU64,
    signatures: AtomicU64,
    opened: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// What a node has sealed for other nodes and opened of theirs since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealCounts {
    /// Messages that were sealed.
    pub sealed: u64,
    /// Signatures that were made for them: fewer, where many share one.
    pub signatures: u64,
    /// Messages that were opened.
    pub opened: u64,
    /// Frames and durable messages that were not believed, by the code of their [`Refusal`].
    pub refused: BTreeMap<String, u64>,
}

impl Counts {
    pub(super) fn sealed(&self, messages: usize, signatures: usize) {
        self.sealed.fetch_add(messages as u64, Ordering::Relaxed);
        self.signatures.fetch_add(signatures as u64, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        *self.refused.lock().entry(refusal.code()).or_default() += 1;
    }

    pub(super) fn read(&self) -> SealCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = self.refused.lock().iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        let (sealed, signatures, opened) = (read(&self.sealed), read(&self.signatures), read(&self.opened));
        SealCounts { sealed, signatures, opened, refused }
    }
}
