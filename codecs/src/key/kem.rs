//! ML-KEM-768 (FIPS 203): a secret for whoever holds the private half, also against a quantum computer.
//!
//! What is worked out of a key before it can be used is most of the work, so it is kept with the key from its first use on.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::{DecapsulationKey, EncapsulationKey};
use zeroize::Zeroize;

use super::{Entropy, Secret};
use crate::refusal::Refusal;

/// What both sides have in the end.
type SharedKey = ml_kem::B32;

/// The public half: an encapsulation key that passed FIPS 203's check of its modulus.
#[derive(Clone)]
pub struct KemPublic {
    bytes: Box<[u8; KemPublic::LENGTH]>,
    key: OnceLock<Arc<EncapsulationKey>>,
}

impl KemPublic {
    /// The bytes of an encapsulation key.
    pub const LENGTH: usize = 1184;

    /// # Errors
    /// [`Refusal::WeakKey`] when it has another length, or a coefficient that is not reduced.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let weak = Refusal::WeakKey { what: "ML-KEM-768 key" };
        let Ok(bytes) = <[u8; Self::LENGTH]>::try_from(bytes) else { return Err(weak) };
        let key = EncapsulationKey::new(&bytes.into()).map_err(|_| weak)?;
        Ok(Self { bytes: Box::new(bytes), key: OnceLock::from(Arc::new(key)) })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }

    /// A new secret, and the form in which only the private half's holder can read it.
    pub fn encapsulate(&self, entropy: &mut dyn Entropy) -> (Encapsulated, Secret<32>) {
        self.encapsulate_with(&Secret::random(entropy))
    }

    /// The same with randomness that is known already: FIPS 203, algorithm 17.
    pub(crate) fn encapsulate_with(&self, m: &Secret<32>) -> (Encapsulated, Secret<32>) {
        let worked_out =
            || EncapsulationKey::new(&(*self.bytes).into()).expect("it was checked when it was read");
        let key = self.key.get_or_init(|| Arc::new(worked_out()));
        let (ciphertext, shared) = key.encapsulate_deterministic(&(*m.expose()).into());
        (Encapsulated(Box::new(ciphertext.into())), taken(shared))
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublic({:02x?}..)", &self.bytes[..4])
    }
}

impl PartialEq for KemPublic {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for KemPublic {}

/// A secret in the form that only one can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Encapsulated(Box<[u8; Encapsulated::LENGTH]>);

impl Encapsulated {
    /// The bytes of a ciphertext.
    pub const LENGTH: usize = 1088;

    /// Nothing when it has another length.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Box::new(bytes)))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Encapsulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encapsulated({:02x?}..)", &self.0[..4])
    }
}

/// The private half: the 64 bytes that it is made from, and what is worked out of them, wiped with them.
pub struct KemSecret {
    seed: Secret<64>,
    key: OnceLock<Box<DecapsulationKey>>,
}

impl KemSecret {
    /// A new one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self::from_seed(Secret::random(entropy))
    }

    /// One that is known already: FIPS 203's `d`, then `z`.
    pub fn from_seed(seed: Secret<64>) -> Self {
        Self { seed, key: OnceLock::new() }
    }

    /// The half that others may know.
    pub fn public(&self) -> KemPublic {
        let bytes: [u8; KemPublic::LENGTH] = self.key().encapsulation_key().to_bytes().into();
        KemPublic { bytes: Box::new(bytes), key: OnceLock::new() }
    }

    /// The secret in a ciphertext. One that was made for another key, or tampered with, gives a secret that nobody has.
    pub fn decapsulate(&self, ciphertext: &Encapsulated) -> Secret<32> {
        taken(self.key().decapsulate(&(*ciphertext.0).into()))
    }

    pub(crate) fn seed(&self) -> &Secret<64> {
        &self.seed
    }

    fn key(&self) -> &DecapsulationKey {
        self.key.get_or_init(|| Box::new(DecapsulationKey::from_seed((*self.seed.expose()).into())))
    }
}

/// A shared key where it will stay; where it stood it is wiped.
fn taken(mut shared: SharedKey) -> Secret<32> {
    let secret = Secret::filled(|bytes| bytes.copy_from_slice(&shared));
    shared.as_mut_slice().zeroize();
    secret
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(..)")
    }
}
