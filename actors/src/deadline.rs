//! Instants that lie ahead, for whatever duration a user or another node names.

use std::time::Duration;

use tokio::time::Instant;

/// Thirty years: longer than any process runs, and short enough that no clock overflows. Whatever is later is this.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The instant that lies this far ahead.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR)
}
