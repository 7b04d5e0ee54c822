//! Bytes that nobody sees: on the heap, wiped when they go, without `Clone`, `PartialEq` or a telling `Debug`.

use std::fmt;

use zeroize::Zeroizing;

/// Where secrets come from. Its bytes must be unpredictable and never come twice; a generator that was seeded is for
/// tests alone.
///
/// Every `FnMut(&mut [u8])` is one:
///
/// ```
/// use connectome_codecs::key::{DhSecret, Entropy};
///
/// let mut entropy = |bytes: &mut [u8]| bytes.fill(7); // never do this outside a test
/// let secret = DhSecret::random(&mut entropy);
/// assert_eq!(format!("{secret:?}"), "DhSecret(..)");
/// ```
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// So many random bytes that are no secret, such as a nonce.
pub(crate) fn public_random<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// `N` secret bytes. Moving it moves a pointer, so no copy stays behind.
///
/// ```
/// use connectome_codecs::key::Secret;
///
/// let secret = Secret::<4>::read(b"1234").expect("four bytes");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert!(Secret::<4>::read(b"12345").is_none());
/// ```
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// A new one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self::filled(|bytes| entropy.fill(bytes))
    }

    /// One that is known already; nothing when there are not exactly `N` bytes. The caller wipes its own copy.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == N).then(|| Self::filled(|secret| secret.copy_from_slice(bytes)))
    }

    /// One that is written where it will stay.
    pub(crate) fn filled(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new(Zeroizing::new([0; N])));
        write(&mut secret.0);
        secret
    }

    /// The bytes themselves, for the primitives and for records that are sealed.
    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second one, where a change is worked out beside the state that it may never reach.
    pub(crate) fn duplicate(&self) -> Self {
        Self::filled(|bytes| bytes.copy_from_slice(self.expose()))
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
