//! Time and chance, handed in so that a simulator can own both.

use connectome_codecs::UnixMillis;

/// The clock on the wall and a source of randomness.
///
/// Durations are measured with `tokio::time`, which a simulator moves by itself; this clock is for instants that
/// are written down: when a message was sent, when a lease ends.
pub trait World: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> UnixMillis;

    /// 128 random bits: unpredictable in production, a function of the seed in a simulation.
    fn random(&self) -> u128;

    /// Random bytes for keys and nonces.
    fn fill(&self, bytes: &mut [u8]) {
        bytes
            .chunks_mut(16)
            .for_each(|chunk| chunk.copy_from_slice(&self.random().to_le_bytes()[..chunk.len()]));
    }
}
