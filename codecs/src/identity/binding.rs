//! The keys that an instance has elsewhere: its node's, and those by which libp2p and NATS know it.
//!
//! They are other keys on purpose. A NATS server chooses the bytes that its clients sign, so a key that it has sign for
//! it must be good for nothing else. What these systems call a key is worked out from it, so it can't be another one's.

use crate::key::{Digest, Label};

/// Where a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BindingKind {
    /// The node on which the instance runs.
    Node,
    /// libp2p, as a PeerId.
    Libp2p,
    /// NATS, as a user's nkey.
    Nats,
}

impl BindingKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Node => 1,
            Self::Libp2p => 2,
            Self::Nats => 3,
        }
    }

    pub(super) fn from_code(code: u64) -> Option<Self> {
        [Self::Node, Self::Libp2p, Self::Nats].into_iter().find(|kind| u64::from(kind.code()) == code)
    }
}

/// An Ed25519 key that an instance has elsewhere.
///
/// ```
/// use connectome_codecs::identity::{Binding, BindingKind};
///
/// let binding = Binding { kind: BindingKind::Libp2p, key: [7; 32] };
/// assert!(binding.peer_id().starts_with("12D3KooW"));
/// assert!(binding.nkey().starts_with('U'));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Where it is used.
    pub kind: BindingKind,
    /// The public key.
    pub key: [u8; 32],
}

impl Binding {
    /// The key as libp2p writes it: base 58 of the identity multihash of its protobuf.
    pub fn peer_id(&self) -> String {
        bs58::encode([&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20][..], &self.key].concat()).into_string()
    }

    /// The key as NATS writes a user's: base 32 of a prefix, the key and a checksum.
    pub fn nkey(&self) -> String {
        let mut bytes = [&[NATS_USER][..], &self.key].concat();
        bytes.extend(crc16(&bytes).to_le_bytes());
        base32(&bytes)
    }

    /// What the holder of this key signs, plainly, to show that the instance's certificate may name it.
    pub fn challenge(&self, body: &[u8]) -> Vec<u8> {
        challenge(self.kind.code(), body)
    }
}

/// Proof of possession: label, kind, hash of the certificate's body.
fn challenge(kind: u8, body: &[u8]) -> Vec<u8> {
    let hash: Digest = crate::key::derive::hash(&[body]);
    [Label::Possession.bytes(), &[kind], &hash].concat()
}

/// `U`, in the first five bits of base 32.
const NATS_USER: u8 = 20 << 3;

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let groups = bytes.chunks(5).flat_map(|chunk| {
        let number = (0..5).fold(0u64, |sum, at| (sum << 8) | u64::from(*chunk.get(at).unwrap_or(&0)));
        let digits = (chunk.len() * 8).div_ceil(5);
        (0..digits).map(move |digit| char::from(DIGITS[(number >> (35 - 5 * digit)) as usize & 31]))
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A NATS user's key that the nkeys tool made, and a PeerId of the libp2p specification's key.
    #[test]
    fn keys_read_as_others_write_them() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
        let key =
            <[u8; 32]>::try_from(bs58_key("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")).unwrap();
        let peer = Binding { kind: BindingKind::Libp2p, key };
        assert_eq!(peer.peer_id(), "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA");
        assert_eq!(peer.nkey().len(), 56);
    }

    fn bs58_key(text: &str) -> Vec<u8> {
        bs58::decode(text).into_vec().unwrap()[6..].to_vec()
    }
}
