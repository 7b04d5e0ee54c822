//! AES-256-GCM (NIST SP 800-38D) with nonces of 96 bits and tags of 128.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};

/// The bytes of a nonce.
pub(crate) const NONCE: usize = 12;

/// The bytes of a tag.
pub(crate) const TAG: usize = 16;

/// Encrypts what `buffer` holds from `start` on, where it stands, and appends the tag.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    associated: &[u8],
    buffer: &mut Vec<u8>,
    start: usize,
) {
    let cipher = Aes256Gcm::new(key.into());
    let text = &mut buffer[start..];
    let tag = cipher.encrypt_inout_detached(&(*nonce).into(), associated, text.into());
    buffer.extend_from_slice(&tag.expect("what is sealed is shorter than 64 GiB"));
}

/// The plaintext, or nothing when a bit of anything is not as it was sealed.
pub(crate) fn open(key: &[u8; 32], nonce: &[u8; NONCE], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<TAG>()?;
    let mut text = text.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    let opened =
        cipher.decrypt_inout_detached(&(*nonce).into(), associated, (&mut text[..]).into(), &(*tag).into());
    opened.is_ok().then_some(text)
}
