//! An organisation vouches for an agent, or for a node: whoever trusts the one accepts the other.
//!
//! ```text
//! voucher: [ body: bin, organisation's signature: bin 64 ]                          over  vouch ‖ body
//! body:    [ 1, organisation: bin 32, agent: bin 32, not before: ms, not after: ms ]
//! ```
//!
//! An organisation is an Ed25519 key, as an agent is. What it says of whom it vouches for is this and no more: it accepts them.
//! What follows from that is in [`Acceptance`](super::Acceptance).

use std::time::Duration;

use bytes::Bytes;

use super::{check_version, has_begun, read_signed};
use crate::id::{AgentId, UnixMillis};
use crate::key::{Label, SigningKey, VerifyingKey};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest voucher: two keys, two dates and a signature, with room for what a later version appends.
pub const VOUCHER_MAX: usize = 512;

const WHAT: &str = "voucher";

/// An organisation's word for an agent. One that is here was verified.
///
/// ```
/// use connectome_codecs::identity::Voucher;
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::{AgentId, UnixMillis};
/// use std::time::Duration;
///
/// let organisation = SigningKey::from_seed(&Secret::read(&[1; 32]).expect("32 bytes"));
/// let (agent, now) = (AgentId([2; 32]), UnixMillis(1_000));
/// let voucher = Voucher::issue(&organisation, agent, now, Duration::from_secs(60));
///
/// let read = Voucher::verify(voucher.bytes().clone())?;
/// assert_eq!(read.agent(), agent);
/// assert!(read.check_dates(now).is_ok() && read.check_dates(UnixMillis(61_000)).is_err());
/// # Ok::<(), connectome_codecs::Refusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    bytes: Bytes,
    organisation: AgentId,
    agent: AgentId,
    not_before: UnixMillis,
    not_after: UnixMillis,
}

impl Voucher {
    /// Vouches for an agent from a moment on, and for so long.
    pub fn issue(organisation: &SigningKey, agent: AgentId, from: UnixMillis, life: Duration) -> Self {
        let (whose, until) = (AgentId(*organisation.verifying_key().as_bytes()), from.after(life));
        let mut body = Writer::with_capacity(128);
        body.array(5);
        body.uint(1);
        body.bytes(whose.as_bytes());
        body.bytes(agent.as_bytes());
        body.uint(from.0);
        body.uint(until.0);
        let body = body.finish();
        let mut out = Writer::with_capacity(body.len() + 80);
        out.array(2);
        out.bytes(&body);
        out.bytes(&organisation.sign(Label::Vouch, &[&body]));
        let bytes = Bytes::from(out.finish());
        Self { bytes, organisation: whose, agent, not_before: from, not_after: until }
    }

    /// Reads a voucher that anyone may have written. Its dates are for [`check_dates`](Self::check_dates), and whether its
    /// organisation counts for [`Acceptance`](super::Acceptance).
    ///
    /// # Errors
    /// Says which part or signature does not hold.
    pub fn verify(bytes: Bytes) -> Result<Self, Refusal> {
        let (body, signature) = read_signed(WHAT, &bytes, VOUCHER_MAX)?;
        let (organisation, agent, not_before, not_after) = read(body)?;
        let key = VerifyingKey::read("organisation's key", organisation.as_bytes())?;
        key.verify(Label::Vouch, &[body], &signature)?;
        Ok(Self { organisation, agent, not_before, not_after, bytes })
    }

    /// Whether it holds at a moment.
    ///
    /// # Errors
    /// [`Refusal::ClockSkew`] before it does, [`Refusal::CertificateExpired`] after.
    pub fn check_dates(&self, now: UnixMillis) -> Result<(), Refusal> {
        has_begun("voucher's beginning", self.not_before, now)?;
        if self.not_after <= now { Err(Refusal::CertificateExpired) } else { Ok(()) }
    }

    /// Who vouches.
    pub fn organisation(&self) -> AgentId {
        self.organisation
    }

    /// For whom.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The first moment when it no longer holds.
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn read(body: &[u8]) -> Result<(AgentId, AgentId, UnixMillis, UnixMillis), Refusal> {
    let malformed = Refusal::malformed(WHAT);
    let mut reader = Reader::new(body);
    let later = reader.open(WHAT, 5).map_err(&malformed)?;
    check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
    let mut fields = || -> Result<_, DecodeError> {
        let (organisation, agent) = (reader.exactly("organisation")?, reader.exactly("agent")?);
        let dates = (UnixMillis(reader.uint("not before")?), UnixMillis(reader.uint("not after")?));
        Ok((AgentId(organisation), AgentId(agent), dates.0, dates.1))
    };
    let read = fields().map_err(&malformed)?;
    reader.close(later).map_err(malformed)?;
    Ok(read)
}
