//! How long an owner may believe to be it: by its own clock, from the moment it *sent* what was acknowledged.

use std::time::Duration;

use super::super::Now;

/// The time of one ownership. Renew at a third, stop at two thirds: one renewal may be lost, and the last third is
/// for clocks that differ and effects that are on the way.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::{Now, lease::Tenure};
///
/// let mut tenure = Tenure::new(Now::ZERO, Duration::from_secs(15));
/// assert_eq!(tenure.renew_at(), Some(Now::new(Duration::from_secs(5))));
/// assert_eq!(tenure.ends_at(), Now::new(Duration::from_secs(10)));
///
/// tenure.sent(Now::new(Duration::from_secs(5)));
/// tenure.acknowledged();
/// assert_eq!(tenure.ends_at(), Now::new(Duration::from_secs(15)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenure {
    ttl: Duration,
    /// When the last acknowledged renewal was sent.
    confirmed: Now,
    /// When the renewal was sent that is on the way.
    on_the_way: Option<Now>,
    renew_at: Now,
}

impl Tenure {
    /// An ownership of which the acknowledged taking was sent at `sent`.
    pub fn new(sent: Now, ttl: Duration) -> Self {
        Self { ttl, confirmed: sent, on_the_way: None, renew_at: sent + ttl / 3 }
    }

    /// When to send the next renewal; `None` while one is on the way.
    pub fn renew_at(&self) -> Option<Now> {
        self.on_the_way.is_none().then_some(self.renew_at)
    }

    /// When to stop if nothing is acknowledged before.
    pub fn ends_at(&self) -> Now {
        self.confirmed + self.ttl * 2 / 3
    }

    /// The next moment at which something is due.
    pub fn next_tick(&self) -> Now {
        self.renew_at().map_or(self.ends_at(), |renew| renew.min(self.ends_at()))
    }

    /// A renewal was sent.
    pub fn sent(&mut self, now: Now) {
        self.on_the_way = Some(now);
    }

    /// When the renewal was sent that is on the way.
    pub fn on_the_way(&self) -> Option<Now> {
        self.on_the_way
    }

    /// It was acknowledged.
    pub fn acknowledged(&mut self) {
        if let Some(sent) = self.on_the_way.take() {
            self.confirmed = sent;
            self.renew_at = sent + self.ttl / 3;
        }
    }

    /// No answer came: it may or may not have happened. Try again soon.
    pub fn unknown(&mut self, now: Now) {
        self.on_the_way = None;
        self.renew_at = now + RETRY_AFTER;
    }
}

/// Before a renewal or a look without an answer is tried again: soon enough for several tries within a third of any
/// sensible time to live, rare enough for a store that is just coming back.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(250);
