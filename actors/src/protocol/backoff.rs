//! How long to wait before trying again: longer each time, never all at the same moment.

use std::time::Duration;

use super::Dice;

/// Exponential waits with jitter.
///
/// The n-th wait (from 0) is drawn evenly from `initial · 2ⁿ`, more or less `jitter_percent`, and is never longer
/// than `cap`. At the cap the draw still spreads, over the part below it.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::{Backoff, Dice};
///
/// let backoff = Backoff { initial: Duration::from_millis(100), cap: Duration::from_secs(5), jitter_percent: 20 };
/// let wait = backoff.wait(2, &mut Dice::new(1));
/// assert!((Duration::from_millis(320)..=Duration::from_millis(480)).contains(&wait));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, before jitter.
    pub initial: Duration,
    /// No wait is longer.
    pub cap: Duration,
    /// How far a wait may stray from the exact figure, in percent of it; 100 at the most.
    pub jitter_percent: u8,
}

impl Backoff {
    /// The wait before try `n` + 1, where try 0 was the first to fail.
    pub fn wait(&self, n: u32, dice: &mut Dice) -> Duration {
        let doublings = 1_u32 << n.min(DOUBLINGS_MAX);
        let exact = self.initial.saturating_mul(doublings).min(self.cap);
        let stray = exact / 100 * u32::from(self.jitter_percent.min(100));
        let (least, most) = (exact - stray, exact.saturating_add(stray).min(self.cap));
        least + between(most - least, dice)
    }
}

/// `1 << 31` is the most a `u32` holds; with waits of milliseconds the cap is met long before.
const DOUBLINGS_MAX: u32 = 31;

fn between(span: Duration, dice: &mut Dice) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(dice.below(nanos.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { initial: Duration::from_millis(100), cap: Duration::from_secs(5), jitter_percent: 20 };

    #[test]
    fn waits_double_within_their_jitter_and_stop_at_the_cap() {
        let mut dice = Dice::new(1);
        for n in 0..6 {
            let exact = Duration::from_millis(100 << n);
            let wait = BACKOFF.wait(n, &mut dice);
            assert!(wait >= exact * 8 / 10 && wait <= exact * 12 / 10, "wait {n} is {wait:?}");
        }
        for n in [6, 31, 32, u32::MAX] {
            let wait = BACKOFF.wait(n, &mut dice);
            assert!(wait >= BACKOFF.cap * 8 / 10 && wait <= BACKOFF.cap, "wait {n} is {wait:?}");
        }
    }

    #[test]
    fn the_largest_settings_saturate() {
        let backoff = Backoff { initial: Duration::MAX, cap: Duration::MAX, jitter_percent: 255 };
        backoff.wait(u32::MAX, &mut Dice::new(1));
    }
}
