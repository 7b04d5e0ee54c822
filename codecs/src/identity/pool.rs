//! The prekey that all instances of a name share, so that any of them, and nobody else, can open what is sent to the
//! name.
//!
//! ```text
//! prekey: [ body: bin, agent's signature: bin 64 ]                              over  pool ‖ body
//! body:   [ 1, agent: bin 32, name: str, id, prekey: bin 32, ML-KEM-768 prekey: bin 1184 or nil,
//!           not before: ms, not after: ms ]
//! ```
//!
//! The id rises with each rotation. The private half travels between the instances in sessions, as what
//! [`PoolKeys::share`] gives; how messages are sealed to it is in [`seal`](crate::seal).

use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::bundle::{read_id, read_signed};
use super::log::IdentityLog;
use super::prekeys::{GRACE, read_secret};
use super::suite::Suite;
use super::{check_version, has_begun};
use crate::address::AgentName;
use crate::id::{AgentId, UnixMillis};
use crate::key::derive::hash;
use crate::key::{DhPublic, DhSecret, Digest, Entropy, KemPublic, KemSecret, Label, SigningKey};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest pool prekey: the longest name and an ML-KEM-768 key.
const PREKEY_MAX: usize = 2 * 1024;

/// The most private halves that are kept: messages that live a month, and a rotation each day. The oldest goes first.
const KEYS_MAX: usize = 32;

const WHAT: &str = "pool prekey";

/// The public half. One that is here was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPrekey {
    bytes: Bytes,
    hash: Digest,
    agent: AgentId,
    name: AgentName,
    id: u32,
    dh: DhPublic,
    kem: Option<KemPublic>,
    not_before: UnixMillis,
    not_after: UnixMillis,
}

impl PoolPrekey {
    /// Reads a prekey that anyone may have written. `log` is the agent's, where it has one.
    ///
    /// # Errors
    /// Says which signature, date or rule does not hold.
    pub fn verify(bytes: Bytes, log: Option<&IdentityLog>, now: UnixMillis) -> Result<Self, Refusal> {
        let prekey = Self::read(&bytes)?;
        prekey.check_signature(log)?;
        has_begun("pool prekey's beginning", prekey.not_before, now)?;
        if prekey.not_after <= now { Err(Refusal::BundleExpired) } else { Ok(prekey) }
    }

    fn check_signature(&self, log: Option<&IdentityLog>) -> Result<(), Refusal> {
        let (body, signature) = read_signed(WHAT, &self.bytes, PREKEY_MAX)?;
        IdentityLog::agent_key(log, self.agent)?.verify(Label::Pool, &[body], &signature)
    }

    fn read(bytes: &Bytes) -> Result<Self, Refusal> {
        let (body, _) = read_signed(WHAT, bytes, PREKEY_MAX)?;
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open(WHAT, 8).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let agent = AgentId(reader.exactly("agent").map_err(&malformed)?);
        let name = reader.text("name").map_err(&malformed)?.parse();
        let name =
            name.map_err(|e: crate::ParseError| malformed(DecodeError::field("name", e.to_string())))?;
        let id = read_id(&mut reader).map_err(&malformed)?;
        let dh = DhPublic(reader.exactly("prekey").map_err(&malformed)?);
        let kem = match reader.nil("ML-KEM-768 prekey").map_err(&malformed)? {
            true => None,
            false => Some(KemPublic::read(reader.bytes("ML-KEM-768 prekey").map_err(&malformed)?)?),
        };
        let not_before = UnixMillis(reader.uint("not before").map_err(&malformed)?);
        let not_after = UnixMillis(reader.uint("not after").map_err(&malformed)?);
        reader.close(later).map_err(malformed)?;
        Ok(Self {
            bytes: bytes.clone(),
            hash: hash(&[bytes]),
            agent,
            name,
            id,
            dh,
            kem,
            not_before,
            not_after,
        })
    }

    /// Whose pool it is.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The name that messages go to.
    pub fn name(&self) -> &AgentName {
        &self.name
    }

    /// Which of the pool's prekeys it is.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The suite of what is sealed to it: a policy may ask for a better one.
    pub fn suite(&self) -> Suite {
        if self.kem.is_some() { Suite::Hybrid } else { Suite::Classic }
    }

    /// The first moment when it no longer holds.
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }

    /// The bytes that were verified.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }

    pub(crate) fn dh(&self) -> &DhPublic {
        &self.dh
    }

    pub(crate) fn kem(&self) -> Option<&KemPublic> {
        self.kem.as_ref()
    }
}

/// One private half.
pub(crate) struct PoolSecret {
    pub(crate) prekey: PoolPrekey,
    pub(crate) dh: DhSecret,
    pub(crate) kem: Option<KemSecret>,
}

/// The private halves that an instance of a pool has.
#[derive(Default)]
pub struct PoolKeys(Vec<PoolSecret>);

impl PoolKeys {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the pool's next prekey, which holds for `life`. One instance does this, and shares it with the others.
    pub fn rotate(
        &mut self,
        agent: &SigningKey,
        name: &AgentName,
        hybrid: bool,
        life: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> PoolPrekey {
        let dh = DhSecret::random(entropy);
        let kem = hybrid.then(|| KemSecret::random(entropy));
        let id = self.0.last().map_or(0, |last| last.prekey.id.saturating_add(1));
        let mut prekey = PoolPrekey {
            bytes: Bytes::new(),
            hash: [0; 32],
            agent: AgentId(*agent.verifying_key().as_bytes()),
            name: name.clone(),
            id,
            dh: dh.public(),
            kem: kem.as_ref().map(KemSecret::public),
            not_before: now,
            not_after: now.after(life),
        };
        prekey.sign(agent);
        self.keep(PoolSecret { prekey: prekey.clone(), dh, kem });
        prekey
    }

    /// The newest prekey: what is sealed from now on is sealed to it.
    pub fn newest(&self) -> Option<&PoolPrekey> {
        self.0.last().map(|secret| &secret.prekey)
    }

    /// The newest private half, for the other instances of the pool: it goes to them in a session.
    pub fn share(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.last().map(PoolSecret::encode)
    }

    /// Takes what another instance of the pool shared. `agent` is the pool's.
    ///
    /// # Errors
    /// When it is another pool's, or its public half is not signed by the agent.
    pub fn adopt(&mut self, shared: &[u8], agent: AgentId, log: Option<&IdentityLog>) -> Result<(), Refusal> {
        let secret = PoolSecret::decode(shared)?;
        secret.prekey.check_signature(log)?;
        let is_whole = secret.dh.public() == secret.prekey.dh
            && secret.kem.as_ref().map(KemSecret::public) == secret.prekey.kem;
        if secret.prekey.agent != agent || !is_whole {
            return Err(Refusal::IdentityMismatch { what: "pool prekey" });
        }
        if self.get(secret.prekey.id).is_err() {
            self.keep(secret);
        }
        Ok(())
    }

    /// Erases what no message can need any more. `retention` is the age that a message can reach.
    pub fn expire(&mut self, retention: Duration, now: UnixMillis) {
        self.0.retain(|secret| secret.prekey.not_after.after(retention).after(GRACE) > now);
    }

    pub(crate) fn get(&self, id: u32) -> Result<&PoolSecret, Refusal> {
        self.0.iter().find(|secret| secret.prekey.id == id).ok_or(Refusal::PrekeyUnknown)
    }

    fn keep(&mut self, secret: PoolSecret) {
        if self.0.len() >= KEYS_MAX {
            self.0.remove(0);
        }
        let place = self.0.partition_point(|kept| kept.prekey.id < secret.prekey.id);
        self.0.insert(place, secret);
    }

    /// The bytes to keep: an array of what [`share`](Self::share) gives. They hold every secret: seal them.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(16 + self.0.len() * (PREKEY_MAX + 256));
        out.array(self.0.len());
        self.0.iter().for_each(|secret| out.bytes(&secret.encode()));
        Zeroizing::new(out.finish())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("pool keys");
        let mut reader = Reader::new(bytes);
        let count = reader.items("pool keys", KEYS_MAX).map_err(&malformed)?;
        let secret = |_| PoolSecret::decode(reader.bytes("pool key").map_err(&malformed)?);
        let keys = (0..count).map(secret).collect::<Result<_, _>>()?;
        reader.end().map_err(&malformed)?;
        Ok(Self(keys))
    }
}

impl PoolPrekey {
    fn sign(&mut self, agent: &SigningKey) {
        let mut body = Writer::with_capacity(PREKEY_MAX);
        body.array(8);
        body.uint(1);
        body.bytes(self.agent.as_bytes());
        body.text(self.name.as_str());
        body.uint(self.id.into());
        body.bytes(&self.dh.0);
        match &self.kem {
            Some(kem) => body.bytes(kem.as_bytes()),
            None => body.nil(),
        }
        body.uint(self.not_before.0);
        body.uint(self.not_after.0);
        let body = body.finish();
        let mut out = Writer::with_capacity(body.len() + 80);
        out.array(2);
        out.bytes(&body);
        out.bytes(&agent.sign(Label::Pool, &[&body]));
        self.bytes = out.finish().into();
        self.hash = hash(&[&self.bytes]);
    }
}

impl PoolSecret {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(self.prekey.bytes.len() + 128);
        out.array(3);
        out.bytes(&self.prekey.bytes);
        out.bytes(self.dh.expose());
        match &self.kem {
            Some(kem) => out.bytes(kem.seed().expose()),
            None => out.nil(),
        }
        Zeroizing::new(out.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("pool key");
        let mut reader = Reader::new(bytes);
        reader.list("pool key", 3).map_err(&malformed)?;
        let prekey = Bytes::copy_from_slice(reader.bytes("prekey").map_err(&malformed)?);
        let dh = DhSecret::from_secret(&read_secret(&mut reader).map_err(&malformed)?);
        let kem = match reader.nil("seed").map_err(&malformed)? {
            true => None,
            false => Some(KemSecret::from_seed(read_secret(&mut reader).map_err(&malformed)?)),
        };
        reader.end().map_err(malformed)?;
        Ok(Self { prekey: PoolPrekey::read(&prekey)?, dh, kem })
    }
}

impl std::fmt::Debug for PoolKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PoolKeys({} keys, ..)", self.0.len())
    }
}
