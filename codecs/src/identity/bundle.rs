//! What others need to begin a session with an instance that sleeps.
//!
//! ```text
//! bundle:   [ body: bin, instance's signature: bin 64 ]                         over  bundle ‖ body
//! body:     [ 1, certificate: bin, [ suite ... ], signed prekey: bin 32, ML-KEM-768 prekey: bin 1184 or nil,
//!             epoch, created: ms, not after: ms ]
//! one-time: [ body: bin, instance's signature: bin 64 ]                         over  one-time ‖ body
//! body:     [ 1, instance: bin 16, id, prekey: bin 32 ]
//! ```
//!
//! The hybrid suite is listed if and only if there is an ML-KEM-768 prekey.

use bytes::Bytes;

use super::certificate::{Certificate, InstanceId, InstanceKeys};
use super::log::IdentityLog;
use super::suite::{Suite, Suites};
use super::{BUNDLE_LIFE_MAX, check_version, has_begun};
use crate::id::UnixMillis;
use crate::key::derive::hash;
use crate::key::{DhPublic, Digest, KemPublic, Label, Signature};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest bundle: the longest certificate and an ML-KEM-768 key.
pub const BUNDLE_MAX: usize = 6 * 1024;

const WHAT: &str = "bundle";

/// An instance's prekeys with its certificate. One that is here was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    bytes: Bytes,
    hash: Digest,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) certificate: Certificate,
    pub(super) suites: Suites,
    pub(super) signed: DhPublic,
    pub(super) kem: Option<KemPublic>,
    pub(super) epoch: u64,
    pub(super) created: UnixMillis,
    pub(super) not_after: UnixMillis,
}

impl Bundle {
    /// Reads a bundle that anyone may have written. `log` is the agent's, where it has one. Whether it is older than
    /// one that was seen before is for [`Pins`](super::Pins).
    ///
    /// # Errors
    /// Says which signature, date or rule does not hold.
    pub fn verify(bytes: Bytes, log: Option<&IdentityLog>, now: UnixMillis) -> Result<Self, Refusal> {
        let (body, signature) = read_signed(WHAT, &bytes, BUNDLE_MAX)?;
        let content = Content::read(body, log, now)?;
        content.certificate.signing().verify(Label::Bundle, &[body], &signature)?;
        content.check(now)?;
        Ok(Self { hash: hash(&[&bytes]), bytes, content })
    }

    /// Refuses one that held when it was verified, and no longer does.
    pub(crate) fn check_dates(&self, now: UnixMillis) -> Result<(), Refusal> {
        if self.content.not_after <= now { Err(Refusal::BundleExpired) } else { Ok(()) }?;
        self.content.certificate.check_dates(now)
    }

    pub(super) fn issue(content: Content, keys: &InstanceKeys) -> Self {
        let bytes = write_signed(Label::Bundle, &content.encode(), keys);
        Self { hash: hash(&[&bytes]), bytes, content }
    }

    /// The instance's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.content.certificate
    }

    /// The suites that the instance speaks.
    pub fn suites(&self) -> &Suites {
        &self.content.suites
    }

    /// Its X25519 prekey.
    pub fn signed(&self) -> &DhPublic {
        &self.content.signed
    }

    /// Its ML-KEM-768 prekey.
    pub fn kem(&self) -> Option<&KemPublic> {
        self.content.kem.as_ref()
    }

    /// Which bundle of the instance it is.
    pub fn epoch(&self) -> u64 {
        self.content.epoch
    }

    /// The first moment when it no longer holds.
    pub fn not_after(&self) -> UnixMillis {
        self.content.not_after
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes: names this very bundle.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }
}

impl Content {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(2048);
        out.array(8);
        out.uint(1);
        out.bytes(self.certificate.bytes());
        self.suites.write(&mut out);
        out.bytes(&self.signed.0);
        match &self.kem {
            Some(kem) => out.bytes(kem.as_bytes()),
            None => out.nil(),
        }
        out.uint(self.epoch);
        out.uint(self.created.0);
        out.uint(self.not_after.0);
        out.finish()
    }

    fn read(body: &[u8], log: Option<&IdentityLog>, now: UnixMillis) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open(WHAT, 8).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let certificate = Bytes::copy_from_slice(reader.bytes("certificate").map_err(&malformed)?);
        let suites = Suites::read(&mut reader).map_err(&malformed)?;
        let signed = DhPublic(reader.exactly("signed prekey").map_err(&malformed)?);
        let kem = read_kem(&mut reader)?;
        let mut number = |field| reader.uint(field).map_err(&malformed);
        let (epoch, created, not_after) = (number("epoch")?, number("created")?, number("not after")?);
        reader.close(later).map_err(malformed)?;
        Ok(Self {
            certificate: Certificate::verify(certificate, log, now)?,
            suites,
            signed,
            kem,
            epoch,
            created: UnixMillis(created),
            not_after: UnixMillis(not_after),
        })
    }

    fn check(&self, now: UnixMillis) -> Result<(), Refusal> {
        has_begun("bundle's creation", self.created, now)?;
        if self.not_after <= now || self.not_after > self.created.after(BUNDLE_LIFE_MAX) {
            return Err(Refusal::BundleExpired);
        }
        if self.suites.lists(Suite::Hybrid) != self.kem.is_some() {
            return Err(Refusal::UnsupportedSuite { suite: Suite::Hybrid.code() });
        }
        Ok(())
    }
}

fn read_kem(reader: &mut Reader<'_>) -> Result<Option<KemPublic>, Refusal> {
    let malformed = Refusal::malformed(WHAT);
    if reader.nil("ML-KEM-768 prekey").map_err(&malformed)? {
        return Ok(None);
    }
    KemPublic::read(reader.bytes("ML-KEM-768 prekey").map_err(malformed)?).map(Some)
}

/// A prekey for one session. One that is here was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimePrekey {
    id: u32,
    key: DhPublic,
    bytes: Bytes,
}

impl OneTimePrekey {
    /// Reads a prekey that anyone may have written, for the instance of this certificate.
    ///
    /// # Errors
    /// When it is another instance's, or its signature does not hold.
    pub fn verify(bytes: Bytes, certificate: &Certificate) -> Result<Self, Refusal> {
        let (body, signature) = read_signed("one-time prekey", &bytes, 256)?;
        certificate.signing().verify(Label::OneTime, &[body], &signature)?;
        let malformed = Refusal::malformed("one-time prekey");
        let mut reader = Reader::new(body);
        let later = reader.open("one-time prekey", 4).map_err(&malformed)?;
        check_version("one-time prekey", reader.uint("version").map_err(&malformed)?)?;
        let instance = InstanceId(reader.exactly("instance").map_err(&malformed)?);
        let id = read_id(&mut reader).map_err(&malformed)?;
        let key = DhPublic(reader.exactly("prekey").map_err(&malformed)?);
        reader.close(later).map_err(malformed)?;
        if instance != certificate.claims().instance {
            return Err(Refusal::IdentityMismatch { what: "one-time prekey" });
        }
        Ok(Self { id, key, bytes })
    }

    pub(super) fn issue(id: u32, key: DhPublic, instance: InstanceId, keys: &InstanceKeys) -> Self {
        let mut out = Writer::with_capacity(64);
        out.array(4);
        out.uint(1);
        out.bytes(&instance.0);
        out.uint(id.into());
        out.bytes(&key.0);
        Self { id, key, bytes: write_signed(Label::OneTime, &out.finish(), keys) }
    }

    /// Which one it is: part of the name under which it is stored and claimed.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The key.
    pub fn key(&self) -> &DhPublic {
        &self.key
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let id = reader.uint("id")?;
    u32::try_from(id).map_err(|_| DecodeError::field("id", format!("{id}; send at most {}", u32::MAX)))
}

pub(super) fn write_signed(label: Label, body: &[u8], keys: &InstanceKeys) -> Bytes {
    let mut out = Writer::with_capacity(body.len() + 80);
    out.array(2);
    out.bytes(body);
    out.bytes(&keys.signing.sign(label, &[body]));
    out.finish().into()
}

/// The body and the signature of something signed.
pub(crate) fn read_signed<'a>(
    what: &'static str,
    bytes: &'a [u8],
    max: usize,
) -> Result<(&'a [u8], Signature), Refusal> {
    let read = || {
        if bytes.len() > max {
            return Err(DecodeError::TooLong { what, length: bytes.len(), max });
        }
        let mut reader = Reader::new(bytes);
        let later = reader.open(what, 2)?;
        let signed = (reader.bytes("body")?, reader.exactly("signature")?);
        reader.close(later)?;
        Ok(signed)
    };
    read().map_err(Refusal::malformed(what))
}
