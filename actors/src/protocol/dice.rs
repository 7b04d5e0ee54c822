//! Chance with a seed: SplitMix64.
//!
//! Spreads waits and breaks ties. It is predictable from a few outputs, so nothing secret may depend on it.
//! The generator is Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): a counter that
//! steps by the golden ratio, and a mixer over it. Eight bytes of state, every seed is a good one.

/// A generator that a seed determines.
///
/// ```
/// use connectome_actors::protocol::Dice;
///
/// let (mut left, mut right) = (Dice::new(7), Dice::new(7));
/// assert_eq!(left.roll(), right.roll());
/// assert!(left.below(6) < 6);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, as even as 64 bits allow; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.roll() as u128 * bound as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_are_the_published_ones_of_splitmix64() {
        let mut dice = Dice::new(1_234_567);
        let rolls = [dice.roll(), dice.roll(), dice.roll()];
        assert_eq!(rolls, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
