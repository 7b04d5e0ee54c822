//! Counts the restarts of the last period.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::Now;

/// When restarts happened. Holds no more than the intensity allows, since one more is refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    restarts: VecDeque<Now>,
}

impl Meter {
    /// Restarts within `period` before `now`. One that is exactly `period` old still counts.
    pub(super) fn recent(&mut self, now: Now, period: Duration) -> u32 {
        while self.restarts.front().is_some_and(|then| now.since(*then) > period) {
            self.restarts.pop_front();
        }
        u32::try_from(self.restarts.len()).unwrap_or(u32::MAX)
    }

    /// One restart, now.
    pub(super) fn count(&mut self, now: Now) {
        self.restarts.push_back(now);
    }
}
