//! SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869) with it.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize;

use super::{Digest, Label, Secret};

/// The hash of a label and the parts, one after the other.
pub(crate) fn digest(label: Label, parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new_with_prefix(label.bytes());
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// The hash of bytes alone: the name of what others have made.
pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8; 32], input: &[u8]) -> Secret<32> {
    let (mut key, _) = Hkdf::<Sha256>::extract(Some(salt), input);
    let secret = Secret::filled(|bytes| bytes.copy_from_slice(&key));
    key.as_mut_slice().zeroize();
    secret
}

/// HKDF-Expand: `A + B` bytes, of which the first `A` and the last `B` are two keys.
pub(crate) fn expand<const A: usize, const B: usize>(
    key: &Secret<32>,
    label: Label,
    info: &[u8],
) -> (Secret<A>, Secret<B>) {
    let mut both = zeroize::Zeroizing::new([0u8; 96]);
    let made = &mut both[..A + B];
    let hkdf = Hkdf::<Sha256>::from_prk(key.expose()).expect("a key of 32 bytes is long enough");
    hkdf.expand_multi_info(&[label.bytes(), info], made).expect("HKDF-SHA256 makes up to 8,160 bytes");
    (Secret::filled(|a| a.copy_from_slice(&made[..A])), Secret::filled(|b| b.copy_from_slice(&made[A..])))
}

/// A key of HMAC, with what is the same for every message worked out.
pub(crate) struct MacKey {
    secret: Secret<32>,
    begun: Box<Hmac<Sha256>>,
}

impl MacKey {
    pub(crate) fn new(secret: Secret<32>) -> Self {
        let begun = Hmac::new_from_slice(secret.expose()).expect("HMAC takes keys of any length");
        Self { secret, begun: Box::new(begun) }
    }

    /// HMAC.
    pub(crate) fn mac(&self, message: &[u8]) -> Digest {
        let mut mac = (*self.begun).clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.secret.expose()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { secret: self.secret.duplicate(), begun: self.begun.clone() }
    }
}
