//! A payload becomes bytes that one instance can open.
//!
//! ```text
//! plaintext = [ proof ] ‖ payload [ ‖ padding ]
//! sealed    = AES-256-GCM( message key, nonce of the header, plaintext,
//!                          associated = "aad" ‖ session id ‖ header ‖ digest of the context )
//! message   = header ‖ [ length of the init ‖ init ] ‖ sealed ‖ tag
//! ```

use bytes::Bytes;

use super::header::{Flags, Header, LENGTH, packet_id};
use super::sending::{CHAIN_AGE_MAX, Mark, Reservation, Sending};
use super::{Context, Opening, Session, SessionId};
use crate::id::UnixMillis;
use crate::key::{DhPublic, DhSecret, Digest, Entropy, Label, Secret, SigningKey, aead, public_random};
use crate::limits::{FRAME_MAX, SEAL_MAX};
use crate::refusal::Refusal;
use crate::session::ratchet::step_root;
use crate::signature::{Proof, Statement};

/// The longest payload: what a frame carries, without the longest init, header and proof.
pub const PAYLOAD_MAX: usize = FRAME_MAX - SEAL_MAX;

/// Why nothing was sealed. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Keys must be reserved first.
    #[error("no keys are reserved: call `reserve`, write the record, call `confirm`, and seal again")]
    NotReserved,
    /// A reservation is being written.
    #[error("a reservation is being written: confirm it or give it back first")]
    Reserving,
    /// Nothing is sent on this session any more, or its chain has come to an end.
    #[error("the session is closed: use the peer's other session, or begin one")]
    Closed,
    /// The payload does not fit.
    #[error("a payload of {length} bytes; seal at most {max}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// The peer's key is worthless.
    #[error(transparent)]
    Peer(#[from] Refusal),
}

/// How a message is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// Signs it, with the key that the session's own certificate names.
    pub key: &'a SigningKey,
    /// Signs each message; else new ratchet keys alone.
    pub each: bool,
    /// Hides its length within a bucket.
    pub padded: bool,
}

/// A sealed message: keep the bytes until a receipt comes, and publish these very bytes again when one does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The body of the envelope.
    pub bytes: Bytes,
    /// What a stream de-duplicates it by.
    pub id: [u8; 16],
}

impl Session {
    /// Whether keys must be reserved before the next message: none are left, or our turn is due.
    pub fn needs_reservation(&self, now: UnixMillis) -> bool {
        let ratchet = &self.ratchet;
        let is_due = |sending: &Sending| self.wants_step || now.since(sending.began) >= CHAIN_AGE_MAX;
        let is_used_up = |sending: &Sending| sending.next >= sending.reserved.next;
        let sending = ratchet.sending.as_ref();
        sending.is_none_or(|sending| is_used_up(sending) || (ratchet.may_step && is_due(sending)))
    }

    /// Sets keys aside for the next messages; takes our turn, if it is one. From now on the record has them: write it, then
    /// confirm. Until then nothing is sealed.
    ///
    /// # Errors
    /// When the session is closed, its chain at an end, or the peer's ratchet key worthless.
    pub fn reserve(&mut self, now: UnixMillis, entropy: &mut dyn Entropy) -> Result<(), SealError> {
        match (&self.reserving, self.closed) {
            (Some(_), _) => return Err(SealError::Reserving),
            (None, Some(_)) => return Err(SealError::Closed),
            (None, None) => {}
        }
        let reservation = match (self.ratchet.may_step, self.ratchet.theirs) {
            (true, Some(theirs)) => self.next_chain(&theirs, now, entropy)?,
            (true, None) | (false, _) => self.more_of_this_chain()?,
        };
        self.reserving = Some(reservation);
        Ok(())
    }

    fn next_chain(
        &self,
        theirs: &DhPublic,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Result<Reservation, SealError> {
        let own = DhSecret::random(entropy);
        let (root, key) = step_root(&self.ratchet.root, &own, theirs)?;
        let previous = self.ratchet.sending.as_ref().map_or(0, |sending| sending.next);
        let mut sending = Sending::at(Label::Chain, Mark { next: 0, key }, previous, now);
        let (reserved, ahead) = sending.reserved.ahead(Label::Chain).ok_or(SealError::Closed)?;
        sending.extend(reserved, ahead);
        Ok(Reservation::Turn { sending, root, own })
    }

    fn more_of_this_chain(&self) -> Result<Reservation, SealError> {
        let sending = self.ratchet.sending.as_ref().ok_or(SealError::Closed)?;
        if sending.has_plenty() {
            let Sending { reserved, .. } = sending.at_rest();
            return Ok(Reservation::More { reserved, ahead: Vec::new() });
        }
        let (reserved, ahead) = sending.reserved.ahead(Label::Chain).ok_or(SealError::Closed)?;
        Ok(Reservation::More { reserved, ahead })
    }

    /// The record is written: the keys that were reserved may be used.
    pub fn confirm(&mut self) {
        match (self.reserving.take(), &mut self.ratchet.sending) {
            (Some(Reservation::More { reserved, ahead }), Some(sending)) => sending.extend(reserved, ahead),
            (Some(Reservation::Turn { sending, root, own }), _) => {
                (self.ratchet.root, self.ratchet.own) = (root, own);
                self.ratchet.may_step = false;
                self.wants_step = false;
                self.asks_for_step |= std::mem::take(&mut self.refreshes);
                self.ratchet.sending = Some(sending);
            }
            (None, _) | (Some(Reservation::More { .. }), None) => {}
        }
    }

    /// The record could not be written: what was reserved is never used.
    pub fn give_back(&mut self) {
        self.reserving = None;
    }

    /// Seals a payload.
    ///
    /// # Errors
    /// When no keys are reserved, the session is closed, or the payload is too long.
    pub fn seal(
        &mut self,
        context: &Context,
        payload: Bytes,
        sealing: Sealing<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<Sealed, SealError> {
        let kind = if sealing.each { Flags::SIGNED } else { 0 };
        let draft = self.draft_with(kind, context, payload, sealing.padded, entropy)?;
        let proof = match draft.header.flags.proof() {
            Flags::SIGNED => Some(Proof::message(sealing.key, &draft.statement())),
            Flags::STEP => Some(Proof::step(sealing.key, &self.id, &draft.raw)),
            _ => None,
        };
        Ok(draft.finish(proof.as_ref()))
    }

    /// Gives a message its key and its place, for a [`Batch`](crate::signature::Batch) that signs many at once.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn draft(
        &mut self,
        context: &Context,
        payload: Bytes,
        padded: bool,
        entropy: &mut dyn Entropy,
    ) -> Result<Draft, SealError> {
        self.draft_with(Flags::BATCH, context, payload, padded, entropy)
    }

    fn draft_with(
        &mut self,
        kind: u8,
        context: &Context,
        payload: Bytes,
        padded: bool,
        entropy: &mut dyn Entropy,
    ) -> Result<Draft, SealError> {
        self.check_can_seal(&payload)?;
        let sending = self.ratchet.sending.as_mut().ok_or(SealError::NotReserved)?;
        let (number, key) = sending.take().ok_or(SealError::NotReserved)?;
        let previous = sending.previous;
        // Without signatures of messages the first of each chain proves whose the new ratchet key is.
        let kind = if kind == 0 && number == 0 { Flags::STEP } else { kind };
        let init = match &self.opening {
            Opening::Unanswered(init) => Some(init.clone()),
            Opening::Answered | Opening::Accepted { .. } => None,
        };
        let extra = [
            (init.is_some(), Flags::INIT),
            (padded, Flags::PADDED),
            (std::mem::take(&mut self.asks_for_step), Flags::PLEASE_STEP),
        ];
        let extra = extra.into_iter().filter(|(wanted, _)| *wanted).fold(0, |flags, (_, flag)| flags | flag);
        let header = Header {
            flags: Flags(kind | extra),
            suite: self.suite.code() as u8,
            tag: self.id.tag(),
            ratchet: self.ratchet.own.public(),
            previous,
            number,
            nonce: public_random(entropy),
        };
        let raw = header.encode(&self.header_key);
        let certificates = [self.own_certificate, *self.peer.hash()];
        Ok(Draft {
            session: self.id,
            header,
            raw,
            init,
            key,
            context: *context.digest(),
            payload,
            certificates,
        })
    }

    fn check_can_seal(&self, payload: &[u8]) -> Result<(), SealError> {
        if self.reserving.is_some() {
            Err(SealError::Reserving)
        } else if self.closed.is_some() {
            Err(SealError::Closed)
        } else if payload.len() > PAYLOAD_MAX {
            Err(SealError::TooLong { length: payload.len(), max: PAYLOAD_MAX })
        } else {
            Ok(())
        }
    }
}

/// A message that has its key and its place, and waits for its proof. One that is dropped is a gap.
#[must_use = "a message that is not finished is a gap in its chain"]
pub struct Draft {
    session: SessionId,
    header: Header,
    raw: [u8; LENGTH],
    init: Option<Bytes>,
    key: Secret<32>,
    context: Digest,
    payload: Bytes,
    certificates: [Digest; 2],
}

impl Draft {
    /// What a signature of this message is about.
    pub(crate) fn statement(&self) -> Digest {
        let [sender, receiver] = &self.certificates;
        let Self { session, raw, context, payload, .. } = self;
        Statement { sender, receiver, session, header: raw, context, payload }.digest()
    }

    /// Seals it.
    pub(crate) fn finish(self, proof: Option<&Proof>) -> Sealed {
        let proof = proof.map(Proof::encode).unwrap_or_default();
        let init = self.init.as_ref().map_or(0, |init| init.len() + 2);
        let length = self.raw.len() + init + proof.len() + self.payload.len() + aead::TAG;
        let room = if self.header.flags.has(Flags::PADDED) { 1024 } else { 0 };
        let mut bytes = Vec::with_capacity(length + room);
        bytes.extend_from_slice(&self.raw);
        if let Some(init) = &self.init {
            bytes.extend_from_slice(&(init.len() as u16).to_be_bytes());
            bytes.extend_from_slice(init);
        }
        let start = bytes.len();
        bytes.extend_from_slice(&proof);
        bytes.extend_from_slice(&self.payload);
        if self.header.flags.has(Flags::PADDED) {
            super::pad(&mut bytes, self.payload.len());
        }
        let associated = associated(&self.session, &self.raw, &self.context);
        aead::seal(self.key.expose(), &self.header.nonce, &associated, &mut bytes, start);
        let id = packet_id(&self.raw, bytes.last_chunk().expect("a tag stands at the end"));
        Sealed { bytes: bytes.into(), id }
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft({:?}, message {}, ..)", self.session, self.header.number)
    }
}

/// What the seal of a message is bound to.
pub(super) fn associated(session: &SessionId, header: &[u8; LENGTH], context: &Digest) -> [u8; ASSOCIATED] {
    let mut bytes = [0; ASSOCIATED];
    let (label, rest) = bytes.split_at_mut(Label::Associated.bytes().len());
    label.copy_from_slice(Label::Associated.bytes());
    rest[..32].copy_from_slice(&session.0);
    rest[32..32 + LENGTH].copy_from_slice(header);
    rest[32 + LENGTH..].copy_from_slice(context);
    bytes
}

const ASSOCIATED: usize = Label::Associated.bytes().len() + 32 + LENGTH + 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::identity::sample::{NOW, counting, instance};
    use crate::identity::{Prekeys, Suite};
    use crate::session::{Policy, Receiver, Sessions, Signatures, initiate};
    use crate::signature::Batch;

    /// A sender that is not honest, and leaves its new ratchet key unsigned, or names another session or suite, is refused.
    #[test]
    fn what_no_honest_sender_makes_is_refused() {
        let entropy = &mut counting();
        let policy = Policy { signatures: Signatures::Checkpoint, ..Policy::default() };
        let (ada, bob, mut prekeys) = (instance(entropy), instance(entropy), Prekeys::new());
        let suites = [Suite::Classic, Suite::Hybrid];
        let bundle = prekeys.rotate(bob.certificate(), bob.keys(), &suites, policy.retention, NOW, entropy);
        let context = Context::from_bytes(Bytes::new());
        let directory = BTreeMap::new();
        let receiver = Receiver { instance: &bob, prekeys: &prekeys, directory: &directory, policy: &policy };
        let mut seal = |edit: fn(&mut Header)| {
            let mut session = initiate(&ada, &bundle, None, &policy, NOW, entropy).unwrap();
            session.reserve(NOW, entropy).unwrap();
            session.confirm();
            let mut draft = session.draft_with(Flags::STEP, &context, Bytes::new(), false, entropy).unwrap();
            edit(&mut draft.header);
            draft.raw = draft.header.encode(&session.header_key);
            let step = Proof::step(&ada.keys().signing, &session.id, &draft.raw);
            let proof = draft.header.flags.has(Flags::STEP).then_some(step);
            let sealed = draft.finish(proof.as_ref());
            Sessions::new().open(receiver, &sealed.bytes, &context, NOW).err()
        };
        assert_eq!(seal(|_| ()), None);
        assert_eq!(seal(|header| header.flags.0 &= !Flags::STEP), Some(Refusal::Unsigned));
        assert_eq!(seal(|header| header.tag[0] ^= 1), Some(Refusal::BadHeaderMac));
        assert_eq!(seal(|header| header.suite = 1), Some(Refusal::UnsupportedSuite { suite: 1 }));
        assert_eq!(seal(|header| header.suite = 9), Some(Refusal::UnsupportedSuite { suite: 9 }));
    }

    /// A batch that was verified before proves none but its own messages.
    #[test]
    fn a_known_batch_proves_no_other_message() {
        let entropy = &mut counting();
        let policy = Policy::default();
        let (ada, bob, mut prekeys) = (instance(entropy), instance(entropy), Prekeys::new());
        let bundle =
            prekeys.rotate(bob.certificate(), bob.keys(), &[Suite::Classic], policy.retention, NOW, entropy);
        let mut session = initiate(&ada, &bundle, None, &policy, NOW, entropy).unwrap();
        session.reserve(NOW, entropy).unwrap();
        session.confirm();
        let context = Context::from_bytes(Bytes::new());
        let mut draft =
            |text| session.draft(&context, Bytes::from_static(text), false, &mut counting()).unwrap();
        let mut batch = Batch::default();
        [draft(b"one"), draft(b"two")].into_iter().for_each(|draft| batch.add(draft).unwrap());
        let sealed = batch.sign(&ada.keys().signing);
        let (mut sessions, directory) = (Sessions::new(), BTreeMap::new());
        let mut proofs = Vec::new();
        for sealed in &sealed {
            let receiver =
                Receiver { instance: &bob, prekeys: &prekeys, directory: &directory, policy: &policy };
            let opened = sessions.open(receiver, &sealed.bytes, &context, NOW).unwrap();
            proofs.push(opened.evidence.unwrap().proof);
            sessions.commit(opened.pending, &mut prekeys, &policy, NOW).unwrap();
        }
        let receiver = Receiver { instance: &bob, prekeys: &prekeys, directory: &directory, policy: &policy };
        for proof in &proofs {
            let forged = draft(b"forged").finish(Some(proof));
            let refusal = sessions.open(receiver, &forged.bytes, &context, NOW).unwrap_err();
            assert_eq!(refusal, Refusal::BadSignature { label: Label::Batch });
        }
    }
}
