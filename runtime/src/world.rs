//! The real world: the clock on the wall and the operating system's randomness.
//!
//! Nothing else in the workspace reads the clock or rolls dice; a simulator puts its own
//! [`World`] here. Durations are not measured with this clock, which may be set back: see the port.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use connectome_actors::port::World;
use connectome_codecs::UnixMillis;
use parking_lot::Mutex;
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};

/// The wall clock, and a generator that the operating system has seeded.
///
/// Randomness comes from ChaCha12 with a 256-bit seed, four blocks at a time, so that an id costs some 20 ns and not a
/// system call. Whoever knows all that it gave can't tell what comes next, so keys and nonces are made from it too; the root
/// of all keys is made from the operating system's randomness directly.
///
/// ```
/// use connectome::world::SystemWorld;
/// use connectome_actors::port::World;
///
/// let world = SystemWorld::new()?;
/// assert_ne!(world.random(), world.random());
/// assert!(world.now().0 > 1_700_000_000_000);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SystemWorld {
    dice: Mutex<StdRng>,
}

impl SystemWorld {
    /// Seeds the generator.
    ///
    /// # Errors
    /// When the operating system gives no randomness: in a sandbox that forbids `getrandom`, say.
    pub fn new() -> io::Result<SystemWorld> {
        let dice = StdRng::try_from_rng(&mut SysRng).map_err(io::Error::from)?;
        Ok(SystemWorld { dice: Mutex::new(dice) })
    }
}

impl World for SystemWorld {
    fn now(&self) -> UnixMillis {
        // A clock before 1970 has not been set yet: the first moment stands for all of them.
        #[expect(clippy::disallowed_methods, reason = "this is the clock that port::World stands for")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(0).after(since)
    }

    fn random(&self) -> u128 {
        self.dice.lock().random()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.dice.lock().fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "threads are what it is about")]
    fn many_threads_draw_different_numbers() {
        let world = Arc::new(SystemWorld::new().unwrap());
        let draw = |world: Arc<SystemWorld>| move || (0..1_000).map(|_| world.random()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw(world.clone()))).collect();
        let drawn: BTreeSet<u128> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(drawn.len(), 4_000);
    }

    #[test]
    fn two_worlds_share_no_seed() {
        let (one, two) = (SystemWorld::new().unwrap(), SystemWorld::new().unwrap());
        assert_ne!(one.random(), two.random());
    }

    #[test]
    fn every_bit_of_a_random_number_is_used() {
        let world = SystemWorld::new().unwrap();
        let (ones, zeros) =
            (0..200).map(|_| world.random()).fold((0, 0), |(ones, zeros), n| (ones | n, zeros | !n));
        assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
    }
}
