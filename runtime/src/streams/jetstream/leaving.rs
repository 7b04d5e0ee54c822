//! Tasks on their way out of a replicated work queue.
//!
//! A cluster answers an acknowledgement when the consumer's servers agree, and removes the task a moment later. Whoever looks
//! at the queue here waits for that moment, so that a task that was acknowledged here is gone for whoever looks here.

use std::time::Duration;

use connectome_actors::port::StreamError;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Store;
use super::read::Which;

/// How long a task takes to leave at the most, as far as anybody here waits for it.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// The pause before looking again.
const PAUSE: Duration = Duration::from_millis(2);

/// The task of a consumer that was acknowledged last: those before it leave before it.
#[derive(Debug, Default)]
pub(super) struct Leaving(Mutex<Option<(u64, Instant)>>);

impl Leaving {
    pub(super) fn begins(&self, sequence: u64) {
        *self.0.lock() = Some((sequence, Instant::now()));
    }

    fn newest(&self) -> Option<u64> {
        let newest = *self.0.lock();
        newest.filter(|(_, at)| at.elapsed() < LEAVES_WITHIN).map(|(sequence, _)| sequence)
    }

    fn left(&self, sequence: u64) {
        self.0.lock().take_if(|(newest, _)| *newest == sequence);
    }
}

impl Store {
    /// Waits until what was acknowledged here has left the stream; whether anything had to.
    pub(super) async fn settle(&self, stream: &str) -> Result<bool, StreamError> {
        let mut had_to = false;
        if self.options.replicas == 1 {
            return Ok(had_to);
        }
        let there = self.names.stream(stream);
        for hub in self.hubs_of(stream) {
            let Some(sequence) = hub.leaving.newest() else { continue };
            had_to = true;
            while hub.leaving.newest() == Some(sequence) {
                if self.get(&there, Which::At(sequence)).await?.is_none() {
                    hub.leaving.left(sequence);
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(had_to)
    }
}
