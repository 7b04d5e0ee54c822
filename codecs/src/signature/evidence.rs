//! A message with all that is needed to prove, to somebody who was not there and is not online, who said it.
//!
//! ```text
//! [ 1, sender's certificate: bin, hash of the receiver's certificate: bin 32, session id: bin 32, header: bin 80,
//!   context: bin, payload: bin, form of the proof: 2 signed, 4 in a batch, proof: bin ]
//! ```

use bytes::Bytes;

use super::proof::{Proof, Statement};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, InstanceId, check_version};
use crate::key::{Digest, VerifyingKey};
use crate::limits::FRAME_MAX;
use crate::refusal::Refusal;
use crate::session::header::{Flags, LENGTH};
use crate::session::{Context, SessionId};
use crate::wire::{DecodeError, Reader, Writer};

const WHAT: &str = "evidence";

/// What evidence proves: that this instance of this agent said this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Who said it.
    pub agent: AgentId,
    /// Which of its instances.
    pub instance: InstanceId,
    /// The number by which the agent takes back the instance's certificate.
    pub serial: u64,
    /// From when to when the agent stood behind the instance. When it said it is not proved: it is what the context
    /// says.
    pub certified: (UnixMillis, UnixMillis),
    /// SHA-256 of the certificate to whose holder it was said.
    pub receiver: Digest,
    /// The header of the envelope, as [`Context`] has it.
    pub context: Bytes,
    /// What was said.
    pub payload: Bytes,
}

/// A signed message, taken out of its seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub(crate) certificate: Bytes,
    pub(crate) receiver: Digest,
    pub(crate) session: SessionId,
    pub(crate) header: [u8; LENGTH],
    pub(crate) context: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) proof: Proof,
}

impl Evidence {
    /// Proves it to somebody who was not there. `directory` holds what is known of agents' keys.
    ///
    /// # Errors
    /// When the certificate, its agent's log or the signature does not hold.
    pub fn verify(&self, directory: &dyn Directory) -> Result<Proved, Refusal> {
        let log = directory.log(Certificate::agent_of(&self.certificate)?);
        let certificate = Certificate::verify_at_any_time(self.certificate.clone(), log)?;
        self.verify_by(certificate.signing())?;
        let claims = certificate.claims();
        Ok(Proved {
            agent: claims.agent,
            instance: claims.instance,
            serial: claims.serial,
            certified: (claims.not_before, claims.not_after),
            receiver: self.receiver,
            context: self.context.clone(),
            payload: self.payload.clone(),
        })
    }

    fn verify_by(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        let context = Context::from_bytes(self.context.clone());
        let statement = Statement {
            sender: &crate::key::derive::hash(&[&self.certificate]),
            receiver: &self.receiver,
            session: &self.session,
            header: &self.header,
            context: context.digest(),
            payload: &self.payload,
        };
        self.proof.verify(key, &statement.digest(), |_| false).map(drop)
    }

    /// The bytes to export.
    pub fn encode(&self) -> Vec<u8> {
        let form = match self.proof {
            Proof::Message(_) => Flags::SIGNED,
            Proof::Batch { .. } => Flags::BATCH,
            Proof::Step(_) => Flags::STEP,
        };
        let mut out = Writer::with_capacity(self.payload.len() + self.context.len() + 1024);
        out.array(9);
        out.uint(1);
        out.bytes(&self.certificate);
        out.bytes(&self.receiver);
        out.bytes(&self.session.0);
        out.bytes(&self.header);
        out.bytes(&self.context);
        out.bytes(&self.payload);
        out.uint(form.into());
        out.bytes(&self.proof.encode());
        out.finish()
    }

    /// Reads evidence that anyone may have written.
    ///
    /// # Errors
    /// When the bytes are something else. What they prove is for [`verify`](Self::verify).
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let max = FRAME_MAX + 8 * 1024;
        if bytes.len() > max {
            return Err(malformed(DecodeError::TooLong { what: WHAT, length: bytes.len(), max }));
        }
        let mut reader = Reader::new(bytes);
        let later = reader.open(WHAT, 9).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let evidence = Self::read(&mut reader)?;
        reader.close(later).map_err(malformed)?;
        Ok(evidence)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut bytes = |field| reader.bytes(field).map_err(&malformed);
        let certificate = Bytes::copy_from_slice(bytes("certificate")?);
        let receiver = reader.exactly("receiver").map_err(&malformed)?;
        let session = SessionId(reader.exactly("session").map_err(&malformed)?);
        let header = reader.exactly("header").map_err(&malformed)?;
        let mut bytes = |field| reader.bytes(field).map(Bytes::copy_from_slice).map_err(&malformed);
        let (context, payload) = (bytes("context")?, bytes("payload")?);
        let form = u8::try_from(reader.uint("form").map_err(&malformed)?).unwrap_or(0);
        let proof = reader.bytes("proof").map_err(&malformed)?;
        let wrong = || malformed(DecodeError::field("proof", "send form 2 or 4, and one whole proof"));
        match Proof::read(form, proof)? {
            (Some(read), length) if length == proof.len() && form != Flags::STEP => {
                Ok(Self { certificate, receiver, session, header, context, payload, proof: read })
            }
            _ => Err(wrong()),
        }
    }
}
