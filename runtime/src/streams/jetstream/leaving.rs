//! Tasks on their way out of a replicated work queue.
//!
//! A cluster answers an acknowledgement when the consumer's servers agree, and removes the task a moment later. Whoever looks
//! at the queue here waits for that moment, so that a task that was acknowledged here is gone for whoever looks here.

use std::sync::Arc;
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

/// Those of all consumers that were opened here, by their streams. One outlives the handles of its consumer for a moment.
#[derive(Debug, Default)]
pub(super) struct AllLeaving(Mutex<Vec<(String, Arc<Leaving>)>>);

impl AllLeaving {
    /// One for a consumer of a stream; forgets those that nobody can wait for any more.
    pub(super) fn add(&self, stream: &str) -> Arc<Leaving> {
        let leaving = Arc::new(Leaving::default());
        let mut all = self.0.lock();
        all.retain(|(_, leaving)| Arc::strong_count(leaving) > 1 || leaving.newest().is_some());
        all.push((stream.to_owned(), Arc::clone(&leaving)));
        leaving
    }

    fn of(&self, stream: &str) -> Vec<Arc<Leaving>> {
        let all = self.0.lock();
        all.iter().filter(|(of, _)| of == stream).map(|(_, leaving)| Arc::clone(leaving)).collect()
    }
}

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
        for leaving in self.leaving.of(stream) {
            let Some(sequence) = leaving.newest() else { continue };
            had_to = true;
            while leaving.newest() == Some(sequence) {
                if self.get(&there, Which::At(sequence)).await?.is_none() {
                    leaving.left(sequence);
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(had_to)
    }
}
