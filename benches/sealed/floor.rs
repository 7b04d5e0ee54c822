//! The floor: AES-256-GCM under one key, with a nonce that counts.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use bytes::Bytes;

use super::End;

/// One key for both.
pub(super) struct Pair {
    cipher: Aes256Gcm,
    next: u64,
}

impl super::Pair for Pair {
    type Message = (u64, Vec<u8>, Tag);

    fn meet() -> Self {
        Self { cipher: Aes256Gcm::new(&[7; 32].into()), next: 0 }
    }

    fn seal(&mut self, _end: End, payload: &Bytes) -> Self::Message {
        self.next += 1;
        let mut text = payload.to_vec();
        let sealed =
            self.cipher.encrypt_inout_detached(&nonce(self.next).into(), &[], (&mut text[..]).into());
        (self.next, text, sealed.expect("it is short enough"))
    }

    fn open(&mut self, _end: End, (number, mut text, tag): Self::Message) -> usize {
        let opened =
            self.cipher.decrypt_inout_detached(&nonce(number).into(), &[], (&mut text[..]).into(), &tag);
        opened.expect("it was just sealed");
        text.len()
    }
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}
