//! Time and chance of a simulation: one clock for all, and for each part dice of its own.
//!
//! The clock stands still within a tick. It is not what `tokio::time` measures with: each runtime of a simulation has
//! a paused clock of its own, and all of them are moved by the same tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome_actors::port::World;
use connectome_actors::protocol::Dice;
use connectome_codecs::UnixMillis;
use parking_lot::Mutex;

/// What the wall clocks show when a simulation begins: 2026-01-01 00:00:00 UTC.
const ORIGIN_MS: u64 = 1_767_225_600_000;

/// Virtual milliseconds since the simulation began.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn advance(&self, tick_ms: u64) {
        self.0.fetch_add(tick_ms, Ordering::Relaxed);
    }
}

/// One machine's clock on the wall and its randomness.
pub(super) struct SimWorld {
    clock: Clock,
    ahead_ms: u64,
    dice: Mutex<Dice>,
}

impl SimWorld {
    /// The world of a machine whose wall clock is `ahead` of the true one.
    pub(super) fn new(clock: Clock, ahead: Duration, dice: Dice) -> SimWorld {
        SimWorld { clock, ahead_ms: millis(ahead), dice: Mutex::new(dice) }
    }
}

impl World for SimWorld {
    fn now(&self) -> UnixMillis {
        UnixMillis(ORIGIN_MS + self.ahead_ms + self.clock.now())
    }

    fn random(&self) -> u128 {
        let mut dice = self.dice.lock();
        (u128::from(dice.roll()) << 64) | u128::from(dice.roll())
    }
}

/// The dice of one part of a simulation: a function of the seed, the part's name and a number, and of nothing else, so
/// that what one part rolls does not move what another one rolls.
pub(super) fn dice_for(seed: u64, part: &str, number: u64) -> Dice {
    let name = fnv(FNV_BASIS, part.as_bytes());
    Dice::new(Dice::new(Dice::new(seed).roll() ^ name).roll() ^ number)
}

/// Rolls with the words that the rest of the simulator uses.
pub(super) trait Rolls {
    /// Whether something of this probability happens.
    fn happens(&mut self, probability: f64) -> bool;

    /// A duration between the two, in milliseconds, both included.
    fn between(&mut self, from: Duration, to: Duration) -> u64;
}

impl Rolls for Dice {
    fn happens(&mut self, probability: f64) -> bool {
        /// 2^53: every whole number below it is exact in a float.
        const STEPS: u64 = 1 << 53;
        // Rolled also where it can't happen: another probability must not move later rolls.
        (self.below(STEPS) as f64) < probability * STEPS as f64
    }

    fn between(&mut self, from: Duration, to: Duration) -> u64 {
        let (from, to) = (millis(from), millis(to));
        from + self.below(to.saturating_sub(from) + 1)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where FNV-1a begins.
pub(super) const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a over more bytes: a hash that is the same in every process and every version.
pub(super) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part's dice are a function of seed, name and number.
    #[test]
    fn parts_roll_apart() {
        let roll = |seed, part, number| dice_for(seed, part, number).roll();
        assert_eq!(roll(7, "a", 1), roll(7, "a", 1));
        let others = [roll(8, "a", 1), roll(7, "b", 1), roll(7, "a", 2)];
        assert!(!others.contains(&roll(7, "a", 1)));
    }

    /// What never happens never does, what always happens always does, and the rest is between.
    #[test]
    fn probabilities_are_kept() {
        let mut dice = Dice::new(1);
        let mut count = |p: f64| (0..10_000).filter(|_| dice.happens(p)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 10_000));
        assert!((900..1_100).contains(&count(0.1)));
    }
}
