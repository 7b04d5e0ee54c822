//! The bytes of a message to a group.
//!
//! ```text
//! at  bytes
//!  0   4   version: 1, what it is: 3, flags: 0, 0
//!  4  16   group
//! 20   8   epoch of the roster for which the chain was made
//! 28  16   chain
//! 44   4   which message of its chain it is, from 0
//! 48  12   nonce
//! 60  16   commitment: HKDF-Expand( message key, "commit" ‖ header[..60], 16 )
//! 76       AES-256-GCM ‖ tag: 16 ‖ signature: 64
//!
//! associated data = "group-aad" ‖ hash of the sender's certificate ‖ header ‖ digest of the context
//! signature         over  group-sig ‖ hash of the sender's certificate ‖ header ‖ digest of the context
//!                         ‖ SHA-256( AES-256-GCM ‖ tag )
//! ```
//!
//! The commitment is there because many have the key: without it a sender could make one message that opens as one thing
//! for some and as another for others.

use subtle::ConstantTimeEq;

use super::{ChainId, GroupId};
use crate::identity::check_version;
use crate::key::derive::{expand, hash};
use crate::key::{Digest, Label, Secret, Signature, SigningKey, VerifyingKey, aead};
use crate::refusal::Refusal;
use crate::session::header::kind;
use crate::wire::DecodeError;

const BEFORE_COMMITMENT: usize = 60;
pub(super) const LENGTH: usize = 76;

pub(super) struct Header {
    pub(super) group: GroupId,
    pub(super) epoch: u64,
    pub(super) chain: ChainId,
    pub(super) number: u32,
    pub(super) nonce: [u8; aead::NONCE],
}

impl Header {
    fn encode(&self, key: &Secret<32>) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..2].copy_from_slice(&[1, kind::GROUP]);
        bytes[4..20].copy_from_slice(&self.group.0);
        bytes[20..28].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[28..44].copy_from_slice(&self.chain);
        bytes[44..48].copy_from_slice(&self.number.to_be_bytes());
        bytes[48..BEFORE_COMMITMENT].copy_from_slice(&self.nonce);
        let commitment = commitment(key, &bytes);
        bytes[BEFORE_COMMITMENT..].copy_from_slice(commitment.expose());
        bytes
    }

    fn read(bytes: &[u8; LENGTH]) -> Result<Self, Refusal> {
        check_version("group message", bytes[0].into())?;
        if bytes[1..4] != [kind::GROUP, 0, 0] {
            let problem = DecodeError::field("kind", "send 3, 0, 0 to a group");
            return Err(Refusal::malformed("group message")(problem));
        }
        Ok(Self {
            group: GroupId(part(bytes, 4)),
            epoch: u64::from_be_bytes(part(bytes, 20)),
            chain: part(bytes, 28),
            number: u32::from_be_bytes(part(bytes, 44)),
            nonce: part(bytes, 48),
        })
    }
}

fn part<const N: usize>(bytes: &[u8; LENGTH], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("every part ends within the header")
}

fn commitment(key: &Secret<32>, header: &[u8; LENGTH]) -> Secret<16> {
    let (commitment, _) = expand::<16, 0>(key, Label::Commit, &header[..BEFORE_COMMITMENT]);
    commitment
}

/// What a message is bound to besides its header: who sent it, and the envelope around it.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) sender: &'a Digest,
    pub(super) context: &'a Digest,
}

impl Bound<'_> {
    fn associated(&self, raw: &[u8; LENGTH]) -> Vec<u8> {
        [Label::GroupAssociated.bytes(), self.sender, raw, self.context].concat()
    }

    /// Seals and signs a payload.
    pub(super) fn seal(
        &self,
        header: &Header,
        key: &Secret<32>,
        payload: &[u8],
        signer: &SigningKey,
    ) -> Vec<u8> {
        let raw = header.encode(key);
        let mut bytes = Vec::with_capacity(LENGTH + payload.len() + aead::TAG + 64);
        bytes.extend_from_slice(&raw);
        bytes.extend_from_slice(payload);
        aead::seal(key.expose(), &header.nonce, &self.associated(&raw), &mut bytes, LENGTH);
        let sealed = hash(&[&bytes[LENGTH..]]);
        let signature = signer.sign(Label::GroupMessage, &[self.sender, &raw, self.context, &sealed]);
        bytes.extend_from_slice(&signature);
        bytes
    }
}

/// A message to a group, taken apart; nothing of it is proved.
pub(super) struct Packet<'a> {
    pub(super) header: Header,
    pub(super) raw: &'a [u8; LENGTH],
    sealed: &'a [u8],
    signature: &'a Signature,
}

impl<'a> Packet<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let short = || {
            let needed = (LENGTH + aead::TAG + 64) as u64;
            Refusal::malformed("group message")(DecodeError::Truncated { at: 0, needed, left: bytes.len() })
        };
        let (raw, rest) = bytes.split_first_chunk::<LENGTH>().ok_or_else(short)?;
        let (sealed, signature) = rest.split_last_chunk::<64>().ok_or_else(short)?;
        if sealed.len() < aead::TAG {
            return Err(short());
        }
        Ok(Self { header: Header::read(raw)?, raw, sealed, signature })
    }

    /// Whether the sender wrote it.
    pub(super) fn verify(&self, key: &VerifyingKey, bound: Bound<'_>) -> Result<(), Refusal> {
        let sealed = hash(&[self.sealed]);
        key.verify(Label::GroupMessage, &[bound.sender, self.raw, bound.context, &sealed], self.signature)
    }

    pub(super) fn open(&self, key: &Secret<32>, bound: Bound<'_>) -> Result<Vec<u8>, Refusal> {
        let committed = commitment(key, self.raw);
        let fits: bool = committed.expose()[..].ct_eq(&self.raw[BEFORE_COMMITMENT..]).into();
        let opened = aead::open(key.expose(), &self.header.nonce, &bound.associated(self.raw), self.sealed);
        opened.filter(|_| fits).ok_or(Refusal::BadTag)
    }

    /// The first bytes of the commitment and of the hash of it all: the header is signed, so another commitment under
    /// the same number is another message of the same sender.
    pub(super) fn mark(&self) -> [u8; 8] {
        let hash = hash(&[self.raw, self.sealed]);
        let mut mark = [0; 8];
        mark[..4].copy_from_slice(&self.raw[BEFORE_COMMITMENT..BEFORE_COMMITMENT + 4]);
        mark[4..].copy_from_slice(&hash[..4]);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that commits to another key than it is sealed with is refused, though its sender signed it.
    #[test]
    fn a_message_opens_under_the_key_it_commits_to() {
        let keys = [1, 2].map(|n| Secret::read(&[n; 32]).unwrap());
        let signer = SigningKey::from_seed(&Secret::read(&[3; 32]).unwrap());
        let bound = Bound { sender: &[4; 32], context: &[5; 32] };
        for (committed, opens) in [(&keys[0], true), (&keys[1], false)] {
            let header =
                Header { group: GroupId([6; 16]), epoch: 1, chain: [7; 16], number: 0, nonce: [8; 12] };
            let raw = header.encode(committed);
            let mut bytes = [&raw[..], b"payload"].concat();
            aead::seal(keys[0].expose(), &header.nonce, &bound.associated(&raw), &mut bytes, LENGTH);
            let sealed = hash(&[&bytes[LENGTH..]]);
            bytes.extend(signer.sign(Label::GroupMessage, &[bound.sender, &raw, bound.context, &sealed]));
            let packet = Packet::read(&bytes).unwrap();
            assert!(packet.verify(&signer.verifying_key(), bound).is_ok());
            assert_eq!(packet.open(&keys[0], bound).is_ok(), opens);
        }
    }
}
