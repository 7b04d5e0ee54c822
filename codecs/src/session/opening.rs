//! Bytes become a payload, and nothing else happens until it is committed.
//!
//! The order of the checks is the order of their cost, and what fails first says nothing about the rest: form, session,
//! the header's proof, the key, the seal, the signature.

use bytes::Bytes;

use super::header::{Flags, Header, Packet};
use super::init::Init;
use super::policy::{Policy, Signatures, Verify};
use super::ratchet::Change;
use super::sealing::associated;
use super::{Context, Opening, Session, SessionId};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{InstanceId, OneTimeUse, Suite};
use crate::key::aead;
use crate::refusal::{Ask, Refusal};
use crate::signature::{Evidence, Proof, SignedBatch, Statement};

/// A message that was opened and is not committed.
#[derive(Debug)]
pub struct Opened {
    /// What was sealed.
    pub payload: Bytes,
    /// Who sealed it: proved by the session.
    pub from: (AgentId, InstanceId),
    /// What proves it to others, where the message is signed.
    pub evidence: Option<Evidence>,
    /// What its sender is asked for: a new session, where it still sends on one that is closed here.
    pub ask: Option<Ask>,
    /// To be committed together with whatever the payload led to.
    pub pending: Pending,
}

/// What opening a message found out. Dropping it forgets that the message came.
#[must_use = "a message that is not committed comes again"]
pub struct Pending {
    pub(super) session: SessionId,
    pub(super) change: Change,
    /// A session that begins with this message.
    pub(super) begun: Option<Box<Session>>,
    pub(super) one_time: Option<OneTimeUse>,
    pub(super) asks_for_step: bool,
    /// A batch whose signature was verified with this message.
    pub(super) batch: Option<SignedBatch>,
}

/// What the sealed bytes say, once their proof was looked at.
struct Proved {
    payload: Bytes,
    evidence: Option<Evidence>,
    batch: Option<SignedBatch>,
}

impl Pending {
    /// The session that it belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({:?}, message {}, ..)", self.session, self.change.number)
    }
}

impl Session {
    pub(super) fn open(
        &self,
        packet: &Packet,
        context: &Context,
        policy: &Policy,
    ) -> Result<Opened, Refusal> {
        packet.check(&self.header_key)?;
        self.check_suite(packet.header.suite)?;
        self.check_init(packet)?;
        let (key, change) = self.ratchet.look(&packet.header, packet.mark())?;
        let associated = associated(&self.id, &packet.raw, context.digest());
        let plaintext = aead::open(key.expose(), &packet.header.nonce, &associated, &packet.sealed);
        let unsealed = if change.takes_turn() { Refusal::Diverged } else { Refusal::BadTag };
        let plaintext = Bytes::from(plaintext.ok_or(unsealed)?);
        let Proved { payload, evidence, batch } = self.check_proof(packet, context, &plaintext, policy)?;
        let asks_for_step = packet.header.flags.has(Flags::PLEASE_STEP);
        let pending = Pending { session: self.id, change, begun: None, one_time: None, asks_for_step, batch };
        let ask = self.closed.map(|_| Ask::Reset);
        Ok(Opened { payload, from: self.peer.whose(), evidence, ask, pending })
    }

    fn check_suite(&self, suite: u8) -> Result<(), Refusal> {
        let suite = Suite::from_code(suite.into())?;
        if suite == self.suite { Ok(()) } else { Err(Refusal::UnsupportedSuite { suite: suite.code() }) }
    }

    /// The init that a message carries is the one that began the session.
    fn check_init(&self, packet: &Packet) -> Result<(), Refusal> {
        let Some(came) = &packet.init else { return Ok(()) };
        match &self.opening {
            Opening::Accepted { init, .. } if Init::name(came) == *init => Ok(()),
            Opening::Accepted { .. } | Opening::Answered | Opening::Unanswered(_) => Err(Refusal::BadTag),
        }
    }

    fn check_proof(
        &self,
        packet: &Packet,
        context: &Context,
        plaintext: &Bytes,
        policy: &Policy,
    ) -> Result<Proved, Refusal> {
        let flags = packet.header.flags;
        let (proof, rest) = Proof::read(flags.proof(), plaintext)?;
        let padded = plaintext.slice(rest..);
        let payload =
            if flags.has(Flags::PADDED) { padded.slice_ref(super::unpad(&padded)?) } else { padded };
        let evidence = match proof {
            Some(Proof::Step(signature)) => {
                Proof::verify_step(self.peer.signing(), &self.id, &packet.raw, &signature)?;
                None
            }
            Some(proof) => Some(self.evidence(packet, context, payload.clone(), proof)),
            None => None,
        };
        let batch = match (&evidence, policy.signatures, policy.verify) {
            (None, Signatures::EveryMessage, _) => return Err(Refusal::Unsigned),
            (Some(evidence), _, Verify::Now) => self.verify(evidence, context)?,
            (Some(_), _, Verify::Later) | (None, Signatures::Checkpoint, _) => None,
        };
        self.check_step_is_signed(&packet.header, evidence.is_some())?;
        Ok(Proved { payload, evidence, batch })
    }

    /// As [`Evidence::verify`], with what is known here already.
    fn verify(&self, evidence: &Evidence, context: &Context) -> Result<Option<SignedBatch>, Refusal> {
        let statement = Statement {
            sender: self.peer.hash(),
            receiver: &self.own_certificate,
            session: &self.id,
            header: &evidence.header,
            context: context.digest(),
            payload: &evidence.payload,
        };
        let is_verified = |batch: &SignedBatch| self.batches.contains(batch);
        evidence.proof.verify(self.peer.signing(), &statement.digest(), is_verified)
    }

    /// Without signed messages the first one of a chain must sign its ratchet key.
    fn check_step_is_signed(&self, header: &Header, is_signed: bool) -> Result<(), Refusal> {
        let is_first = header.number == 0;
        let misses = is_first && !is_signed && header.flags.proof() != Flags::STEP;
        if misses { Err(Refusal::Unsigned) } else { Ok(()) }
    }

    fn evidence(&self, packet: &Packet, context: &Context, payload: Bytes, proof: Proof) -> Evidence {
        Evidence {
            certificate: self.peer.bytes().clone(),
            receiver: self.own_certificate,
            session: self.id,
            header: packet.raw,
            context: context.bytes().clone(),
            payload,
            proof,
        }
    }

    /// Whether the message of this change has not been handled yet.
    pub(super) fn is_open(&self, change: &Change) -> bool {
        self.ratchet.is_open(change)
    }

    /// Commits a message.
    pub(super) fn merge(&mut self, change: Change, asks_for_step: bool, policy: &Policy, now: UnixMillis) {
        self.ratchet.merge(change, policy.retention, now);
        self.wants_step |= asks_for_step;
        if let Opening::Unanswered(_) = self.opening {
            self.opening = Opening::Answered;
        }
    }

    /// The signature of this batch need not be verified again.
    pub(super) fn remember(&mut self, batch: SignedBatch) {
        if !self.batches.contains(&batch) {
            self.batches.truncate(BATCHES_MAX - 1);
            self.batches.push_front(batch);
        }
    }
}

/// The most batches of a session whose signatures were verified and need not be again: messages of one batch come one
/// after the other, but for those that are delivered again. Nothing of it is kept at rest.
const BATCHES_MAX: usize = 4;
