//! A handle to a live reader of a stream.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_actors::port::{Stored, StreamError, Tail};
use connectome_codecs::Sequence;

use super::commit::Urgency;
use super::core::effects::Bell;
use super::core::reading::Seen;
use super::core::record::Place;
use super::sleeper::Sleeper;
use super::store::Store;
use super::stored;

/// A handle to a live reader.
pub(super) struct Handle {
    store: Arc<Store>,
    sleeper: Arc<Sleeper>,
    place: Place,
    bell: Bell,
    /// What was read and not given out yet: at most one chunk.
    read: VecDeque<Result<Stored, StreamError>>,
}

impl Handle {
    pub(super) fn new(store: Arc<Store>, place: Place, bell: Bell) -> Self {
        let sleeper = store.sleeper(bell);
        Self { store, sleeper, place, bell, read: VecDeque::new() }
    }

    fn read_on(&mut self) -> Result<(), StreamError> {
        let chunk =
            self.store.apply(Urgency::Written, |core, _, _| core.stream_at(self.place).read_on(self.bell));
        let (chunk, _) = chunk?;
        self.read.extend(chunk.into_iter().map(|seen| bring(&self.store, seen)));
        Ok(())
    }
}

#[async_trait]
impl Tail for Handle {
    async fn next(&mut self) -> Result<Stored, StreamError> {
        loop {
            if let Some(next) = self.read.pop_front() {
                return next;
            }
            self.read_on()?;
            if self.read.is_empty() {
                self.sleeper.sleep(None).await;
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.store.forget_sleeper(self.bell);
        // A store that has failed needs no tidying.
        let _ = self.store.apply(Urgency::Written, |core, _, _| {
            core.stream_at(self.place).unfollow(self.bell);
            Ok(())
        });
    }
}

/// The message with its body; if it was removed since it was looked up, this is a gap like any other.
fn bring(store: &Store, seen: Seen) -> Result<Stored, StreamError> {
    let sequence = Sequence(seen.sequence);
    stored(store, seen)?.ok_or(StreamError::Gap { from: sequence, to: sequence })
}
