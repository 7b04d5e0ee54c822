//! Instants that lie ahead, for whatever duration a user or another node names.

use std::time::Duration;

use tokio::time::Instant;

/// Thirty years: longer than any process runs, and short enough that no clock overflows. Whatever is later is this.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The instant that lies this far ahead.
pub(crate) fn after(wait: Duration) -> Instant {
    later(Instant::now(), wait)
}

/// The instant that lies this far after another.
pub(crate) fn later(than: Instant, wait: Duration) -> Instant {
    than + wait.min(FAR)
}

/// The next instant after now that lies a whole number of periods after `due`, which has passed.
pub(crate) fn following(due: Instant, period: Duration) -> Instant {
    let behind = due.elapsed();
    let into_period = Duration::from_nanos((behind.as_nanos() % period.as_nanos()) as u64);
    due + (behind - into_period) + period
}
