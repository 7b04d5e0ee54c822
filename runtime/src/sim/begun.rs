//! A future that was begun on a node of a simulation, and what became of it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::error::{Failure, SimError};

/// A future that runs on a node while the simulation goes on. Dropping this leaves it running.
#[must_use = "look at its outcome, or drop it to say that nobody will"]
pub struct Begun<T> {
    outcome: Arc<Mutex<Option<Result<T, SimError>>>>,
    abort: Option<AbortHandle>,
}

impl<T: Send + 'static> Begun<T> {
    /// The two ends of a future: who waits, and what is to be run on `node`.
    pub(super) fn pair(
        node: &str,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> (Begun<T>, impl Future<Output = ()> + Send + 'static) {
        let outcome = Arc::default();
        let promise = Promise { outcome: Arc::clone(&outcome), node: node.to_owned() };
        let run = async move {
            let ended = work.await.map_err(SimError::Failed);
            *promise.outcome.lock() = Some(ended);
        };
        (Begun { outcome, abort: None }, run)
    }

    pub(super) fn running_as(mut self, abort: AbortHandle) -> Begun<T> {
        self.abort = Some(abort);
        self
    }

    /// Whether it has ended, or was lost with its node.
    pub fn has_ended(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// What became of it, once; `None` while it runs.
    pub fn outcome(&self) -> Option<Result<T, SimError>> {
        self.outcome.lock().take()
    }

    /// Drops the future where it stands.
    pub fn abort(&self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

/// Says so when the future is dropped before its end.
struct Promise<T> {
    outcome: Arc<Mutex<Option<Result<T, SimError>>>>,
    node: String,
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.outcome.lock().get_or_insert_with(|| Err(SimError::Lost(self.node.clone())));
    }
}
