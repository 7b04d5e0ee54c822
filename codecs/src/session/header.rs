//! The header of a sealed message: 80 bytes that say which key opens it, proved before anything is worked out.
//!
//! ```text
//! at  bytes
//!  0   1   version: 1
//!  1   1   what it is: 1, a session's message
//!  2   1   flags
//!  3   1   suite
//!  4  16   the first bytes of the session's id
//! 20  32   the sender's ratchet key
//! 52   4   how many messages its chain before had
//! 56   4   which message of its chain it is, from 0
//! 60  12   nonce
//! 72   8   HMAC-SHA256 under the session's header key over what stands before, the first 8 bytes
//! ```
//!
//! Numbers are big-endian. Then comes, if the flag says so, the length of the initiator's first message (2 bytes) and
//! that message; then the sealed bytes and their tag.
//!
//! Without the proof anybody could have a receiver agree on keys, or walk a chain for 25,000 steps, with 80 bytes.

use bytes::Bytes;
use subtle::ConstantTimeEq;

use crate::identity::check_version;
use crate::key::derive::{MacKey, hash};
use crate::key::{DhPublic, aead};
use crate::refusal::Refusal;
use crate::wire::DecodeError;

/// The bytes of a header.
pub(crate) const LENGTH: usize = 80;
const PROVED: usize = 72;

/// What sealed bytes are, in the second byte of all of them.
pub(crate) mod kind {
    pub(crate) const MESSAGE: u8 = 1;
    pub(crate) const POOL: u8 = 2;
    pub(crate) const GROUP: u8 = 3;
    pub(crate) const REQUEST: u8 = 4;
    pub(crate) const HERE: u8 = 5;
    pub(crate) const HELLO: u8 = 6;
    pub(crate) const OPEN: u8 = 7;
}

/// What a message has with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    /// The initiator's first message stands before the sealed bytes.
    pub(crate) const INIT: u8 = 1;
    /// The plaintext begins with a signature of this message.
    pub(crate) const SIGNED: u8 = 2;
    /// The plaintext begins with this message's place in a signed batch.
    pub(crate) const BATCH: u8 = 4;
    /// The plaintext begins with a signature of the ratchet key.
    pub(crate) const STEP: u8 = 8;
    /// The sender asks for a new ratchet key.
    pub(crate) const PLEASE_STEP: u8 = 16;
    /// The payload is padded.
    pub(crate) const PADDED: u8 = 32;

    const KNOWN: u8 = 63;
    const PROOFS: u8 = Self::SIGNED | Self::BATCH | Self::STEP;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Which proof the plaintext begins with.
    pub(crate) fn proof(self) -> u8 {
        self.0 & Self::PROOFS
    }

    fn read(byte: u8) -> Result<Self, DecodeError> {
        let flags = Self(byte);
        if byte & !Self::KNOWN != 0 || flags.proof().count_ones() > 1 {
            return Err(DecodeError::field("flags", format!("{byte:#04x}; send known ones, and one proof")));
        }
        Ok(flags)
    }
}

/// Which key opens a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: Flags,
    pub(crate) suite: u8,
    pub(crate) tag: [u8; 16],
    pub(crate) ratchet: DhPublic,
    pub(crate) previous: u32,
    pub(crate) number: u32,
    pub(crate) nonce: [u8; aead::NONCE],
}

impl Header {
    pub(crate) fn encode(&self, key: &MacKey) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&[1, kind::MESSAGE, self.flags.0, self.suite]);
        bytes[4..20].copy_from_slice(&self.tag);
        bytes[20..52].copy_from_slice(&self.ratchet.0);
        bytes[52..56].copy_from_slice(&self.previous.to_be_bytes());
        bytes[56..60].copy_from_slice(&self.number.to_be_bytes());
        bytes[60..PROVED].copy_from_slice(&self.nonce);
        let proof = key.mac(&bytes[..PROVED]);
        bytes[PROVED..].copy_from_slice(&proof[..LENGTH - PROVED]);
        bytes
    }

    fn read(bytes: &[u8; LENGTH]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("sealed message");
        check_version("sealed message", bytes[0].into())?;
        if bytes[1] != kind::MESSAGE {
            return Err(malformed(DecodeError::field("kind", format!("{}; send 1 to a session", bytes[1]))));
        }
        Ok(Self {
            flags: Flags::read(bytes[2]).map_err(malformed)?,
            suite: bytes[3],
            tag: part(bytes, 4),
            ratchet: DhPublic(part(bytes, 20)),
            previous: u32::from_be_bytes(part(bytes, 52)),
            number: u32::from_be_bytes(part(bytes, 56)),
            nonce: part(bytes, 60),
        })
    }
}

fn part<const N: usize>(bytes: &[u8; LENGTH], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("every part ends within the header")
}

/// A sealed message, taken apart; nothing of it is proved.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) header: Header,
    pub(crate) raw: [u8; LENGTH],
    pub(crate) init: Option<Bytes>,
    pub(crate) sealed: Bytes,
}

impl Packet {
    pub(crate) fn read(bytes: &Bytes) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("sealed message");
        let short = || {
            let needed = (LENGTH + aead::TAG) as u64;
            malformed(DecodeError::Truncated { at: 0, needed, left: bytes.len() })
        };
        let raw: [u8; LENGTH] = *bytes.first_chunk().ok_or_else(short)?;
        let header = Header::read(&raw)?;
        let mut at = LENGTH;
        let mut init = None;
        if header.flags.has(Flags::INIT) {
            let length = bytes.get(at..at + 2).ok_or_else(short)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            at += 2;
            init = Some(bytes.get(at..at + length).ok_or_else(short)?).map(|init| bytes.slice_ref(init));
            at += length;
        }
        if bytes.len() - at < aead::TAG {
            return Err(short());
        }
        Ok(Self { header, raw, init, sealed: bytes.slice(at..) })
    }

    /// Whether somebody with the header key wrote the header.
    pub(crate) fn check(&self, key: &MacKey) -> Result<(), Refusal> {
        let proof = key.mac(&self.raw[..PROVED]);
        let holds: bool = proof[..LENGTH - PROVED].ct_eq(&self.raw[PROVED..]).into();
        if holds { Ok(()) } else { Err(Refusal::BadHeaderMac) }
    }

    /// What tells this message from another one under the same key.
    pub(crate) fn mark(&self) -> Mark {
        let mut mark = [0; 8];
        mark[..4].copy_from_slice(&self.raw[PROVED..PROVED + 4]);
        mark[4..].copy_from_slice(&checksum(&self.sealed).to_be_bytes()[..4]);
        Mark(mark)
    }
}

/// FNV-1a over words of 8 bytes: any one changed bit changes it. Whoever makes two texts with the same one has a forgery
/// of a message that was handled called its duplicate, and gains nothing; a cryptographic hash would cost as much as the
/// seal.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let add = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    let sum = words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| add(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| add(sum, (*byte).into()))
}

/// The name of a sealed message, by which a stream de-duplicates it: 16 bytes of SHA-256 of its header and tag, which
/// stand for the rest.
pub(crate) fn packet_id(raw: &[u8; LENGTH], tag: &[u8; aead::TAG]) -> [u8; 16] {
    let hash = hash(&[raw, tag]);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

/// Four bytes of the header's proof and four of the sealed bytes' checksum: the first tell another message of the same sender, the
/// others a changed one. They count and classify; nothing is believed because of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) [u8; 8]);

impl Mark {
    /// Why a message under a key that was used for the message with this mark is refused.
    pub(crate) fn refuse(self, again: Mark) -> Refusal {
        if self == again {
            Refusal::Duplicate
        } else if self.0[..4] == again.0[..4] {
            Refusal::BadTag
        } else {
            Refusal::CounterReuse
        }
    }
}
