//! The initiator's first message, which goes with every sealed message until the peer has answered.
//!
//! ```text
//! init: [ body: bin, initiator's signature: bin 64 ]                            over  init ‖ T
//! body: [ 1, suite, certificate: bin, EK: bin 32, bundle's hash: bin 32, one-time id or nil,
//!         ct: bin 1088 or nil, [ suite ... ], created: ms ]
//! ```
//!
//! T, the transcript, is in [`handshake`](super::initiate). Its hash, SHA-256 of the whole, is its name.

use bytes::Bytes;

use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, Suite, Suites, check_version, read_id, read_signed};
use crate::key::derive::hash;
use crate::key::{DhPublic, Digest, Encapsulated, Label, Signature, SigningKey};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest init: the longest certificate and an ML-KEM-768 ciphertext.
pub(crate) const INIT_MAX: usize = 6 * 1024;

const WHAT: &str = "first message";

pub(super) struct Init {
    pub(super) suite: Suite,
    pub(super) certificate: Bytes,
    pub(super) ephemeral: DhPublic,
    pub(super) bundle: Digest,
    pub(super) one_time: Option<u32>,
    pub(super) encapsulated: Option<Encapsulated>,
    pub(super) suites: Suites,
    pub(super) created: UnixMillis,
}

impl Init {
    /// What names an init.
    pub(super) fn name(bytes: &[u8]) -> Digest {
        hash(&[bytes])
    }

    pub(super) fn sign(&self, transcript: &Digest, key: &SigningKey) -> Bytes {
        let body = self.encode();
        let mut out = Writer::with_capacity(body.len() + 80);
        out.array(2);
        out.bytes(&body);
        out.bytes(&key.sign(Label::Init, &[transcript]));
        out.finish().into()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(2048);
        out.array(9);
        out.uint(1);
        out.uint(self.suite.code().into());
        out.bytes(&self.certificate);
        out.bytes(&self.ephemeral.0);
        out.bytes(&self.bundle);
        match self.one_time {
            Some(id) => out.uint(id.into()),
            None => out.nil(),
        }
        match &self.encapsulated {
            Some(ciphertext) => out.bytes(ciphertext.as_bytes()),
            None => out.nil(),
        }
        self.suites.write(&mut out);
        out.uint(self.created.0);
        out.finish()
    }

    /// The init and its signature, which stands over what is only known later.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Signature), Refusal> {
        let (body, signature) = read_signed(WHAT, bytes, INIT_MAX)?;
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        // Exactly these fields: one that the transcript does not hold could be added by anybody.
        let later = reader.open(WHAT, 9).map_err(&malformed)?;
        if later > 0 {
            return Err(malformed(DecodeError::field(WHAT, format!("{later} fields too many; send 9"))));
        }
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let suite = reader.uint("suite").map_err(&malformed)?;
        let suite = Suite::from_code(u16::try_from(suite).unwrap_or(u16::MAX))?;
        let init = Self::read_fields(suite, &mut reader).map_err(&malformed)?;
        reader.end().map_err(malformed)?;
        Ok((init, signature))
    }

    fn read_fields(suite: Suite, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            suite,
            certificate: Bytes::copy_from_slice(reader.bytes("certificate")?),
            ephemeral: DhPublic(reader.exactly("EK")?),
            bundle: reader.exactly("bundle's hash")?,
            one_time: if reader.nil("one-time id")? { None } else { Some(read_id(reader)?) },
            encapsulated: if reader.nil("ct")? { None } else { Some(read_encapsulated(reader)?) },
            suites: Suites::read(reader)?,
            created: UnixMillis(reader.uint("created")?),
        })
    }

    /// Verifies the initiator's certificate by its agent's log.
    pub(super) fn verify_certificate(
        &self,
        directory: &dyn Directory,
        now: UnixMillis,
    ) -> Result<Certificate, Refusal> {
        let agent: AgentId = Certificate::agent_of(&self.certificate)?;
        Certificate::verify(self.certificate.clone(), directory.log(agent), now)
    }
}

fn read_encapsulated(reader: &mut Reader<'_>) -> Result<Encapsulated, DecodeError> {
    let bytes = reader.bytes("ct")?;
    let wrong = || DecodeError::field("ct", format!("{} bytes; send {}", bytes.len(), Encapsulated::LENGTH));
    Encapsulated::read(bytes).ok_or_else(wrong)
}
