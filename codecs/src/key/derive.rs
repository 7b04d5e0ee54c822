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

/// HMAC.
pub(crate) fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
