//! Two nodes over a network that loses, repeats, reorders and damages, and processes that come and go.

use std::time::Duration;

use connectome_codecs::key::{Secret, SigningKey};
use connectome_codecs::session::Policy;
use proptest::prelude::*;

use super::*;

const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);

/// Random enough, and the same each time.
fn counting(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    }
}

struct Node {
    key: SigningKey,
    own: Own,
    talk: Talk,
    heard: Vec<Bytes>,
}

/// Two nodes and what is on its way to each.
struct World {
    nodes: [Node; 2],
    wires: [Vec<Bytes>; 2],
    entropy: Box<dyn Entropy>,
    passed: Duration,
    sent: u32,
}

impl World {
    fn new() -> World {
        World::with_seed(7)
    }

    fn with_seed(seed: u64) -> World {
        let mut entropy = Box::new(counting(seed));
        let keys = [(); 2].map(|()| SigningKey::from_seed(&Secret::random(&mut *entropy)));
        let ids = [0, 1].map(|at: usize| NodeId(*keys[at].verifying_key().as_bytes()));
        let mut at = 0;
        let nodes = keys.map(|key| {
            let own = own(&key, BEGIN, &mut *entropy);
            let talk = Talk::new(&own, ids[1 - at]);
            at += 1;
            Node { key, own, talk, heard: Vec::new() }
        });
        World { nodes, wires: [Vec::new(), Vec::new()], entropy, passed: Duration::ZERO, sent: 0 }
    }

    fn time(&self) -> UnixMillis {
        BEGIN.after(self.passed)
    }

    fn now(&self) -> Now {
        Now::new(self.passed)
    }

    fn pass(&mut self, wait: Duration) {
        self.passed += wait;
    }

    /// The process ends, and another one begins under the same key.
    fn restart(&mut self, at: usize) {
        self.pass(Duration::from_millis(1));
        let (time, peer) = (self.time(), self.nodes[1 - at].own.node());
        let node = &mut self.nodes[at];
        node.own = own(&node.key, time, &mut *self.entropy);
        node.talk = Talk::new(&node.own, peer);
    }

    fn say(&mut self, at: usize, frame: &Frame) {
        self.wires[1 - at].push(frame.encode());
    }

    fn here(&mut self, at: usize) {
        let here = Frame::Here(self.nodes[at].own.hash());
        self.say(at, &here);
    }

    fn send(&mut self, at: usize) -> Option<Bytes> {
        self.sent += 1;
        let payload = Bytes::from(format!("{at}: message {}", self.sent));
        let (time, node) = (self.time(), &mut self.nodes[at]);
        let sealed = node.talk.seal(&node.own, payload.clone(), time, &mut *self.entropy).ok()?;
        self.say(at, &Frame::Sealed(sealed.bytes));
        Some(payload)
    }

    /// Delivers one of the frames that are on their way to a node.
    fn deliver(&mut self, at: usize, which: usize, keep: bool) {
        if self.wires[at].is_empty() {
            return;
        }
        let which = which % self.wires[at].len();
        let bytes = if keep { self.wires[at][which].clone() } else { self.wires[at].remove(which) };
        let (now, time) = (self.now(), self.time());
        let Node { own, talk, heard, .. } = &mut self.nodes[at];
        let say = match Frame::decode(bytes.clone()).and_then(|frame| talk.hear(own, frame, now, time)) {
            Ok(came) => {
                heard.extend(came.message.map(|message| message.payload));
                came.say
            }
            Err(refusal) => talk.refused(own, &refusal, &bytes, now, time, &mut *self.entropy),
        };
        say.iter().for_each(|frame| self.say(at, frame));
    }

    fn damage(&mut self, at: usize, which: usize, bit: usize) {
        let count = self.wires[at].len().max(1);
        if let Some(frame) = self.wires[at].get_mut(which % count) {
            let mut bytes = frame.to_vec();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            *frame = bytes.into();
        }
    }

    /// Everything that is on its way arrives, in order, and what follows from it.
    fn settle(&mut self) {
        while self.wires.iter().any(|wire| !wire.is_empty()) {
            (0..2).for_each(|at| self.deliver(at, 0, false));
        }
    }
}

fn own(key: &SigningKey, now: UnixMillis, entropy: &mut dyn Entropy) -> Own {
    let node = NodeId(*key.verifying_key().as_bytes());
    let policy = Policy { retention: Duration::from_secs(600), ..Policy::default() };
    let made = Own::new(node, policy, now, entropy, |claims, keys| {
        Ok::<_, Refusal>(Certificate::issue(&claims, key, keys, &[]))
    });
    made.unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Here(usize),
    Send(usize),
    Deliver(usize, usize),
    Repeat(usize, usize),
    Lose(usize, usize),
    Damage(usize, usize, usize),
    Restart(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || (0..2usize, 0..8usize);
    prop_oneof![
        2 => (0..2usize).prop_map(Step::Here),
        6 => (0..2usize).prop_map(Step::Send),
        8 => which().prop_map(|(at, which)| Step::Deliver(at, which)),
        1 => which().prop_map(|(at, which)| Step::Repeat(at, which)),
        1 => which().prop_map(|(at, which)| Step::Lose(at, which)),
        1 => (0..2usize, 0..8usize, any::<usize>()).prop_map(|(at, which, bit)| Step::Damage(at, which, bit)),
        1 => (0..2usize).prop_map(Step::Restart),
        2 => (0..400u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, repeated, damaged or restarted: what is opened was sent by the other side, and each message is opened
    /// once at most; and when the trouble ends, messages go both ways again.
    #[test]
    fn two_nodes_find_each_other_again(steps in proptest::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Here(at) => world.here(at),
                Step::Send(at) => drop(world.send(at)),
                Step::Deliver(at, which) => world.deliver(at, which, false),
                Step::Repeat(at, which) => world.deliver(at, which, true),
                Step::Lose(at, which) => {
                    let count = world.wires[at].len();
                    if count > 0 { world.wires[at].remove(which % count); }
                }
                Step::Damage(at, which, bit) => world.damage(at, which, bit),
                Step::Restart(at) => world.restart(at),
                Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
            }
        }
        for at in 0..2 {
            let prefix = format!("{}: ", 1 - at);
            let mut heard = world.nodes[at].heard.clone();
            prop_assert!(heard.iter().all(|payload| payload.starts_with(prefix.as_bytes())));
            let count = heard.len();
            heard.sort();
            heard.dedup();
            prop_assert_eq!(heard.len(), count, "a message was opened twice");
        }
        // Twice a second each says that it is there, and something.
        let mut arrived = [false; 2];
        for _ in 0..6 {
            (0..2).for_each(|at| world.here(at));
            world.settle();
            for (at, arrived) in arrived.iter_mut().enumerate() {
                let sent = world.send(at);
                world.settle();
                *arrived |= sent.is_some_and(|sent| world.nodes[1 - at].heard.contains(&sent));
            }
            world.pass(Duration::from_millis(500));
        }
        prop_assert_eq!(arrived, [true; 2], "two nodes that reach each other have no session");
    }
}

/// Somebody between two nodes can't pass off its own node, or an older instance of theirs, as one of them.
#[test]
fn who_is_in_between_is_nobody() {
    let mut world = World::new();
    (0..2).for_each(|at| world.here(at));
    world.settle();
    let old = world.nodes[0].own.hello(false);
    let said = world.send(0).unwrap();
    let old_message = world.wires[1].last().unwrap().clone();
    world.settle();
    assert_eq!(world.nodes[1].heard, [said]);
    world.restart(0);
    world.pass(Duration::from_secs(1));
    world.here(0);
    world.settle();
    world.pass(Duration::from_secs(1));
    let [eve, _] = World::with_seed(8).nodes;
    let (now, time) = (world.now(), world.time());
    let Node { own, talk, .. } = &mut world.nodes[1];
    let refused = |talk: &mut Talk, frame| talk.hear(own, frame, now, time).map(|_| ()).unwrap_err();
    assert_eq!(refused(talk, old), Refusal::RolledBack { what: "bundle" });
    talk.verified = None;
    assert_eq!(refused(talk, eve.own.hello(false)), Refusal::IdentityMismatch { what: "bundle" });
    assert_eq!(refused(talk, Frame::Sealed(old_message)), Refusal::Duplicate);
    assert_eq!(refused(talk, Frame::Open("hello".into())), Refusal::Unsealed);
}

/// A node changes its prekeys each day, and is understood before and after.
#[test]
fn keys_change_each_day() {
    let mut world = World::new();
    (0..2).for_each(|at| world.here(at));
    world.settle();
    let before = world.nodes[0].own.hash();
    world.pass(Duration::from_secs(25 * 3600));
    let time = world.time();
    let Node { key, own, .. } = &mut world.nodes[0];
    own.renew(time, &mut *world.entropy, |claims, keys| {
        Ok::<_, Refusal>(Certificate::issue(&claims, key, keys, &[]))
    })
    .unwrap();
    assert_ne!(own.hash(), before);
    (0..2).for_each(|at| world.here(at));
    world.settle();
    let sent = [world.send(0).unwrap(), world.send(1).unwrap()];
    world.settle();
    assert!(world.nodes[1].heard.contains(&sent[0]) && world.nodes[0].heard.contains(&sent[1]));
}
