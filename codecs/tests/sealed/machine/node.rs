//! Two nodes with stores that outlive them, a network that does what it likes, and what is checked at each step.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::Refusal;
use connectome_codecs::identity::Certificate;
use connectome_codecs::identity::{Instance, InstanceId, InstanceKeys, OneTimePrekey, Prekeys, Suite};
use connectome_codecs::refusal::{Ask, Verdict};
use connectome_codecs::session::{RECORD_MAX, Sealing, Session, Sessions, initiate};
use proptest::sample::Index;

use crate::sealed::cast::{Actor, DAY, claims, context, flip};

/// Where a step is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    None,
    BeforeWrite,
    AfterWrite,
}

/// What survives a crash.
#[derive(Clone, Default)]
struct Store {
    prekeys: Vec<u8>,
    records: BTreeMap<[u8; 16], Vec<u8>>,
    /// The ids of messages whose effect is there: written together with the records.
    handled: BTreeSet<u64>,
    /// The sealed bytes whose message was committed.
    committed: BTreeSet<Bytes>,
}

struct Node {
    actor: Actor,
    store: Store,
    older: Vec<Store>,
    /// Messages that wait for a receipt: id, and the bytes that are sent until it comes.
    outbox: BTreeMap<u64, Option<Bytes>>,
    published: Vec<OneTimePrekey>,
    went_back: bool,
    incarnation: u8,
}

/// A message on its way.
#[derive(Clone)]
struct Letter {
    to: usize,
    id: u64,
    bytes: Bytes,
}

pub(super) struct World {
    nodes: [Node; 2],
    letters: Vec<Letter>,
    next_id: u64,
    places: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    pub(super) resets: usize,
}

impl Node {
    fn new(name: &str, seed: u64) -> Self {
        let actor = Actor::new(name, seed);
        let published = actor.one_time.clone();
        let store = Store { prekeys: actor.prekeys.encode().to_vec(), ..Store::default() };
        let (older, outbox) = (vec![store.clone()], BTreeMap::new());
        Self { actor, store, older, outbox, published, went_back: false, incarnation: seed as u8 }
    }

    fn write(&mut self, tag: [u8; 16], record: &[u8]) {
        assert!(record.len() <= RECORD_MAX);
        self.store.records.insert(tag, record.to_vec());
    }

    /// What is in memory is gone; what was written is read.
    fn restart(&mut self) {
        self.actor.prekeys = Prekeys::decode(&self.store.prekeys).unwrap();
        self.actor.sessions = Sessions::new();
        for record in self.store.records.values() {
            self.actor.sessions.restore(Session::decode(record).unwrap(), self.actor.now);
        }
    }

    /// A new instance of the same agent, with nothing but its outbox and what it handled.
    fn forget(&mut self) {
        self.incarnation = self.incarnation.wrapping_add(2);
        let actor = &mut self.actor;
        let keys = InstanceKeys::random(&mut actor.entropy);
        let mut claims = claims(&actor.agent, &keys, "node", self.incarnation);
        claims.instance = InstanceId([self.incarnation; 16]);
        let certificate = Certificate::issue(&claims, &actor.agent, &keys, &[]);
        actor.instance = Instance::new(keys, certificate).unwrap();
        actor.prekeys = Prekeys::new();
        self.store.records.clear();
        self.publish();
        self.older = vec![self.store.clone()];
        self.restart();
    }

    fn publish(&mut self) {
        let Actor { instance, prekeys, bundle, policy, now, entropy, .. } = &mut self.actor;
        let (certificate, keys) = (instance.certificate(), instance.keys());
        let both = [Suite::Classic, Suite::Hybrid];
        *bundle = prekeys.rotate(certificate, keys, &both, policy.retention, *now, entropy);
        let is_own =
            |prekey: &OneTimePrekey| OneTimePrekey::verify(prekey.bytes().clone(), certificate).is_ok();
        self.published.retain(is_own);
        self.published.extend(prekeys.refill(certificate, keys, 3, policy.retention, *now, entropy));
        self.store.prekeys = prekeys.encode().to_vec();
    }
}

impl World {
    pub(super) fn new() -> Self {
        let nodes = [Node::new("ada", 1), Node::new("bob", 2)];
        Self { nodes, letters: Vec::new(), next_id: 0, places: BTreeMap::new(), resets: 0 }
    }

    pub(super) fn send(&mut self, who: usize, crash: Crash) {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes[who].outbox.insert(id, None);
        self.seal(who, id, crash);
    }

    /// Seals a message of the outbox, unless it crashes on the way.
    fn seal(&mut self, who: usize, id: u64, crash: Crash) {
        let (bundle, peer) = (self.nodes[1 - who].actor.bundle.clone(), self.nodes[1 - who].actor.peer());
        let one_time = if self.nodes[who].actor.sessions.with(peer).is_none() {
            self.nodes[1 - who].published.pop()
        } else {
            None
        };
        let node = &mut self.nodes[who];
        let Actor { instance, sessions, policy, entropy, now, .. } = &mut node.actor;
        if sessions.with(peer).is_none() {
            let begun = initiate(instance, &bundle, one_time.as_ref(), policy, *now, entropy).unwrap();
            if sessions.add(begun, *now).is_err() {
                return self.drain();
            }
        }
        let session = sessions.with(peer).unwrap();
        if session.needs_reservation(*now) {
            session.reserve(*now, entropy).unwrap();
            let (tag, record) = (session.id().tag(), session.encode());
            if crash == Crash::BeforeWrite {
                return node.restart();
            }
            node.write(tag, &record);
            if crash == Crash::AfterWrite {
                return node.restart();
            }
            let session = node.actor.sessions.with(peer).unwrap();
            session.confirm();
            assert_eq!(session.encode(), record);
        }
        let Actor { instance, sessions, entropy, .. } = &mut node.actor;
        let sealing = Sealing { key: &instance.keys().signing, each: true, padded: false };
        let payload = Bytes::copy_from_slice(&id.to_be_bytes());
        let sealed = sessions.with(peer).unwrap().seal(&context("c"), payload, sealing, entropy).unwrap();
        node.outbox.insert(id, Some(sealed.bytes.clone()));
        let went_back = node.went_back;
        self.check_place(&sealed.bytes, went_back);
        self.letters.push(Letter { to: 1 - who, id, bytes: sealed.bytes });
    }

    /// No key and nonce twice; and no key twice, but for a store that went back in time.
    fn check_place(&mut self, bytes: &Bytes, went_back: bool) {
        let place = [&bytes[4..52], &bytes[56..60]].concat();
        let nonces = self.places.entry(place).or_default();
        assert!(nonces.insert(bytes[60..72].to_vec()), "a key and a nonce were used twice");
        assert!(nonces.len() == 1 || went_back, "a key was used twice");
    }

    fn pick(&self, which: &Index) -> Option<usize> {
        (!self.letters.is_empty()).then(|| which.index(self.letters.len()))
    }

    pub(super) fn deliver(&mut self, which: &Index, crash: Crash) {
        if let Some(at) = self.pick(which) {
            let letter = self.letters.swap_remove(at);
            self.hand_over(letter, crash);
        }
    }

    fn hand_over(&mut self, letter: Letter, crash: Crash) {
        let node = &mut self.nodes[letter.to];
        let opened = match node.actor.open_in(&letter.bytes, "c") {
            Ok(opened) => opened,
            Err(refusal) => return self.refused(letter, &refusal),
        };
        assert_eq!(opened.payload, letter.id.to_be_bytes().as_slice());
        assert!(!node.store.committed.contains(&letter.bytes), "it was committed, and opened again");
        let records = node
            .actor
            .sessions
            .records_after(&opened.pending, node.actor.receiver(), node.actor.now)
            .unwrap();
        if crash == Crash::BeforeWrite {
            node.restart();
            return self.letters.push(letter);
        }
        node.write(records.session.tag(), &records.record);
        if let Some(prekeys) = &records.prekeys {
            node.store.prekeys = prekeys.to_vec();
        }
        node.store.handled.insert(letter.id);
        node.store.committed.insert(letter.bytes.clone());
        if crash == Crash::AfterWrite {
            node.restart();
            return self.letters.push(letter);
        }
        let ask = opened.ask;
        node.actor.commit(opened).unwrap();
        let state = node.actor.state(&records.session.tag());
        assert!(state.0.unwrap() == *records.record, "what was written first is the state");
        assert_eq!(state.1, node.store.prekeys);
        self.receipt(&letter);
        if ask == Some(Ask::Reset) {
            self.reset(&letter);
        }
    }

    /// The sender learns that a message was handled.
    fn receipt(&mut self, letter: &Letter) {
        assert!(self.nodes[letter.to].store.handled.contains(&letter.id));
        self.nodes[1 - letter.to].outbox.remove(&letter.id);
    }

    fn refused(&mut self, letter: Letter, refusal: &Refusal) {
        let node = &self.nodes[letter.to];
        if node.store.handled.contains(&letter.id) {
            return self.receipt(&letter);
        }
        if matches!(refusal, Refusal::Full { .. }) {
            return self.drain();
        }
        assert_ne!(refusal.verdict(), Verdict::Acknowledge, "acknowledged, and not handled: {refusal}");
        let waits = self.nodes[1 - letter.to].outbox.contains_key(&letter.id);
        match refusal.ask() {
            Some(Ask::Reset) => self.reset(&letter),
            Some(Ask::Resend) if waits => self.seal(1 - letter.to, letter.id, Crash::None),
            Some(Ask::Resend) => {}
            None => assert!(!waits, "an honest message was refused for good: {refusal}"),
        }
    }

    /// The sender closes the session, and seals what waits for a receipt to another one.
    fn reset(&mut self, letter: &Letter) {
        let tag = letter.bytes[4..20].try_into().unwrap();
        let who = 1 - letter.to;
        // The receiver sends nothing more on it either, if it has it.
        for node in &mut self.nodes {
            let now = node.actor.now;
            if node.actor.sessions.close(&tag, now) {
                let record = node.actor.sessions.get(&tag).unwrap().encode();
                node.write(tag, &record);
                self.resets += 1;
            }
        }
        let of_session = |bytes: &Option<Bytes>| bytes.as_ref().is_none_or(|bytes| bytes[4..20] == tag);
        let outbox = self.nodes[who].outbox.iter().filter(|(_, bytes)| of_session(bytes));
        let waiting: Vec<u64> = outbox.map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.seal(who, id, Crash::None));
    }

    /// So many sessions that none more has room: time passes, and old ones go.
    fn drain(&mut self) {
        self.letters.clear();
        for node in &mut self.nodes {
            node.actor.now = node.actor.now.after(DAY * 15);
            let Actor { sessions, policy, now, .. } = &mut node.actor;
            for id in sessions.ids().collect::<Vec<_>>() {
                sessions.close(&id.tag(), *now);
            }
            *now = now.after(DAY * 15);
            for id in sessions.expire(policy, *now) {
                node.store.records.remove(&id.tag());
            }
            node.publish();
        }
    }

    pub(super) fn duplicate(&mut self, which: &Index) {
        let copy = self.pick(which).map(|at| self.letters[at].clone());
        self.letters.extend(copy);
    }

    pub(super) fn lose(&mut self, which: &Index) {
        self.pick(which).map(|at| self.letters.swap_remove(at));
    }

    pub(super) fn damage(&mut self, which: &Index, bit: &Index) {
        let Some(at) = self.pick(which) else { return };
        let letter = &self.letters[at];
        let actor = &self.nodes[letter.to].actor;
        let states = || actor.sessions.ids().map(|id| actor.state(&id.tag())).collect::<Vec<_>>();
        let before = states();
        let damaged = flip(&letter.bytes, bit.index(letter.bytes.len() * 8));
        assert!(actor.open_in(&damaged, "c").is_err());
        assert!(actor.open_in(&letter.bytes, "another envelope").is_err());
        assert_eq!(states(), before);
    }

    /// Sends again what waits for a receipt: the same bytes, where there are some.
    pub(super) fn retry(&mut self, who: usize) {
        for (id, bytes) in self.nodes[who].outbox.clone() {
            match bytes {
                Some(bytes) => self.letters.push(Letter { to: 1 - who, id, bytes }),
                None => self.seal(who, id, Crash::None),
            }
        }
    }

    pub(super) fn restart(&mut self, who: usize) {
        self.nodes[who].restart();
        let store = self.nodes[who].store.clone();
        self.nodes[who].older.push(store);
    }

    /// A store of some restart ago, effects and all.
    pub(super) fn go_back(&mut self, who: usize) {
        let node = &mut self.nodes[who];
        let older = node.older.len() / 2;
        node.store = node.older[older].clone();
        node.went_back = true;
        node.restart();
        // What was handled since is undone, and its receipts were given: it is the sender's no more, and nobody's.
        let kept = node.store.handled.clone();
        let other = &self.nodes[1 - who].outbox;
        let undone = |letter: &Letter| {
            letter.to == who && !kept.contains(&letter.id) && !other.contains_key(&letter.id)
        };
        self.letters.retain(|letter| !undone(letter));
    }

    pub(super) fn forget(&mut self, who: usize) {
        self.nodes[who].forget();
    }

    pub(super) fn refresh(&mut self, who: usize) {
        let peer = self.nodes[1 - who].actor.peer();
        if let Some(session) = self.nodes[who].actor.sessions.with(peer) {
            session.refresh();
        }
    }

    pub(super) fn wait(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.actor.now = node.actor.now.after(DAY / 1000));
    }

    /// Nothing goes wrong any more: all is sent again until every receipt has come, and then words go both ways.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..3 {
            self.settle();
            self.send(0, Crash::None);
            self.send(1, Crash::None);
        }
        self.settle();
        let [ada, bob] = &mut self.nodes;
        let (to_bob, to_ada) = (bob.actor.peer(), ada.actor.peer());
        let ids = (ada.actor.session(to_bob).id(), bob.actor.session(to_ada).id());
        assert_eq!(ids.0, ids.1, "both send on the same session");
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.retry(0);
            self.retry(1);
            for letter in std::mem::take(&mut self.letters) {
                self.hand_over(letter, Crash::None);
            }
        }
        let waiting = self.nodes.each_ref().map(|node| node.outbox.len());
        assert_eq!((waiting, self.letters.len()), ([0, 0], 0), "messages wait for ever");
    }
}
