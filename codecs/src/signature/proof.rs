//! The three forms of a proof, as they stand before the payload.

use super::tree::{BATCH_MAX, Way};
use crate::key::derive::{digest, hash};
use crate::key::{Digest, Label, Signature, SigningKey, VerifyingKey};
use crate::refusal::Refusal;
use crate::session::SessionId;
use crate::session::header::{Flags, LENGTH};
use crate::wire::DecodeError;

/// What a signature of a message is about.
pub(crate) struct Statement<'a> {
    pub(crate) sender: &'a Digest,
    pub(crate) receiver: &'a Digest,
    pub(crate) session: &'a SessionId,
    pub(crate) header: &'a [u8; LENGTH],
    pub(crate) context: &'a Digest,
    pub(crate) payload: &'a [u8],
}

impl Statement<'_> {
    pub(crate) fn digest(&self) -> Digest {
        let Self { sender, receiver, session, header, context, payload } = *self;
        let payload = hash(&[payload]);
        digest(Label::Statement, &[sender, receiver, &session.0, header, context, &payload])
    }
}

/// What a message carries to be believed by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A signature of this message.
    Message(Signature),
    /// A signature of many, and the way from this one to what was signed.
    Batch { way: Way, signature: Signature },
    /// A signature of the ratchet key alone.
    Step(Signature),
}

impl Proof {
    pub(crate) fn message(key: &SigningKey, statement: &Digest) -> Self {
        Self::Message(key.sign(Label::Message, &[statement]))
    }

    pub(crate) fn step(key: &SigningKey, session: &SessionId, header: &[u8; LENGTH]) -> Self {
        Self::Step(key.sign(Label::Step, &[&session.0, &header[STEP]]))
    }

    pub(crate) fn verify_step(
        key: &VerifyingKey,
        session: &SessionId,
        header: &[u8; LENGTH],
        signature: &Signature,
    ) -> Result<(), Refusal> {
        key.verify(Label::Step, &[&session.0, &header[STEP]], signature)
    }

    /// Whether it proves the statement: by itself, or by a batch whose signature was verified with another message. A
    /// signed step proves none. Gives the batch, where there is one.
    pub(crate) fn verify(
        &self,
        key: &VerifyingKey,
        statement: &Digest,
        is_verified: impl Fn(&SignedBatch) -> bool,
    ) -> Result<Option<SignedBatch>, Refusal> {
        match self {
            Self::Message(signature) => {
                key.verify(Label::Message, &[statement], signature)?;
                Ok(None)
            }
            Self::Batch { way, signature } => {
                let batch =
                    SignedBatch { size: way.size(), root: way.root(statement), signature: *signature };
                if !is_verified(&batch) {
                    batch.verify(key)?;
                }
                Ok(Some(batch))
            }
            Self::Step(_) => Err(Refusal::Unsigned),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Message(signature) | Self::Step(signature) => signature.to_vec(),
            Self::Batch { way, signature } => [way.encode(), signature.to_vec()].concat(),
        }
    }

    /// The proof that a flag promises, and where what follows begins.
    pub(crate) fn read(flag: u8, bytes: &[u8]) -> Result<(Option<Self>, usize), Refusal> {
        let short = || DecodeError::field("proof", format!("{} bytes are not enough for it", bytes.len()));
        let malformed = Refusal::malformed("sealed message");
        let signature = |at: usize| {
            let rest = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied();
            rest.ok_or_else(|| malformed(short()))
        };
        Ok(match flag {
            Flags::SIGNED => (Some(Self::Message(signature(0)?)), 64),
            Flags::STEP => (Some(Self::Step(signature(0)?)), 64),
            Flags::BATCH => {
                let (way, length) = Way::read(bytes).ok_or_else(|| malformed(wrong_way()))?;
                (Some(Self::Batch { way, signature: signature(length)? }), length + 64)
            }
            _ => (None, 0),
        })
    }
}

/// What the signature of a batch is about, and the signature. All messages of a batch lead to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignedBatch {
    size: u8,
    root: Digest,
    signature: Signature,
}

impl SignedBatch {
    fn verify(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        key.verify(Label::Batch, &[&[self.size], &self.root], &self.signature)
    }
}

fn wrong_way() -> DecodeError {
    DecodeError::field(
        "way",
        format!("send the size (1 to {BATCH_MAX}), an index below it, and the whole way"),
    )
}

/// The sender's ratchet key, and how many messages its chain before had.
const STEP: std::ops::Range<usize> = 20..56;
