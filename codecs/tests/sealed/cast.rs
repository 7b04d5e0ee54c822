//! Who takes part: agents with their instances, what they keep, and randomness that a seed fixes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::{
    Bundle, Certificate, Claims, IdentityLog, Instance, InstanceId, InstanceKeys, OneTimePrekey, Prekeys,
    Suite, Suites,
};
use connectome_codecs::key::{Entropy, Label, Secret, SigningKey};
use connectome_codecs::session::{
    AlreadyHandled, Context, Opened, Policy, Receiver, SealError, Sealed, Sealing, Session, Sessions,
    initiate,
};
use connectome_codecs::{AgentId, Refusal, UnixMillis};

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) type Peer = (AgentId, InstanceId);

/// Bytes that look random and are a function of the seed (splitmix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) fn context(text: &str) -> Context {
    Context::from_bytes(Bytes::copy_from_slice(text.as_bytes()))
}

pub(crate) fn agent_key(seed: u64) -> SigningKey {
    SigningKey::from_seed(&Secret::random(&mut Seeded(seed ^ 0xa9e7)))
}

pub(crate) fn agent_id(key: &SigningKey) -> AgentId {
    AgentId(*key.verifying_key().as_bytes())
}

pub(crate) fn claims(agent: &SigningKey, keys: &InstanceKeys, name: &str, instance: u8) -> Claims {
    Claims {
        agent: agent_id(agent),
        name: name.parse().unwrap(),
        instance: InstanceId([instance; 16]),
        signing: *keys.signing.verifying_key().as_bytes(),
        dh: keys.dh.public(),
        bindings: vec![],
        not_before: NOW,
        not_after: NOW.after(DAY * 90),
        capabilities: vec![],
        serial: instance.into(),
    }
}

/// An instance with all it keeps.
pub(crate) struct Actor {
    pub(crate) agent: SigningKey,
    pub(crate) instance: Instance,
    pub(crate) prekeys: Prekeys,
    pub(crate) bundle: Bundle,
    pub(crate) one_time: Vec<OneTimePrekey>,
    pub(crate) sessions: Sessions,
    pub(crate) directory: BTreeMap<AgentId, IdentityLog>,
    pub(crate) policy: Policy,
    pub(crate) entropy: Seeded,
    pub(crate) now: UnixMillis,
}

impl Actor {
    /// Both suites, every message signed.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self::with(name, seed, Policy::default())
    }

    pub(crate) fn with_suites(name: &str, seed: u64, suites: &[Suite]) -> Self {
        Self::with(name, seed, Policy { suites: Suites::of(suites), ..Policy::default() })
    }

    pub(crate) fn with(name: &str, seed: u64, policy: Policy) -> Self {
        let mut entropy = Seeded(seed);
        let agent = agent_key(seed);
        let keys = InstanceKeys::random(&mut entropy);
        let claims = claims(&agent, &keys, name, seed as u8);
        let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
        let instance = Instance::new(keys, certificate).unwrap();
        let mut prekeys = Prekeys::new();
        let both = [Suite::Classic, Suite::Hybrid];
        let suites: Vec<Suite> = both.into_iter().filter(|suite| policy.suites.lists(*suite)).collect();
        let (certificate, keys) = (instance.certificate(), instance.keys());
        let bundle = prekeys.rotate(certificate, keys, &suites, policy.retention, NOW, &mut entropy);
        let one_time = prekeys.refill(certificate, keys, 3, policy.retention, NOW, &mut entropy);
        let (sessions, directory) = (Sessions::new(), BTreeMap::new());
        Self { agent, instance, prekeys, bundle, one_time, sessions, directory, policy, entropy, now: NOW }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.instance.certificate().whose()
    }

    pub(crate) fn receiver(&self) -> Receiver<'_> {
        let Self { instance, prekeys, directory, policy, .. } = self;
        Receiver { instance, prekeys, directory, policy }
    }

    /// Begins a session, as whoever fetched this bundle would.
    pub(crate) fn initiate(
        &mut self,
        bundle: &Bundle,
        one_time: Option<&OneTimePrekey>,
    ) -> Result<Session, Refusal> {
        let bundle = Bundle::verify(bundle.bytes().clone(), None, self.now)?;
        initiate(&self.instance, &bundle, one_time, &self.policy, self.now, &mut self.entropy)
    }

    pub(crate) fn meet(&mut self, other: &Actor) {
        let session = self.initiate(&other.bundle, other.one_time.first()).unwrap();
        self.sessions.add(session, self.now).unwrap();
    }

    /// Seals for a peer, reserving where that is needed. (The record that a real one writes is left out.)
    pub(crate) fn seal(&mut self, to: Peer, text: &str) -> Sealed {
        self.try_seal(to, text).unwrap()
    }

    pub(crate) fn try_seal(&mut self, to: Peer, text: &str) -> Result<Sealed, SealError> {
        let session = self.sessions.with(to).ok_or(SealError::Closed)?;
        if session.needs_reservation(self.now) {
            session.reserve(self.now, &mut self.entropy)?;
            session.confirm();
        }
        let each = self.policy.signatures == connectome_codecs::session::Signatures::EveryMessage;
        let sealing = Sealing { key: &self.instance.keys().signing, each, padded: false };
        session.seal(&context("c"), Bytes::copy_from_slice(text.as_bytes()), sealing, &mut self.entropy)
    }

    pub(crate) fn open(&self, sealed: &Sealed) -> Result<Opened, Refusal> {
        self.open_in(&sealed.bytes, "c")
    }

    pub(crate) fn open_in(&self, bytes: &Bytes, in_context: &str) -> Result<Opened, Refusal> {
        self.sessions.open(self.receiver(), bytes, &context(in_context), self.now)
    }

    pub(crate) fn commit(&mut self, opened: Opened) -> Result<(), AlreadyHandled> {
        self.sessions.commit(opened.pending, &mut self.prekeys, &self.policy, self.now)
    }

    /// Opens and commits, and gives the text.
    pub(crate) fn read(&mut self, sealed: &Sealed) -> Result<String, Refusal> {
        let opened = self.open(sealed)?;
        let text = String::from_utf8(opened.payload.to_vec()).unwrap();
        self.commit(opened).unwrap();
        Ok(text)
    }

    pub(crate) fn session(&mut self, with: Peer) -> &mut Session {
        self.sessions.with(with).unwrap()
    }

    /// Everything that it keeps, as bytes.
    pub(crate) fn state(&self, tag: &[u8; 16]) -> (Option<Vec<u8>>, Vec<u8>) {
        let record = self.sessions.get(tag).map(|session| session.encode().to_vec());
        (record, self.prekeys.encode().to_vec())
    }

    /// Stops and starts again with what it wrote.
    pub(crate) fn restart(&mut self) {
        let prekeys = self.prekeys.encode();
        self.prekeys = Prekeys::decode(&prekeys).unwrap();
        let tags: Vec<[u8; 16]> = self.sessions.ids().map(|id| id.tag()).collect();
        let records = tags.iter().map(|tag| self.sessions.get(tag).unwrap().encode());
        let mut sessions = Sessions::new();
        records.for_each(|record| sessions.restore(Session::decode(&record).unwrap(), self.now));
        self.sessions = sessions;
    }
}

/// Two that have met and heard of each other.
pub(crate) fn two() -> (Actor, Actor) {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let hello = ada.seal(bob.peer(), "hello");
    bob.read(&hello).unwrap();
    let answer = bob.seal(ada.peer(), "hello, ada");
    ada.read(&answer).unwrap();
    (ada, bob)
}

/// A bit of each byte.
pub(crate) fn bits(bytes: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (0..bytes.len()).map(|byte| byte * 8 + byte * 3 % 8)
}

/// The same bytes with one bit changed.
pub(crate) fn flip(bytes: &Bytes, bit: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}

/// Something signed, with another body, and signed again: what its signer could have made, had it not been honest.
pub(crate) fn signed_again(
    bytes: &Bytes,
    label: Label,
    key: &SigningKey,
    edit: impl Fn(&mut Vec<u8>),
) -> Bytes {
    let head = if bytes[1] == 0xc4 { 3 } else { 4 };
    let mut body = bytes[head..bytes.len() - 66].to_vec();
    edit(&mut body);
    let signature = key.sign(label, &[&body]);
    [&bytes[..head], &body, &[0xc4, 64], &signature].concat().into()
}
