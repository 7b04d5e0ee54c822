//! Who says too much, pure: each author has a budget that fills up again; beyond it nothing of theirs is taken, and who goes
//! on and on is left.

use std::collections::BTreeMap;
use std::time::Duration;

use connectome_codecs::NodeId;

/// Messages of one author that are taken in a second: many times what nodes have to tell all others.
pub const AUTHOR_RATE_MAX: u32 = 50;

/// Messages of one author that are taken at once: what it may have saved up.
pub const AUTHOR_BURST_MAX: u32 = 250;

/// Messages beyond that which are put up with, while the budget is empty; one more and its author is left.
pub const AUTHOR_EXCESS_MAX: u32 = 500;

/// Authors that are watched; the one that has been quiet for longest makes room.
const AUTHORS_MAX: usize = 1_024;

/// What becomes of a message, and of its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    /// Not this one.
    Throttle,
    /// Nor any other one.
    Leave,
}

/// Whose budget is how full.
#[derive(Debug, Default)]
pub(super) struct Floods {
    authors: BTreeMap<NodeId, Budget>,
}

#[derive(Debug)]
struct Budget {
    left: f64,
    excess: u32,
    as_of: Duration,
}

impl Floods {
    /// Judges one message of an author.
    pub(super) fn judge(&mut self, now: Duration, author: NodeId) -> Verdict {
        if !self.authors.contains_key(&author) && self.authors.len() >= AUTHORS_MAX {
            let quietest = self.authors.iter().min_by_key(|(_, budget)| budget.as_of).map(|(id, _)| *id);
            quietest.map(|quietest| self.authors.remove(&quietest));
        }
        let full = Budget { left: f64::from(AUTHOR_BURST_MAX), excess: 0, as_of: now };
        self.authors.entry(author).or_insert(full).take(now)
    }
}

impl Budget {
    fn take(&mut self, now: Duration) -> Verdict {
        let since = now.saturating_sub(self.as_of).as_secs_f64();
        self.left = (self.left + since * f64::from(AUTHOR_RATE_MAX)).min(f64::from(AUTHOR_BURST_MAX));
        self.as_of = now;
        if self.left >= f64::from(AUTHOR_BURST_MAX) / 2.0 {
            self.excess = 0;
        }
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Verdict::Take;
        }
        self.excess += 1;
        if self.excess > AUTHOR_EXCESS_MAX { Verdict::Leave } else { Verdict::Throttle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: NodeId = NodeId([1; 32]);

    fn count(floods: &mut Floods, now: u64, times: u32, verdict: Verdict) {
        for at in 0..times {
            assert_eq!(floods.judge(Duration::from_millis(now), ADA), verdict, "message {at} at {now}");
        }
    }

    #[test]
    fn a_flood_is_throttled_and_then_left() {
        let mut floods = Floods::default();
        count(&mut floods, 0, AUTHOR_BURST_MAX, Verdict::Take);
        count(&mut floods, 0, AUTHOR_EXCESS_MAX, Verdict::Throttle);
        count(&mut floods, 0, 1, Verdict::Leave);
        assert_eq!(floods.judge(Duration::ZERO, NodeId([2; 32])), Verdict::Take, "others are not");
    }

    #[test]
    fn who_keeps_to_the_rate_is_always_heard() {
        let mut floods = Floods::default();
        for second in 0..60 {
            count(&mut floods, second * 1_000, AUTHOR_RATE_MAX, Verdict::Take);
        }
    }

    #[test]
    fn who_stops_is_forgiven() {
        let mut floods = Floods::default();
        count(&mut floods, 0, AUTHOR_BURST_MAX, Verdict::Take);
        count(&mut floods, 0, AUTHOR_EXCESS_MAX, Verdict::Throttle);
        count(&mut floods, 5_000, AUTHOR_BURST_MAX, Verdict::Take);
        count(&mut floods, 5_000, AUTHOR_EXCESS_MAX, Verdict::Throttle);
    }

    #[test]
    fn authors_are_bounded() {
        let mut floods = Floods::default();
        for at in 0..2 * AUTHORS_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&at.to_be_bytes());
            assert_eq!(floods.judge(Duration::from_millis(at), NodeId(id)), Verdict::Take);
        }
        assert_eq!(floods.authors.len(), AUTHORS_MAX);
    }
}
