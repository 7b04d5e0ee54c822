//! How fast a consumer may take: a bucket of tokens that fills evenly. It counts what it is told was taken; it holds nothing
//! back by itself.

use std::time::Duration;

use super::Now;

/// How much of a second's tokens may be taken at once, as a divisor: short bursts are let through, long ones are evened out.
const BURST: u64 = 10;

/// A rate, and what of it may be used now.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::ratelimit::RateLimit;
///
/// let mut limit = RateLimit::per_second(10, Now::ZERO);
/// assert_eq!(limit.available(Now::ZERO), 1);
/// limit.take(1);
/// assert_eq!(limit.wait(Now::ZERO), Duration::from_millis(100));
/// assert_eq!(limit.available(Now::new(Duration::from_millis(100))), 1);
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    per_second: u64,
    /// What is in the bucket, in billionths of a token, so that nothing is lost to rounding. Below zero: taken beforehand.
    held: i128,
    filled_at: Now,
}

/// One token.
const TOKEN: i128 = 1_000_000_000;

impl RateLimit {
    /// So many each second, and a full bucket. A rate of zero is one.
    pub fn per_second(per_second: u64, now: Now) -> RateLimit {
        let mut limit = RateLimit { per_second: per_second.max(1), held: 0, filled_at: now };
        limit.held = limit.full();
        limit
    }

    /// How many may be taken now.
    pub fn available(&mut self, now: Now) -> u64 {
        self.fill(now);
        u64::try_from(self.held.max(0) / TOKEN).unwrap_or(u64::MAX)
    }

    /// So many were taken. Those beyond what was available are missing later.
    pub fn take(&mut self, count: u64) {
        self.held = self.held.saturating_sub(i128::from(count) * TOKEN);
    }

    /// How long until one may be taken.
    pub fn wait(&mut self, now: Now) -> Duration {
        self.fill(now);
        let missing = TOKEN.saturating_sub(self.held).max(0);
        let rate = i128::from(self.per_second);
        let nanos = missing / rate + i128::from(missing % rate > 0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn fill(&mut self, now: Now) {
        let passed = i128::try_from(now.since(self.filled_at).as_nanos()).unwrap_or(i128::MAX);
        let more = passed.saturating_mul(i128::from(self.per_second));
        self.held = self.held.saturating_add(more).min(self.full());
        self.filled_at = self.filled_at.max(now);
    }

    fn full(&self) -> i128 {
        i128::from((self.per_second / BURST).max(1)) * TOKEN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whoever takes what is available, whenever it looks, never takes more than the rate and one burst.
        #[test]
        fn no_schedule_takes_more_than_its_rate(
            rate in 1..100_000_u64,
            looks in prop::collection::vec(0..500_000_000_u64, 1..200),
        ) {
            let (mut limit, mut at, mut taken) = (RateLimit::per_second(rate, Now::ZERO), Duration::ZERO, 0_u128);
            for pause in looks {
                at += Duration::from_nanos(pause);
                let now = Now::new(at);
                let available = limit.available(now);
                limit.take(available);
                taken += u128::from(available);
            }
            let burst = u128::from((rate / BURST).max(1));
            prop_assert!(taken <= burst + at.as_nanos() * u128::from(rate) / TOKEN as u128);
        }

        /// Whoever waits as long as it is told finds one, and not a microsecond earlier.
        #[test]
        fn a_wait_is_as_long_as_it_must_be(rate in 1..100_000_u64, early in 0..1_000_000_u64) {
            let mut limit = RateLimit::per_second(rate, Now::ZERO);
            limit.take((rate / BURST).max(1) + 1);
            let now = Now::new(Duration::from_nanos(early.min(TOKEN as u64 / rate / 2)));
            let wait = limit.wait(now);
            prop_assert_eq!(limit.clone().available(now + (wait - Duration::from_nanos(1))), 0);
            prop_assert_eq!(limit.available(now + wait), 1);
        }
    }

    /// A clock that runs backwards gives nothing, and does no harm.
    #[test]
    fn a_clock_that_runs_backwards_gives_nothing() {
        let mut limit = RateLimit::per_second(0, Now::new(Duration::from_secs(5)));
        limit.take(1);
        assert_eq!(limit.available(Now::ZERO), 0);
        assert_eq!(limit.available(Now::new(Duration::from_secs(6))), 1);
    }
}
