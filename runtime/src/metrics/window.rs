//! Rates from totals that only rise: what was added between the oldest and the newest sample of a window, for each second.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples that are kept: with one a second, a minute.
pub(super) const SAMPLES_MAX: usize = 61;

/// Samples of totals, oldest first.
#[derive(Debug)]
pub(super) struct Window<T> {
    samples: VecDeque<(Duration, T)>,
}

impl<T> Default for Window<T> {
    fn default() -> Window<T> {
        Window { samples: VecDeque::with_capacity(SAMPLES_MAX) }
    }
}

impl<T> Window<T> {
    /// Takes a sample at a time since the start; the oldest one makes room.
    pub(super) fn add(&mut self, at: Duration, totals: T) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((at, totals));
    }

    /// The time from the oldest sample to `now`.
    pub(super) fn length(&self, now: Duration) -> Duration {
        self.samples.front().map_or(Duration::ZERO, |(at, _)| now.saturating_sub(*at))
    }

    /// How much a total has risen from the oldest sample to `now`.
    pub(super) fn risen(&self, now: &T, read: impl Fn(&T) -> u64) -> u64 {
        self.samples.front().map_or(0, |(_, oldest)| read(now).saturating_sub(read(oldest)))
    }

    /// The same, for each second.
    pub(super) fn per_second(&self, at: Duration, now: &T, read: impl Fn(&T) -> u64) -> f64 {
        let seconds = self.length(at).as_secs_f64();
        if seconds > 0.0 { self.risen(now, read) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    proptest! {
        /// A total that rises evenly has that rate, however many samples have been forgotten.
        #[test]
        fn an_even_rise_is_its_own_rate(rate in 0..1_000_u64, samples in 2..300_u64) {
            let mut window = Window::default();
            for second in 0..samples {
                window.add(seconds(second), second * rate);
            }
            prop_assert_eq!(window.per_second(seconds(samples), &(samples * rate), |total| *total), rate as f64);
            prop_assert!(window.length(seconds(samples)) <= seconds(SAMPLES_MAX as u64));
        }
    }

    /// Nothing is a rate of nothing, and a total that fell (another connection, say) is none below zero.
    #[test]
    fn no_rate_is_made_up() {
        let mut window = Window::default();
        assert_eq!(window.per_second(seconds(5), &7, |total| *total), 0.0);
        window.add(seconds(5), 9_u64);
        assert_eq!(window.per_second(seconds(5), &10, |total| *total), 0.0);
        assert_eq!(window.per_second(seconds(6), &7, |total| *total), 0.0);
    }
}
