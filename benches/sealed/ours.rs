//! Our sessions, with all that belongs to them: reservations and their records, the envelope's hash, the commit.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use connectome::codecs::identity::{
    Bundle, Certificate, Claims, IdentityLog, Instance, InstanceId, InstanceKeys, OneTimePrekey, Prekeys,
    Suite, Suites,
};
use connectome::codecs::key::{Secret, SigningKey};
use connectome::codecs::session::{
    Context, Policy, Receiver, Sealed, Sealing, Session, Sessions, Signatures, initiate,
};
use connectome::codecs::signature::{BATCH_MAX, Batch};
use connectome::codecs::{AgentId, Envelope, Kind, MessageId, UnixMillis};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use super::{End, Pair as _, each};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The envelope around each message, without its body.
static ENVELOPE: LazyLock<Bytes> = LazyLock::new(|| {
    let (id, to) = (MessageId::from_parts(NOW, 7), "indexer/worker-7".parse().expect("a name"));
    let envelope = Envelope::new(id, Kind::Typed, to, NOW, Bytes::new())
        .named("summarise".parse().expect("a name"))
        .from("editor".parse().expect("a name"))
        .correlated(id)
        .expires_at(NOW.after(DAY));
    envelope.encode().expect("it fits a frame")
});

/// An instance with all it keeps.
struct Actor {
    instance: Instance,
    prekeys: Prekeys,
    sessions: Sessions,
    policy: Policy,
    logs: BTreeMap<AgentId, IdentityLog>,
    random: StdRng,
}

impl Actor {
    fn new(name: &str, suites: &[Suite], signatures: Signatures) -> Self {
        let mut random = StdRng::try_from_rng(&mut SysRng).expect("the system has randomness");
        let mut entropy = |bytes: &mut [u8]| random.fill_bytes(bytes);
        let agent = SigningKey::from_seed(&Secret::random(&mut entropy));
        let keys = InstanceKeys::random(&mut entropy);
        let claims = Claims {
            agent: AgentId(*agent.verifying_key().as_bytes()),
            name: name.parse().expect("a name"),
            instance: InstanceId([1; 16]),
            signing: *keys.signing.verifying_key().as_bytes(),
            dh: keys.dh.public(),
            bindings: vec![],
            not_before: NOW,
            not_after: NOW.after(DAY * 90),
            capabilities: vec![],
            serial: 1,
        };
        let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
        let instance = Instance::new(keys, certificate).expect("they belong together");
        let policy = Policy { suites: Suites::of(suites), signatures, ..Policy::default() };
        let (prekeys, sessions, logs) = (Prekeys::new(), Sessions::new(), BTreeMap::new());
        Self { instance, prekeys, sessions, policy, logs, random }
    }

    /// What others need to begin a session.
    fn publish(&mut self, suites: &[Suite], one_time: usize) -> (Bytes, Vec<OneTimePrekey>) {
        let Self { instance, prekeys, policy, random, .. } = self;
        let mut entropy = |bytes: &mut [u8]| random.fill_bytes(bytes);
        let (certificate, keys, retention) = (instance.certificate(), instance.keys(), policy.retention);
        let bundle = prekeys.rotate(certificate, keys, suites, retention, NOW, &mut entropy);
        let made = prekeys.refill(certificate, keys, one_time, retention, NOW, &mut entropy);
        (bundle.bytes().clone(), made)
    }

    fn begin(&mut self, bundle: &Bytes, one_time: Option<&OneTimePrekey>) {
        let mut entropy = |bytes: &mut [u8]| self.random.fill_bytes(bytes);
        let bundle = Bundle::verify(bundle.clone(), None, NOW).expect("it was just made");
        let begun = initiate(&self.instance, &bundle, one_time, &self.policy, NOW, &mut entropy);
        self.sessions.add(begun.expect("the keys are good"), NOW).expect("there is room");
    }

    /// The one session that there is, with keys for the next message.
    fn ready(&mut self) -> (&mut Session, &Instance, &mut StdRng) {
        let tag = self.sessions.ids().next().expect("they have met").tag();
        let session = self.sessions.get_mut(&tag).expect("it was just there");
        if session.needs_reservation(NOW) {
            session.reserve(NOW, &mut |bytes: &mut [u8]| self.random.fill_bytes(bytes)).expect("it is open");
            drop(session.encode());
            session.confirm();
        }
        (session, &self.instance, &mut self.random)
    }

    fn seal(&mut self, payload: &Bytes, each: bool) -> Sealed {
        let (session, instance, random) = self.ready();
        let sealing = Sealing { key: &instance.keys().signing, each, padded: false };
        let mut entropy = |bytes: &mut [u8]| random.fill_bytes(bytes);
        session.seal(&context(), payload.clone(), sealing, &mut entropy).expect("keys are reserved")
    }

    fn seal_batch(&mut self, payload: &Bytes) -> Vec<Sealed> {
        let mut batch = Batch::default();
        for _ in 0..BATCH_MAX {
            let (session, _, random) = self.ready();
            let mut entropy = |bytes: &mut [u8]| random.fill_bytes(bytes);
            let draft = session.draft(&context(), payload.clone(), false, &mut entropy);
            batch.add(draft.expect("keys are reserved")).expect("there is room");
        }
        batch.sign(&self.instance.keys().signing)
    }

    fn open(&mut self, sealed: &Sealed, makes_record: bool) -> usize {
        let Self { instance, prekeys, sessions, policy, logs, .. } = self;
        let receiver = Receiver { instance, prekeys, directory: logs, policy };
        let opened = sessions.open(receiver, &sealed.bytes, &context(), NOW).expect("it was just sealed");
        if makes_record {
            drop(sessions.records_after(&opened.pending, receiver, NOW).expect("it is new"));
        }
        sessions.commit(opened.pending, prekeys, policy, NOW).expect("it is new");
        opened.payload.len()
    }
}

fn context() -> Context {
    Context::from_bytes(ENVELOPE.clone())
}

fn suites(hybrid: bool) -> &'static [Suite] {
    if hybrid { &[Suite::Classic, Suite::Hybrid] } else { &[Suite::Classic] }
}

/// Two that have heard of each other; each message signed, or new ratchet keys alone.
pub(super) struct Pair<const SIGNED: bool>([Actor; 2]);

impl<const SIGNED: bool> super::Pair for Pair<SIGNED> {
    type Message = Sealed;

    fn meet() -> Self {
        let signatures = if SIGNED { Signatures::EveryMessage } else { Signatures::Checkpoint };
        let [mut ada, mut bob] = ["ada", "bob"].map(|name| Actor::new(name, suites(true), signatures));
        let (bundle, one_time) = bob.publish(suites(true), 1);
        ada.begin(&bundle, one_time.first());
        let mut pair = Self([ada, bob]);
        let hello = pair.seal(End::Ada, &Bytes::from_static(b"hello"));
        pair.open(End::Bob, hello);
        let back = pair.seal(End::Bob, &Bytes::from_static(b"hello, Ada"));
        pair.open(End::Ada, back);
        pair
    }

    fn seal(&mut self, end: End, payload: &Bytes) -> Self::Message {
        self.0[end as usize].seal(payload, SIGNED)
    }

    fn open(&mut self, end: End, message: Self::Message) -> usize {
        self.0[end as usize].open(&message, false)
    }
}

/// Nanoseconds for each message of batches.
pub(super) fn seal_batches(payload: Bytes, count: usize) -> impl FnMut() -> f64 {
    let mut pair = None;
    move || {
        let Pair([ada, _]) = pair.get_or_insert_with(Pair::<true>::meet);
        each(count / BATCH_MAX, || drop(ada.seal_batch(&payload))) / BATCH_MAX as f64
    }
}

/// The same for opening them, each by itself.
pub(super) fn open_batches(payload: Bytes, count: usize) -> impl FnMut() -> f64 {
    let mut pair = None;
    move || {
        let Pair([ada, bob]) = pair.get_or_insert_with(Pair::<true>::meet);
        let sealed = (0..count / BATCH_MAX).flat_map(|_| ada.seal_batch(&payload)).collect();
        open_all(bob, sealed, false)
    }
}

/// Nanoseconds for opening, and for making the record that is written with each message's effect.
pub(super) fn open_with_records(payload: Bytes, count: usize) -> impl FnMut() -> f64 {
    let mut pair = None;
    move || {
        let Pair([ada, bob]) = pair.get_or_insert_with(Pair::<false>::meet);
        let sealed = (0..count).map(|_| ada.seal(&payload, false)).collect();
        open_all(bob, sealed, true)
    }
}

fn open_all(actor: &mut Actor, sealed: Vec<Sealed>, makes_record: bool) -> f64 {
    let count = sealed.len();
    let mut sealed = sealed.into_iter();
    each(count, || {
        actor.open(&sealed.next().expect("as many were sealed"), makes_record);
    })
}

/// From a published bundle to the first message, read; what is published is there before.
pub(super) fn handshakes(hybrid: bool, count: usize) -> impl FnMut() -> f64 {
    let suites = suites(hybrid);
    let (mut actors, payload) = (None, super::payload(256));
    move || {
        let new = || ["ada", "bob"].map(|name| Actor::new(name, suites, Signatures::EveryMessage));
        let [ada, bob] = actors.get_or_insert_with(new);
        let (bundle, one_time) = bob.publish(suites, count);
        let mut one_time = one_time.iter();
        each(count, || {
            ada.begin(&bundle, one_time.next());
            let first = ada.seal(&payload, true);
            bob.open(&first, true);
            (ada.sessions, bob.sessions) = (Sessions::new(), Sessions::new());
        })
    }
}
