//! Records at rest, under a key that the owner of the node keeps elsewhere.
//!
//! ```text
//! record          = 1 ‖ generation: u64 ‖ nonce: 12 ‖ AES-256-GCM ‖ tag
//! associated data = "store" ‖ 1 ‖ generation ‖ name of the record
//! ```
//!
//! The generation rises with each write. A store that went back in time has records of an older one: whoever keeps the
//! newest generation elsewhere, signed, notices.

use std::fmt;

use zeroize::Zeroizing;

use crate::identity::check_version;
use crate::key::{Entropy, Label, Secret, aead, public_random};
use crate::refusal::Refusal;

const HEAD: usize = 9;

/// The key of a store.
///
/// ```
/// use connectome_codecs::key::Secret;
/// use connectome_codecs::seal::StoreKey;
///
/// let key = StoreKey::new(Secret::read(&[7; 32]).expect("32 bytes"));
/// let mut entropy = |bytes: &mut [u8]| bytes.fill(1); // a generator of the system, outside a test
/// let sealed = key.seal("session/1", 4, b"secret", &mut entropy);
/// assert_eq!(&key.open("session/1", 4, &sealed)?[..], b"secret");
/// assert!(key.open("session/2", 4, &sealed).is_err()); // another record
/// assert!(key.open("session/1", 5, &sealed).is_err()); // the store went back in time
/// # Ok::<(), connectome_codecs::Refusal>(())
/// ```
pub struct StoreKey(Secret<32>);

impl StoreKey {
    /// From 32 bytes that were random, or derived from a passphrase.
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// Seals a record of this name, written in this generation.
    pub fn seal(&self, name: &str, generation: u64, record: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + aead::NONCE + record.len() + aead::TAG);
        out.push(1);
        out.extend_from_slice(&generation.to_be_bytes());
        let associated = associated(&out, name);
        let nonce = public_random(entropy);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(record);
        aead::seal(self.0.expose(), &nonce, &associated, &mut out, start);
        out
    }

    /// Opens a record of this name, of this generation or a later one.
    ///
    /// # Errors
    /// [`Refusal::BadTag`] when it is another record or was damaged; [`Refusal::RolledBack`] when it is older.
    pub fn open(&self, name: &str, at_least: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let (head, rest) = sealed.split_first_chunk::<HEAD>().ok_or(Refusal::BadTag)?;
        check_version("record", head[0].into())?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(Refusal::BadTag)?;
        let record =
            aead::open(self.0.expose(), nonce, &associated(head, name), rest).ok_or(Refusal::BadTag)?;
        let record = Zeroizing::new(record);
        if Self::generation(sealed).is_none_or(|generation| generation < at_least) {
            return Err(Refusal::RolledBack { what: "record" });
        }
        Ok(record)
    }

    /// The generation that a record says it was written in.
    pub fn generation(sealed: &[u8]) -> Option<u64> {
        sealed.get(1..HEAD)?.try_into().ok().map(u64::from_be_bytes)
    }
}

fn associated(head: &[u8], name: &str) -> Vec<u8> {
    [Label::Store.bytes(), head, name.as_bytes()].concat()
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}
