//! Whoever waits: woken by an event or by a moment, never by asking again and again.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Where to wait for one consumer, tail or watch.
///
/// Several fetchers of a consumer wait in line for their turn; only the first waits for the event, so a message wakes
/// one of them, and the longest waiting one gets it.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    line: Mutex<()>,
    event: Notify,
}

impl Sleeper {
    /// Something happened.
    pub(crate) fn wake(&self) {
        self.event.notify_one();
    }

    /// Waits in line until `deadline`; `None` when the turn never came.
    pub(crate) async fn turn(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        timeout_at(deadline, self.line.lock()).await.ok()
    }

    /// Waits for an event, or for a moment.
    pub(crate) async fn sleep(&self, until: Option<Instant>) {
        let Some(until) = until else {
            return self.event.notified().await;
        };
        tokio::select! {
            biased;
            () = self.event.notified() => {}
            () = sleep_until(until) => {}
        }
    }
}

/// The moment `duration` after `instant`, or one so far away that nobody sees it.
pub(crate) fn later(instant: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    instant.checked_add(duration.min(FAR)).unwrap_or(instant)
}
