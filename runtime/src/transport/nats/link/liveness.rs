//! Whether a peer is still there: it is heard, it is silent, or NATS says that nobody listens in its place.

use std::time::Duration;

/// A peer that is silent for this long is gone: clusters promise failover within six seconds, and a busy machine stalls for
/// one or two.
pub(in super::super) const SILENCE_MAX: Duration = Duration::from_secs(3);

/// NATS must say twice that nobody listens, with nothing heard in between: a client that reconnects is away for a moment.
const STRIKES_MAX: u8 = 2;

/// In a cluster it must go on saying so for this long: a peer whose server was killed is at another one after some 0.3 s, on a
/// busy machine after twice that, and must not lose its agents for it. Beside it a killed peer is replaced within 3 s.
pub(in super::super) const MOVE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in super::super) struct Liveness {
    heard: Duration,
    /// Never since our own connection came up, or then.
    probed: Option<Duration>,
    strikes: u8,
    /// When NATS first said that nobody listens.
    struck: Duration,
    /// Whether it was heard since our own connection came up. Until then, that nobody listens says nothing: after the
    /// restart of a server nodes come back one by one.
    proven: bool,
}

impl Liveness {
    pub(in super::super) fn new(now: Duration) -> Liveness {
        Liveness { heard: now, probed: Some(now), strikes: 0, struck: now, proven: true }
    }

    pub(in super::super) fn hear(&mut self, now: Duration) {
        *self = Liveness { heard: now, probed: self.probed, strikes: 0, struck: now, proven: true };
    }

    /// Nobody listens in the peer's place, says NATS. Whether that is the end of it; `moves`: it may be on its way to another
    /// server.
    pub(in super::super) fn nobody_listens(&mut self, now: Duration, moves: bool) -> bool {
        if self.strikes == 0 {
            self.struck = now;
        }
        self.strikes += u8::from(self.proven && self.strikes < STRIKES_MAX);
        let has_moved = !moves || now.saturating_sub(self.struck) >= MOVE_MAX;
        self.strikes >= STRIKES_MAX && has_moved
    }

    /// Our own connection is back: the silence was ours.
    pub(in super::super) fn forgive(&mut self, now: Duration) {
        *self = Liveness { heard: now, probed: None, strikes: 0, struck: now, proven: false };
    }

    pub(in super::super) fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) >= SILENCE_MAX
    }

    /// Whether the peer is to be probed now, and if so, takes that as done.
    pub(in super::super) fn probe(&mut self, now: Duration, every: Duration) -> bool {
        let is_time = self.probed.is_none_or(|probed| now.saturating_sub(probed) >= every);
        let due = self.strikes > 0 || is_time;
        if due {
            self.probed = Some(now);
        }
        due
    }
}
