//! What a node's lanes may hold beyond the one message that each of them works on, and how much they do at once.
//!
//! The backlog stays in the stream. A lane always has room for one message, so that no lane waits for another; more is read
//! ahead while there is credit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Removals that a node has under way: each is a request to the store, which answers some thousand at a time and may refuse
/// more.
const REMOVALS_MAX: usize = 256;

/// Lanes that begin at once: each reads a page of what waits for its agent, and a node may have ten thousand of them.
const OPENINGS_MAX: usize = 32;

/// Shared by all lanes of a node.
#[derive(Debug)]
pub(crate) struct Credit {
    ahead: Arc<Semaphore>,
    removals: Semaphore,
    openings: Semaphore,
}

impl Credit {
    /// `ahead`: messages that all lanes together may have read ahead.
    pub(crate) fn new(ahead: usize) -> Credit {
        let (removals, openings) = (Semaphore::new(REMOVALS_MAX), Semaphore::new(OPENINGS_MAX));
        Credit { ahead: Arc::new(Semaphore::new(ahead)), removals, openings }
    }

    /// Waits until another lane may begin.
    pub(super) async fn opening(&self) -> SemaphorePermit<'_> {
        self.openings.acquire().await.expect("the semaphore is never closed")
    }

    /// Waits until another removal may begin.
    pub(super) async fn removal(&self) -> SemaphorePermit<'_> {
        self.removals.acquire().await.expect("the semaphore is never closed")
    }
}

/// What one lane has read ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    credit: Arc<Credit>,
    held: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    pub(super) fn new(credit: Arc<Credit>) -> Ahead {
        Ahead { credit, held: None }
    }

    /// Takes up to `wanted` more, and says how many.
    pub(super) fn take(&mut self, wanted: usize) -> usize {
        let mut wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        while wanted > 0 {
            if let Ok(taken) = self.credit.ahead.clone().try_acquire_many_owned(wanted) {
                match &mut self.held {
                    Some(held) => held.merge(taken),
                    None => self.held = Some(taken),
                }
                break;
            }
            // Others may take some in between, so what there is is only a hint.
            wanted = u32::try_from(self.credit.ahead.available_permits()).unwrap_or(u32::MAX).min(wanted - 1);
        }
        wanted as usize
    }

    /// Gives back all but `kept`.
    pub(super) fn keep(&mut self, kept: usize) {
        let over = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits).saturating_sub(kept);
        if let Some(held) = &mut self.held {
            drop(held.split(over));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes share what there is, get less when others have it, and give it back when they are gone.
    #[test]
    fn lanes_share_what_there_is() {
        let credit = Arc::new(Credit::new(10));
        let (mut one, mut other) = (Ahead::new(credit.clone()), Ahead::new(credit.clone()));
        assert_eq!((one.take(7), other.take(7), one.take(1)), (7, 3, 0));
        one.keep(2);
        assert_eq!(other.take(9), 5);
        drop(other);
        assert_eq!(one.take(9), 8);
    }
}
