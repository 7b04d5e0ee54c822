//! Keys, and the few things that are done with them: sign, agree, encapsulate, derive, seal.
//!
//! Every secret is on the heap, is wiped when it goes, cannot be cloned or compared by accident, and prints as
//! `Secret(..)`. Every use of a key has a [`Label`], so what was made for one purpose is worthless for another.
//!
//! It does not keep keys, give them lives or say whose they are: that is [`identity`](crate::identity). It makes no
//! randomness: whoever needs some is handed an [`Entropy`].
//!
//! | file | what |
//! |---|---|
//! | `label` | the registry of purposes |
//! | `secret` | bytes that nobody sees |
//! | `signing` | Ed25519 |
//! | `dh` | X25519 |
//! | `kem` | ML-KEM-768 |
//! | `derive` | SHA-256, HMAC, HKDF |
//! | `aead` | AES-256-GCM |

pub(crate) mod aead;
pub(crate) mod derive;
mod dh;
mod kem;
#[cfg(test)]
mod known_answers;
mod label;
mod secret;
mod signing;

pub use dh::{DhPublic, DhSecret};
pub use kem::{Encapsulated, KemPublic, KemSecret};
pub use label::Label;
pub(crate) use secret::public_random;
pub use secret::{Entropy, Secret};
pub use signing::{SigningKey, VerifyingKey};

/// An Ed25519 signature.
pub type Signature = [u8; 64];

/// A SHA-256 hash.
pub type Digest = [u8; 32];
