//! One's own chain in a group, and whom it was given to.
//!
//! ```text
//! distribution: "skd" ‖ [ 1, group: bin 16, epoch, hash of the sender's certificate: bin 32, chain: bin 16, number,
//!                         chain key: bin 32 ]                                   as the payload of a session's message
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::message::{Bound, Header};
use super::{CHAIN_LIFE, ChainId, GroupId, MESSAGES_MAX, Roster};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Instance, check_version, read_id, read_secret};
use crate::key::{Digest, Entropy, Label, Secret, public_random};
use crate::refusal::Refusal;
use crate::session::{Context, PAYLOAD_MAX, Reserved, SealError, Sending};
use crate::wire::{DecodeError, Reader, Writer};

/// One's own chain in a group.
pub struct GroupSender {
    group: GroupId,
    epoch: u64,
    certificate: Digest,
    chain: ChainId,
    sending: Sending,
    /// What is being written.
    reserving: Option<Reserved>,
    given: BTreeSet<AgentId>,
}

impl GroupSender {
    /// A new chain for the members of a roster. Nothing is reserved, and nobody has it yet.
    pub fn begin(own: &Instance, roster: &Roster, now: UnixMillis, entropy: &mut dyn Entropy) -> Self {
        let reserved = Reserved { next: 0, key: Secret::random(entropy) };
        Self {
            group: roster.group(),
            epoch: roster.epoch(),
            certificate: *own.certificate().hash(),
            chain: public_random(entropy),
            sending: Sending::at(Label::GroupChain, reserved, 0, now),
            reserving: None,
            given: BTreeSet::new(),
        }
    }

    /// Whether a new chain must be begun before the next message: somebody who has this one is a member no more, or it is
    /// used up.
    pub fn is_over(&self, roster: &Roster, now: UnixMillis) -> bool {
        let all_are_members = self.given.is_subset(roster.members());
        !all_are_members || self.sending.next >= MESSAGES_MAX || now.since(self.sending.began) >= CHAIN_LIFE
    }

    /// The members that have not got the chain yet: send each [`distribution`](Self::distribution) in a session.
    pub fn missing<'a>(&'a self, roster: &'a Roster) -> impl Iterator<Item = AgentId> + 'a {
        roster.members().difference(&self.given).copied()
    }

    /// The chain as it stands, for a member: what was sent before stays closed to it.
    pub fn distribution(&self) -> Zeroizing<Vec<u8>> {
        let Sending { key, next, .. } = &self.sending;
        let (epoch, certificate) = (self.epoch, self.certificate);
        let given = Distribution {
            group: self.group,
            epoch,
            certificate,
            chain: self.chain,
            next: *next,
            key: key.duplicate(),
        };
        given.encode()
    }

    /// A member has the chain: its distribution is in the outbox.
    pub fn give(&mut self, member: AgentId) {
        self.given.insert(member);
    }

    /// Whether keys must be reserved before the next message.
    pub fn needs_reservation(&self) -> bool {
        self.sending.next >= self.sending.reserved.next
    }

    /// Sets keys aside for the next messages. From now on the record has them: write it, then confirm.
    ///
    /// # Errors
    /// [`SealError::Closed`] when the chain is used up.
    pub fn reserve(&mut self) -> Result<(), SealError> {
        // The keys on the way are worked out again: who joins meanwhile gets the chain as it stands.
        let (reserved, _) = self.sending.reserved.ahead(Label::GroupChain).ok_or(SealError::Closed)?;
        self.reserving = Some(reserved);
        Ok(())
    }

    /// The record is written: the keys that were reserved may be used.
    pub fn confirm(&mut self) {
        if let Some(reserved) = self.reserving.take() {
            self.sending.reserved = reserved;
        }
    }

    /// Seals a payload for all who have the chain.
    ///
    /// # Errors
    /// When no keys are reserved, or the payload is too long.
    pub fn seal(
        &mut self,
        own: &Instance,
        context: &Context,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Bytes, SealError> {
        if payload.len() > PAYLOAD_MAX {
            return Err(SealError::TooLong { length: payload.len(), max: PAYLOAD_MAX });
        }
        if *own.certificate().hash() != self.certificate {
            return Err(Refusal::IdentityMismatch { what: "sender's certificate" }.into());
        }
        let (number, key) = self.sending.take().ok_or(SealError::NotReserved)?;
        let Self { group, epoch, chain, .. } = *self;
        let header = Header { group, epoch, chain, number, nonce: public_random(entropy) };
        let bound = Bound { sender: &self.certificate, context: context.digest() };
        Ok(bound.seal(&header, &key, payload, &own.keys().signing).into())
    }

    /// The bytes to keep, at the reserved mark: `[ 1, distribution: bin, began: ms, [ member ... ] ]`. They hold the
    /// chain: seal them.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mark = self.reserving.as_ref().unwrap_or(&self.sending.reserved);
        let (epoch, certificate) = (self.epoch, self.certificate);
        let given = Distribution {
            group: self.group,
            epoch,
            certificate,
            chain: self.chain,
            next: mark.next,
            key: mark.key.duplicate(),
        };
        let mut out = Writer::with_capacity(512 + self.given.len() * 34);
        out.array(4);
        out.uint(1);
        out.bytes(&given.encode());
        out.uint(self.sending.began.0);
        out.array(self.given.len());
        self.given.iter().for_each(|member| out.bytes(&member.0));
        Zeroizing::new(out.finish())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("group sender");
        let mut reader = Reader::new(bytes);
        reader.list("group sender", 4).map_err(&malformed)?;
        check_version("group sender", reader.uint("version").map_err(&malformed)?)?;
        let chain = Distribution::decode(reader.bytes("distribution").map_err(&malformed)?)?;
        let began = UnixMillis(reader.uint("began").map_err(&malformed)?);
        let members = reader.items("members", super::MEMBERS_MAX).map_err(&malformed)?;
        let given = (0..members).map(|_| reader.exactly("member").map(AgentId)).collect::<Result<_, _>>();
        let given = given.map_err(&malformed)?;
        reader.end().map_err(malformed)?;
        let Distribution { group, epoch, certificate, chain, next, key } = chain;
        let sending = Sending::at(Label::GroupChain, Reserved { next, key }, 0, began);
        Ok(Self { group, epoch, certificate, chain, sending, reserving: None, given })
    }
}

/// A chain on its way to a member.
pub(super) struct Distribution {
    pub(super) group: GroupId,
    pub(super) epoch: u64,
    pub(super) certificate: Digest,
    pub(super) chain: ChainId,
    pub(super) next: u32,
    pub(super) key: Secret<32>,
}

impl Distribution {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(256);
        out.raw(Label::SenderKey.bytes());
        out.array(7);
        out.uint(1);
        out.bytes(&self.group.0);
        out.uint(self.epoch);
        out.bytes(&self.certificate);
        out.bytes(&self.chain);
        out.uint(self.next.into());
        out.bytes(self.key.expose());
        Zeroizing::new(out.finish())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("sender key");
        let unlabelled = || malformed(DecodeError::field("label", "send the label `skd` first"));
        let body = bytes.strip_prefix(Label::SenderKey.bytes()).ok_or_else(unlabelled)?;
        let mut reader = Reader::new(body);
        let later = reader.open("sender key", 7).map_err(&malformed)?;
        check_version("sender key", reader.uint("version").map_err(&malformed)?)?;
        let read = Self::read(&mut reader).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        Ok(read)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group: GroupId(reader.exactly("group")?),
            epoch: reader.uint("epoch")?,
            certificate: reader.exactly("certificate")?,
            chain: reader.exactly("chain")?,
            next: read_id(reader)?,
            key: read_secret(reader)?,
        })
    }
}

impl std::fmt::Debug for GroupSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GroupSender({:?}, epoch {}, given to {}, ..)", self.group, self.epoch, self.given.len())
    }
}
