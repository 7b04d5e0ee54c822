//! Two instances that have met, a pool and a group, made from a seed: whom the bytes of a fuzzer are shown to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::group::{GroupId, GroupKeys, GroupSender, Roster};
use connectome_codecs::identity::{
    Bundle, Certificate, Claims, IdentityLog, Instance, InstanceId, InstanceKeys, Pins, PoolKeys, Prekeys,
    Suite,
};
use connectome_codecs::key::{Entropy, Secret, SigningKey};
use connectome_codecs::seal::PoolMessage;
use connectome_codecs::session::{
    Context, Policy, Receiver, ReplayWindow, Request, RequestKind, Sealing, Sessions, Signatures, initiate,
};
use connectome_codecs::{AgentId, Refusal, UnixMillis};

pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Bytes that look random and are a function of the seed (splitmix64).
struct Seeded(u64);

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

/// An instance with all it keeps.
pub struct Actor {
    pub agent: SigningKey,
    pub instance: Instance,
    pub prekeys: Prekeys,
    pub sessions: Sessions,
    pub policy: Policy,
    pub directory: BTreeMap<AgentId, IdentityLog>,
    entropy: Seeded,
}

impl Actor {
    fn new(name: &str, seed: u64) -> Self {
        let mut entropy = Seeded(seed);
        let agent = SigningKey::from_seed(&Secret::random(&mut entropy));
        let keys = InstanceKeys::random(&mut entropy);
        let claims = Claims {
            agent: AgentId(*agent.verifying_key().as_bytes()),
            name: name.parse().expect("a name"),
            instance: InstanceId([seed as u8; 16]),
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
        let (prekeys, sessions, directory) = (Prekeys::new(), Sessions::new(), BTreeMap::new());
        let policy = Policy { signatures: Signatures::Checkpoint, ..Policy::default() };
        Self { agent, instance, prekeys, sessions, policy, directory, entropy }
    }

    pub fn agent(&self) -> AgentId {
        self.instance.certificate().claims().agent
    }

    pub fn receiver(&self) -> Receiver<'_> {
        let Self { instance, prekeys, directory, policy, .. } = self;
        Receiver { instance, prekeys, directory, policy }
    }

    fn publish(&mut self) -> Bundle {
        let Self { instance, prekeys, policy, entropy, .. } = self;
        let (certificate, keys, suites) =
            (instance.certificate(), instance.keys(), [Suite::Classic, Suite::Hybrid]);
        prekeys.rotate(certificate, keys, &suites, policy.retention, NOW, entropy)
    }

    fn begin(&mut self, bundle: &Bundle) {
        let begun = initiate(&self.instance, bundle, None, &self.policy, NOW, &mut self.entropy);
        self.sessions.add(begun.expect("the keys are good"), NOW).expect("there is room");
    }

    fn seal(&mut self, to: &Actor, text: &'static str, each: bool, padded: bool) -> Bytes {
        let Self { instance, sessions, entropy, .. } = self;
        let session = sessions.with(to.instance.certificate().whose()).expect("they have met");
        if session.needs_reservation(NOW) {
            session.reserve(NOW, entropy).expect("it is open");
            session.confirm();
        }
        let sealing = Sealing { key: &instance.keys().signing, each, padded };
        session.seal(&context(), Bytes::from(text), sealing, entropy).expect("keys are reserved").bytes
    }

    fn read(&mut self, bytes: &Bytes) {
        let opened = self.sessions.open(self.receiver(), bytes, &context(), NOW).expect("it was just sealed");
        let Self { sessions, prekeys, policy, .. } = self;
        sessions.commit(opened.pending, prekeys, policy, NOW).expect("it is new");
    }
}

pub fn context() -> Context {
    Context::from_bytes(Bytes::from("the envelope around it"))
}

/// Bob, who reads; what others sealed for him; and what he keeps of pools and groups.
pub struct World {
    pub ada: Actor,
    pub bob: Actor,
    pub pool: PoolKeys,
    pub group: GroupKeys,
    pub roster: Roster,
    pub window: ReplayWindow,
    /// Messages, requests and whatever else is signed or kept: where a fuzzer begins.
    pub genuine: Vec<Bytes>,
}

impl World {
    pub fn new() -> Self {
        let (mut ada, mut bob, mut eve) = (Actor::new("ada", 1), Actor::new("bob", 2), Actor::new("eve", 3));
        let bundle = bob.publish();
        ada.begin(&bundle);
        eve.begin(&bundle);
        let hello = ada.seal(&bob, "hello", true, false);
        bob.read(&hello);
        let back = bob.seal(&ada, "hello, Ada", true, false);
        ada.read(&back);
        let mut genuine = vec![
            eve.seal(&bob, "a first message", true, false),
            ada.seal(&bob, "signed", true, false),
            ada.seal(&bob, "not signed, and padded", false, true),
            hello,
        ];
        let request = Request { kind: RequestKind::Reset, session: [7; 16] };
        let request =
            request.seal(&ada.instance, &bundle, NOW, &mut ada.entropy).expect("the bundle is good");
        let (pool, task) = pool(&mut ada, &bob);
        let (group, roster, speech) = group(&mut ada, &bob);
        genuine.extend([request, task, speech]);
        let window = ReplayWindow::new(DAY);
        Self { ada, bob, pool, group, roster, window, genuine }
    }

    /// All that Bob keeps, as bytes.
    pub fn state(&self) -> Vec<u8> {
        let tags = self.bob.sessions.ids().map(|id| id.tag());
        let records =
            tags.filter_map(|tag| self.bob.sessions.get(&tag)).map(|session| session.encode().to_vec());
        let kept =
            [self.bob.prekeys.encode().to_vec(), self.pool.encode().to_vec(), self.group.encode().to_vec()];
        records.chain(kept).collect::<Vec<_>>().concat()
    }

    /// Whoever may open it tries: what it says, or why not.
    pub fn open(&self, bytes: &Bytes) -> Vec<Result<Bytes, Refusal>> {
        let Self { bob, window, .. } = self;
        let (context, directory) = (context(), &bob.directory);
        let session = bob.sessions.open(bob.receiver(), bytes, &context, NOW).map(|opened| opened.payload);
        let task = PoolMessage::open(&self.pool, bytes, &context, window, directory, NOW);
        let speech = self.group.open(bytes, &context, &self.roster, directory);
        let request = Request::open(bob.receiver(), bytes, window, NOW).map(|_| Bytes::new());
        vec![session, task.map(|task| task.payload), speech.map(|speech| speech.payload), request]
    }
}

fn pool(ada: &mut Actor, bob: &Actor) -> (PoolKeys, Bytes) {
    let (mut keys, name) = (PoolKeys::new(), "workers".parse().expect("a name"));
    let prekey = keys.rotate(&bob.agent, &name, true, DAY, NOW, &mut ada.entropy);
    let message = PoolMessage { prekey: &prekey, sender: &ada.instance };
    let task = message.seal(&context(), b"a task", NOW, &mut ada.entropy).expect("the prekey is good");
    (keys, task)
}

fn group(ada: &mut Actor, bob: &Actor) -> (GroupKeys, Roster, Bytes) {
    let (id, members) = (GroupId([5; 16]), BTreeSet::from([ada.agent(), bob.agent()]));
    let roster = Roster::issue(&ada.instance, id, 1, members).expect("two are few");
    let mut sender = GroupSender::begin(&ada.instance, &roster, NOW, &mut ada.entropy);
    let mut keys = GroupKeys::new(id);
    keys.accept(&sender.distribution(), ada.instance.certificate(), &roster, NOW).expect("Ada is a member");
    sender.reserve().expect("it has just begun");
    sender.confirm();
    let speech =
        sender.seal(&ada.instance, &context(), b"to all", &mut ada.entropy).expect("keys are reserved");
    let mut pins = Pins::default();
    Roster::verify(roster.bytes().clone(), ada.agent(), &bob.directory, &mut pins, NOW)
        .expect("it was just issued");
    (keys, roster, speech)
}
