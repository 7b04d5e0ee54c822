//! An agent stands behind the keys of one of its instances, and whoever holds those keys agrees.
//!
//! # The bytes
//!
//! ```text
//! certificate: [ body: bin, agent's signature: bin 64, instance's proof: bin 64, [ proof of each binding: bin 64 ] ]
//! body:        [ 1, agent: bin 32, name: str, instance: bin 16, signing key: bin 32, DH key: bin 32,
//!                [ [ kind, key: bin 32 ] ... ], not before: ms, not after: ms, [ capability: str ... ], serial ]
//! ```
//!
//! The agent signs `cert ‖ body`. The instance and the holder of each bound key sign `pop ‖ kind ‖ SHA-256(body)`, the
//! instance with kind 0. No key may stand in two places.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::binding::{Binding, BindingKind};
use super::log::IdentityLog;
use super::{Directory, check_version, has_begun};
use crate::address::{AgentName, Capability};
use crate::id::{AgentId, UnixMillis};
use crate::key::derive::hash;
use crate::key::{DhPublic, DhSecret, Digest, Entropy, Label, Secret, Signature, SigningKey, VerifyingKey};
use crate::limits;
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest certificate: the longest name, 32 of the longest capabilities, three bindings with their proofs.
pub const CERTIFICATE_MAX: usize = 4 * 1024;

/// The most bindings: one of each kind.
const BINDINGS_MAX: usize = 3;

/// Names one instance of an agent: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub [u8; 16]);

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceId({self})")
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The keys that an instance makes for itself when it starts.
#[derive(Debug)]
pub struct InstanceKeys {
    /// Signs bundles, first messages and messages.
    pub signing: SigningKey,
    /// Takes part in the key agreement of every session.
    pub dh: DhSecret,
}

impl InstanceKeys {
    /// New ones.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self { signing: SigningKey::from_seed(&Secret::random(entropy)), dh: DhSecret::random(entropy) }
    }

    /// The same keys, for the next certificate of the same instance.
    pub fn again(&self) -> Self {
        Self { signing: SigningKey::from_seed(&self.signing.seed()), dh: self.dh.duplicate() }
    }

    /// The bytes to keep: the signing key's seed, then the DH key. They hold every secret: seal them.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&self.signing.seed().expose()[..], self.dh.expose()].concat())
    }

    /// Reads what [`encode`](Self::encode) wrote; nothing when it has another length.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (seed, dh) = bytes.split_first_chunk::<32>()?;
        let signing = SigningKey::from_seed(&Secret::read(seed)?);
        Some(Self { signing, dh: DhSecret::from_secret(&Secret::read(dh)?) })
    }
}

/// An instance: its keys, and the certificate that goes with them.
#[derive(Debug)]
pub struct Instance {
    keys: InstanceKeys,
    certificate: Certificate,
}

impl Instance {
    /// # Errors
    /// [`Refusal::IdentityMismatch`] when the certificate is for other keys.
    pub fn new(keys: InstanceKeys, certificate: Certificate) -> Result<Self, Refusal> {
        let claims = certificate.claims();
        let fits = keys.signing.verifying_key() == certificate.signing && keys.dh.public() == claims.dh;
        if fits {
            Ok(Self { keys, certificate })
        } else {
            Err(Refusal::IdentityMismatch { what: "certificate" })
        }
    }

    /// Its keys.
    pub fn keys(&self) -> &InstanceKeys {
        &self.keys
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: AgentName,
    /// The instance.
    pub instance: InstanceId,
    /// With what the instance signs.
    pub signing: [u8; 32],
    /// With what it agrees on secrets.
    pub dh: DhPublic,
    /// The keys that it has elsewhere, at most one of a kind, in the order of their kinds.
    pub bindings: Vec<Binding>,
    /// From when it holds.
    pub not_before: UnixMillis,
    /// The first moment when it no longer holds.
    pub not_after: UnixMillis,
    /// What the agent says that it can do.
    pub capabilities: Vec<Capability>,
    /// The number by which the agent takes it back.
    pub serial: u64,
}

impl Claims {
    /// What an agent says of the keys of an instance, from now on and for so long; its serial is the moment.
    pub fn of_keys(
        agent: AgentId,
        name: AgentName,
        instance: InstanceId,
        keys: &InstanceKeys,
        now: UnixMillis,
        life: Duration,
    ) -> Self {
        Self {
            agent,
            name,
            instance,
            signing: *keys.signing.verifying_key().as_bytes(),
            dh: keys.dh.public(),
            bindings: Vec::new(),
            not_before: now,
            not_after: now.after(life),
            capabilities: Vec::new(),
            serial: now.0,
        }
    }

    /// The body of the certificate: what everyone signs.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(256);
        out.array(11);
        out.uint(1);
        out.bytes(self.agent.as_bytes());
        out.text(self.name.as_str());
        out.bytes(&self.instance.0);
        out.bytes(&self.signing);
        out.bytes(&self.dh.0);
        out.array(self.bindings.len());
        for binding in &self.bindings {
            out.array(2);
            out.uint(binding.kind.code().into());
            out.bytes(&binding.key);
        }
        out.uint(self.not_before.0);
        out.uint(self.not_after.0);
        out.array(self.capabilities.len());
        self.capabilities.iter().for_each(|capability| out.text(capability.as_str()));
        out.uint(self.serial);
        out.finish().into()
    }

    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open("certificate", 11).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let claims = Self::read_fields(&mut reader).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        Ok(claims)
    }

    fn read_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |field| move |e: crate::ParseError| DecodeError::field(field, e.to_string());
        Ok(Self {
            agent: AgentId(reader.exactly("agent")?),
            name: reader.text("name")?.parse().map_err(invalid("name"))?,
            instance: InstanceId(reader.exactly("instance")?),
            signing: reader.exactly("signing key")?,
            dh: DhPublic(reader.exactly("DH key")?),
            bindings: read_bindings(reader)?,
            not_before: UnixMillis(reader.uint("not before")?),
            not_after: UnixMillis(reader.uint("not after")?),
            capabilities: (0..reader.items("capabilities", limits::CAPABILITIES_MAX)?)
                .map(|_| reader.text("capability")?.parse().map_err(invalid("capability")))
                .collect::<Result<_, _>>()?,
            serial: reader.uint("serial")?,
        })
    }

    /// A key that stands in two places would make what it signs in one mean something in the other.
    fn check_keys_differ(&self) -> Result<(), Refusal> {
        let mut keys = vec![*self.agent.as_bytes(), self.signing, self.dh.0];
        keys.extend(self.bindings.iter().map(|binding| binding.key));
        keys.sort_unstable();
        let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        if twice {
            Err(Refusal::WeakKey { what: "key that stands in two places of a certificate" })
        } else {
            Ok(())
        }
    }
}

fn read_bindings(reader: &mut Reader<'_>) -> Result<Vec<Binding>, DecodeError> {
    let mut bindings: Vec<Binding> = Vec::new();
    for _ in 0..reader.items("bindings", BINDINGS_MAX)? {
        reader.list("binding", 2)?;
        let kind = BindingKind::from_code(reader.uint("kind")?)
            .filter(|kind| bindings.last().is_none_or(|last| last.kind < *kind))
            .ok_or_else(|| {
                DecodeError::field("kind", "unknown, twice or out of order; send 1 to 3, rising")
            })?;
        bindings.push(Binding { kind, key: reader.exactly("key")? });
    }
    Ok(bindings)
}

const WHAT: &str = "certificate";

/// Claims that the agent, the instance and the holders of all bound keys have signed. One that is here was verified.
///
/// ```
/// use connectome_codecs::identity::{Certificate, Claims, InstanceId, InstanceKeys};
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::{AgentId, UnixMillis};
///
/// let agent = SigningKey::from_seed(&Secret::read(&[1; 32]).expect("32 bytes"));
/// let keys = InstanceKeys::random(&mut |bytes: &mut [u8]| bytes.fill(bytes.len() as u8));
/// # let keys = InstanceKeys { signing: SigningKey::from_seed(&Secret::read(&[2; 32]).expect("32 bytes")), ..keys };
/// let claims = Claims {
///     agent: AgentId(*agent.verifying_key().as_bytes()),
///     name: "greeter".parse()?,
///     instance: InstanceId([3; 16]),
///     signing: *keys.signing.verifying_key().as_bytes(),
///     dh: keys.dh.public(),
///     bindings: vec![],
///     not_before: UnixMillis(1_000),
///     not_after: UnixMillis(9_000),
///     capabilities: vec![],
///     serial: 1,
/// };
/// let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
/// assert_eq!(Certificate::verify(certificate.bytes().clone(), None, UnixMillis(2_000))?, certificate);
/// assert!(Certificate::verify(certificate.bytes().clone(), None, UnixMillis(9_000)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    bytes: Bytes,
    hash: Digest,
    claims: Claims,
    signing: VerifyingKey,
}

impl Certificate {
    /// Signs claims with the agent's and the instance's keys. `proofs` are those of the bindings, in their order: each
    /// is a signature over [`Binding::challenge`] of [`Claims::encode`].
    pub fn issue(claims: &Claims, agent: &SigningKey, keys: &InstanceKeys, proofs: &[Signature]) -> Self {
        let body = claims.encode();
        let mut out = Writer::with_capacity(body.len() + 256);
        out.array(4);
        out.bytes(&body);
        out.bytes(&agent.sign(Label::Certificate, &[&body]));
        out.bytes(&keys.signing.sign(Label::Possession, &[&[0], &hash(&[&body])]));
        out.array(proofs.len());
        proofs.iter().for_each(|proof| out.bytes(proof));
        let bytes = Bytes::from(out.finish());
        Self { hash: hash(&[&bytes]), bytes, claims: claims.clone(), signing: keys.signing.verifying_key() }
    }

    /// Reads a certificate that anyone may have written. `log` is the agent's, where it has one.
    ///
    /// # Errors
    /// Says which signature, date or rule does not hold.
    pub fn verify(bytes: Bytes, log: Option<&IdentityLog>, now: UnixMillis) -> Result<Self, Refusal> {
        let certificate = Self::verify_at_any_time(bytes, log)?;
        certificate.check_dates(now).map(|()| certificate)
    }

    /// Whether it holds at a moment, for one that was verified.
    ///
    /// # Errors
    /// [`Refusal::ClockSkew`] before it does, [`Refusal::CertificateExpired`] after.
    pub fn check_dates(&self, now: UnixMillis) -> Result<(), Refusal> {
        has_begun("certificate's beginning", self.claims.not_before, now)?;
        if self.claims.not_after <= now { Err(Refusal::CertificateExpired) } else { Ok(()) }
    }

    /// The same without its dates: for what was signed while it held.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_at_any_time(bytes: Bytes, log: Option<&IdentityLog>) -> Result<Self, Refusal> {
        let parts = Parts::read(&bytes).map_err(Refusal::malformed(WHAT))?;
        let claims = Claims::read(parts.body)?;
        claims.check_keys_differ()?;
        let signing = VerifyingKey::read("instance's signing key", &claims.signing)?;
        parts.verify(&claims, &signing, log)?;
        Ok(Self { hash: hash(&[&bytes]), claims, signing, bytes })
    }

    /// One that was verified before and kept where nobody else writes.
    pub(crate) fn read_own_copy(bytes: Bytes) -> Result<Self, Refusal> {
        let claims = Claims::read(Parts::read(&bytes).map_err(Refusal::malformed(WHAT))?.body)?;
        let signing = VerifyingKey::read("instance's signing key", &claims.signing)?;
        Ok(Self { hash: hash(&[&bytes]), claims, signing, bytes })
    }

    /// Whose a certificate says that it is, before anything is verified: to find the agent's log.
    ///
    /// # Errors
    /// When the bytes are no certificate.
    pub fn agent_of(bytes: &[u8]) -> Result<AgentId, Refusal> {
        let parts = Parts::read(bytes).map_err(Refusal::malformed(WHAT))?;
        Claims::read(parts.body).map(|claims| claims.agent)
    }

    /// Refuses one that its agent has taken back since it was verified.
    ///
    /// # Errors
    /// [`Refusal::Revoked`].
    pub fn check_not_revoked(&self, directory: &dyn Directory) -> Result<(), Refusal> {
        let log = directory.log(self.claims.agent);
        let is_revoked = log.is_some_and(|log| log.is_revoked(self.claims.serial));
        if is_revoked { Err(Refusal::Revoked) } else { Ok(()) }
    }

    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes: names this very certificate.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }

    /// What checks the instance's signatures.
    pub fn signing(&self) -> &VerifyingKey {
        &self.signing
    }

    /// Whose it is: the agent and the instance.
    pub fn whose(&self) -> (AgentId, InstanceId) {
        (self.claims.agent, self.claims.instance)
    }
}

struct Parts<'a> {
    body: &'a [u8],
    by_agent: Signature,
    by_instance: Signature,
    proofs: Vec<Signature>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CERTIFICATE_MAX {
            return Err(DecodeError::TooLong { what: WHAT, length: bytes.len(), max: CERTIFICATE_MAX });
        }
        let mut reader = Reader::new(bytes);
        let later = reader.open(WHAT, 4)?;
        let parts = Self {
            body: reader.bytes("body")?,
            by_agent: reader.exactly("agent's signature")?,
            by_instance: reader.exactly("instance's proof")?,
            proofs: (0..reader.items("proofs", BINDINGS_MAX)?)
                .map(|_| reader.exactly("proof"))
                .collect::<Result<_, _>>()?,
        };
        reader.close(later)?;
        Ok(parts)
    }

    fn verify(
        &self,
        claims: &Claims,
        signing: &VerifyingKey,
        log: Option<&IdentityLog>,
    ) -> Result<(), Refusal> {
        let agent = IdentityLog::signer(log, claims.agent, claims.serial)?;
        agent.verify(Label::Certificate, &[self.body], &self.by_agent)?;
        let hash = hash(&[self.body]);
        signing.verify(Label::Possession, &[&[0], &hash], &self.by_instance)?;
        if self.proofs.len() != claims.bindings.len() {
            return Err(Refusal::BadSignature { label: Label::Possession });
        }
        claims.bindings.iter().zip(&self.proofs).try_for_each(|(binding, proof)| {
            let key = VerifyingKey::read("bound key", &binding.key)?;
            key.verify(Label::Possession, &[&[binding.kind.code()], &hash], proof)
        })
    }
}
