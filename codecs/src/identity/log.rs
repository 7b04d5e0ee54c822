//! The keys of an agent over time, and the certificates that it took back.
//!
//! An agent without a log has one key, its id, for ever. With one, each key names the next, and the last one signs.
//!
//! ```text
//! log:  [ body: bin, signature by the last key: bin 64 ]
//! body: [ 1, agent: bin 32, epoch, [ [ next key: bin 32, signature by the key before: bin 64 ] ... ],
//!         [ revoked serial ... ] ]
//! ```
//!
//! A key signs `rotate ‖ agent ‖ next key`, and the last one `log ‖ body`. Serials rise. The epoch rises with each log;
//! [`Pins`](super::Pins) refuses an older one.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::check_version;
use crate::id::AgentId;
use crate::key::derive::hash;
use crate::key::{Digest, Label, Signature, SigningKey, VerifyingKey};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The most keys that an agent can have had after its first: one a year, and some accidents.
const ROTATIONS_MAX: usize = 32;

/// The most certificates that a log takes back: those that have expired can be left out.
const REVOKED_MAX: usize = 1024;

const WHAT: &str = "identity log";

/// The keys of an agent over time. One that is here was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityLog {
    bytes: Bytes,
    hash: Digest,
    agent: AgentId,
    epoch: u64,
    rotations: Vec<([u8; 32], Signature)>,
    revoked: BTreeSet<u64>,
    last: VerifyingKey,
}

impl IdentityLog {
    /// The log of an agent that still has its first key.
    ///
    /// # Errors
    /// When there are more revoked serials than a log holds.
    pub fn begin(agent: &SigningKey, epoch: u64, revoked: BTreeSet<u64>) -> Result<Self, Refusal> {
        let id = AgentId(*agent.verifying_key().as_bytes());
        Self::write(id, epoch, Vec::new(), revoked, agent)
    }

    /// The next log: with other revoked serials and, where there is one, a next key. `current` is the key that signed
    /// this log.
    ///
    /// # Errors
    /// When there are more revoked serials or keys than a log holds, or `current` is another key.
    pub fn next(
        &self,
        current: &SigningKey,
        next: Option<&SigningKey>,
        revoked: BTreeSet<u64>,
    ) -> Result<Self, Refusal> {
        if current.verifying_key() != self.last {
            return Err(Refusal::IdentityMismatch { what: "key that signs the log" });
        }
        let mut rotations = self.rotations.clone();
        if let Some(next) = next {
            let key = *next.verifying_key().as_bytes();
            rotations.push((key, current.sign(Label::Rotate, &[self.agent.as_bytes(), &key])));
        }
        Self::write(self.agent, self.epoch + 1, rotations, revoked, next.unwrap_or(current))
    }

    /// The log after `before`, or the first one, that takes back the certificates of these serials too. `agent` is the key that
    /// the agent signs with now.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn take_back(
        before: Option<&Self>,
        agent: &SigningKey,
        serials: impl IntoIterator<Item = u64>,
    ) -> Result<Self, Refusal> {
        match before {
            None => Self::begin(agent, 1, serials.into_iter().collect()),
            Some(before) => {
                let revoked = before.revoked.iter().copied().chain(serials).collect();
                before.next(agent, None, revoked)
            }
        }
    }

    /// Reads a log that anyone may have written.
    ///
    /// # Errors
    /// Says which part or signature does not hold.
    pub fn verify(bytes: Bytes) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(&bytes);
        let later = reader.open(WHAT, 2).map_err(&malformed)?;
        let body = reader.bytes("body").map_err(&malformed)?;
        let signature = reader.exactly("signature").map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        let log = Self::read_body(body, &bytes)?;
        log.last.verify(Label::Log, &[body], &signature)?;
        Ok(log)
    }

    /// The key that an agent's certificate of this serial must be signed with.
    pub(super) fn signer(log: Option<&Self>, agent: AgentId, serial: u64) -> Result<VerifyingKey, Refusal> {
        if log.is_some_and(|log| log.revoked.contains(&serial)) {
            return Err(Refusal::Revoked);
        }
        Self::agent_key(log, agent)
    }

    /// The key that an agent signs with now.
    pub(super) fn agent_key(log: Option<&Self>, agent: AgentId) -> Result<VerifyingKey, Refusal> {
        match log {
            None => VerifyingKey::read("agent's key", agent.as_bytes()),
            Some(log) if log.agent != agent => Err(Refusal::IdentityMismatch { what: "identity log" }),
            Some(log) => Ok(log.last),
        }
    }

    /// Whose it is.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Which log of the agent it is.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }

    /// The agent's key after so many rotations: its first one after none.
    pub(super) fn key_after(&self, rotations: u64) -> Option<[u8; 32]> {
        match usize::try_from(rotations).ok()?.checked_sub(1) {
            None => Some(self.agent.0),
            Some(at) => self.rotations.get(at).map(|(key, _)| *key),
        }
    }

    /// How many keys came after the first, and the last one.
    pub(super) fn last_key(&self) -> (u64, [u8; 32]) {
        (self.rotations.len() as u64, *self.last.as_bytes())
    }

    /// The serials of the certificates that the agent took back, rising.
    pub fn revoked(&self) -> impl Iterator<Item = u64> + '_ {
        self.revoked.iter().copied()
    }

    /// Whether the agent took back the certificate of this serial.
    pub fn is_revoked(&self, serial: u64) -> bool {
        self.revoked.contains(&serial)
    }

    fn write(
        agent: AgentId,
        epoch: u64,
        rotations: Vec<([u8; 32], Signature)>,
        revoked: BTreeSet<u64>,
        signer: &SigningKey,
    ) -> Result<Self, Refusal> {
        for (what, length, max) in
            [("rotation", rotations.len(), ROTATIONS_MAX), ("revoked serial", revoked.len(), REVOKED_MAX)]
        {
            if length > max {
                return Err(Refusal::Full { what, max });
            }
        }
        let body = encode_body(agent, epoch, &rotations, &revoked);
        let mut out = Writer::with_capacity(body.len() + 80);
        out.array(2);
        out.bytes(&body);
        out.bytes(&signer.sign(Label::Log, &[&body]));
        let bytes = Bytes::from(out.finish());
        let last = signer.verifying_key();
        Ok(Self { hash: hash(&[&bytes]), bytes, agent, epoch, rotations, revoked, last })
    }

    fn read_body(body: &[u8], bytes: &Bytes) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open(WHAT, 5).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let agent = AgentId(reader.exactly("agent").map_err(&malformed)?);
        let epoch = reader.uint("epoch").map_err(&malformed)?;
        let rotations = read_rotations(&mut reader).map_err(&malformed)?;
        let revoked = read_revoked(&mut reader).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        let last = follow(agent, &rotations)?;
        Ok(Self { hash: hash(&[bytes]), bytes: bytes.clone(), agent, epoch, rotations, revoked, last })
    }
}

/// The last key of a chain in which each key names the next.
fn follow(agent: AgentId, rotations: &[([u8; 32], Signature)]) -> Result<VerifyingKey, Refusal> {
    let first = VerifyingKey::read("agent's key", agent.as_bytes())?;
    rotations.iter().try_fold(first, |key, (next, signature)| {
        key.verify(Label::Rotate, &[agent.as_bytes(), next], signature)?;
        VerifyingKey::read("agent's next key", next)
    })
}

fn encode_body(
    agent: AgentId,
    epoch: u64,
    rotations: &[([u8; 32], Signature)],
    revoked: &BTreeSet<u64>,
) -> Vec<u8> {
    let mut out = Writer::with_capacity(128);
    out.array(5);
    out.uint(1);
    out.bytes(agent.as_bytes());
    out.uint(epoch);
    out.array(rotations.len());
    for (key, signature) in rotations {
        out.array(2);
        out.bytes(key);
        out.bytes(signature);
    }
    out.array(revoked.len());
    revoked.iter().for_each(|serial| out.uint(*serial));
    out.finish()
}

fn read_rotations(reader: &mut Reader<'_>) -> Result<Vec<([u8; 32], Signature)>, DecodeError> {
    let rotation = |reader: &mut Reader<'_>| {
        reader.list("rotation", 2)?;
        Ok((reader.exactly("next key")?, reader.exactly("signature")?))
    };
    (0..reader.items("rotations", ROTATIONS_MAX)?).map(|_| rotation(reader)).collect()
}

fn read_revoked(reader: &mut Reader<'_>) -> Result<BTreeSet<u64>, DecodeError> {
    let mut revoked = BTreeSet::new();
    for _ in 0..reader.items("revoked", REVOKED_MAX)? {
        let serial = reader.uint("serial")?;
        if revoked.last().is_some_and(|last| *last >= serial) {
            return Err(DecodeError::field("revoked", "serials that do not rise; send each once, rising"));
        }
        revoked.insert(serial);
    }
    Ok(revoked)
}
