//! How long things took: counted in buckets that are an eighth wide at the most, without a lock.
//!
//! Two histograms take turns, so that what is told is of the last minute and not of the node's whole life.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::snapshot::Latency;

/// Buckets of one doubling, as a power of two: with 16 of them a figure is at most 6 % too high.
const FINE: u32 = 4;

/// The longest that is told apart, as a power of two, in microseconds: two minutes, longer than anything waits.
const LONGEST: u32 = 27;

const BUCKETS: usize = ((LONGEST - FINE + 1) << FINE) as usize;

/// Latencies of the turn that goes on and of the one before.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    turns: [Histogram; 2],
    current: AtomicUsize,
}

impl Latencies {
    pub(super) fn record(&self, took: Duration) {
        self.turns[self.current.load(Ordering::Relaxed)].record(took);
    }

    /// Begins a new turn, and forgets the one before the last.
    pub(super) fn turn(&self) {
        let next = 1 - self.current.load(Ordering::Relaxed);
        self.turns[next].clear();
        self.current.store(next, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Latency {
        let counts: Vec<u64> =
            (0..BUCKETS).map(|at| self.turns.iter().map(|turn| turn.get(at)).sum()).collect();
        let count = counts.iter().sum();
        let at = |share: f64| below(&counts, count, share);
        Latency { count, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
    }
}

#[derive(Debug)]
struct Histogram(Box<[AtomicU64]>);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

/// Below 16 each number has a bucket of its own; from there on each doubling has 16.
fn bucket_of(us: u64) -> usize {
    let us = us.min((1 << LONGEST) - 1);
    let doubling = (us >> FINE).checked_ilog2().map_or(0, |log| log + 1);
    let within = us >> doubling.saturating_sub(1) & ((1 << FINE) - 1);
    ((doubling as usize) << FINE) | within as usize
}

/// The largest number of a bucket.
fn top_of(bucket: usize) -> u64 {
    let (doubling, within) = ((bucket >> FINE) as u32, (bucket & ((1 << FINE) - 1)) as u64);
    match doubling {
        0 => within,
        _ => (((1 << FINE) + within + 1) << (doubling - 1)) - 1,
    }
}

/// What this share of all stays below or at.
fn below(counts: &[u64], count: u64, share: f64) -> u64 {
    let wanted = ((count as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    let reached = counts.iter().position(|in_bucket| {
        seen += in_bucket;
        seen >= wanted
    });
    reached.map_or(0, top_of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every time stands in the bucket that begins below it and ends at most a sixteenth above it.
        #[test]
        fn buckets_are_narrow(us in 0..1_u64 << LONGEST) {
            let top = top_of(bucket_of(us));
            prop_assert!(top >= us && top <= us + us / 16, "{us} is told as {top}");
        }

        /// A quantile is never below the exact one, and at most a sixteenth above it.
        #[test]
        fn quantiles_are_close(mut times in prop::collection::vec(0..10_000_000_u64, 1..200)) {
            let latencies = Latencies::default();
            times.iter().for_each(|us| latencies.record(Duration::from_micros(*us)));
            times.sort_unstable();
            let told = latencies.snapshot();
            let exact = |share: f64| times[((times.len() as f64 * share).ceil() as usize).max(1) - 1];
            for (told, exact) in [(told.p50_us, exact(0.5)), (told.p99_us, exact(0.99)), (told.max_us, exact(1.0))] {
                prop_assert!(told >= exact && told <= exact + exact / 16, "{exact} is told as {told}");
            }
        }
    }

    /// What is older than two turns is forgotten; what is longer than the longest is told as that.
    #[test]
    fn turns_pass() {
        let latencies = Latencies::default();
        latencies.record(Duration::from_secs(1_000_000));
        latencies.turn();
        assert_eq!(
            latencies.snapshot(),
            Latency { count: 1, p50_us: (1 << 27) - 1, p99_us: (1 << 27) - 1, max_us: (1 << 27) - 1 }
        );
        latencies.turn();
        assert_eq!(latencies.snapshot(), Latency::default());
    }
}
