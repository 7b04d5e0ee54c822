//! Nodes and the wires between them: each keeps the order, and does with its messages what a test says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{Inbound, TransportError};
use connectome_codecs::NodeId;

use super::super::{Destination, Links, TICK};
use crate::transport::nats::Identity;

/// Small, so that frames of a few hundred bytes go in parts.
pub(super) const PAYLOAD_MAX: usize = 400;

/// The nodes of a test, and what is between them.
pub(super) struct Network {
    pub(super) nodes: Vec<Links>,
    /// Messages under way, by sender and receiver.
    pub(super) wires: BTreeMap<(usize, usize), VecDeque<Bytes>>,
    /// Nodes in whose place nobody listens.
    pub(super) gone: BTreeSet<usize>,
    pub(super) now: Duration,
    lives: u128,
}

impl Network {
    /// Nodes that have not met.
    pub(super) fn new(size: usize) -> Network {
        let (wires, gone, now) = (BTreeMap::new(), BTreeSet::new(), Duration::from_secs(1));
        let mut network = Network { nodes: Vec::new(), wires, gone, now, lives: 0 };
        for at in 0..size {
            let life = network.life(at);
            network.nodes.push(life);
        }
        network
    }

    /// Nodes that all have.
    pub(super) fn met(size: usize) -> Network {
        let mut network = Network::new(size);
        network.tick(1);
        network.deliver_all();
        for (from, to) in network.pairs() {
            assert!(network.nodes[from].reaches(id(to)));
        }
        network
    }

    /// The node ends without a word, and begins anew.
    pub(super) fn restart(&mut self, at: usize) {
        self.nodes[at] = self.life(at);
    }

    pub(super) fn send(&mut self, from: usize, to: usize, frame: &Bytes) -> Result<(), TransportError> {
        let sent = self.nodes[from].send(id(to), frame, PAYLOAD_MAX);
        self.post();
        sent
    }

    /// The next thing that a node is told.
    pub(super) fn take(&mut self, at: usize) -> Option<Inbound> {
        let taken = self.nodes[at].take();
        self.post();
        taken
    }

    pub(super) fn take_all(&mut self, at: usize) -> Vec<Inbound> {
        std::iter::from_fn(|| self.take(at)).collect()
    }

    /// Time passes; nothing arrives.
    pub(super) fn tick(&mut self, times: usize) {
        for _ in 0..times {
            self.now += TICK;
            for at in 0..self.nodes.len() {
                if !self.gone.contains(&at) {
                    self.nodes[at].tick(self.now, Some(1));
                }
            }
            self.post();
        }
    }

    /// One message arrives. Whether there was one.
    pub(super) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(message) = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        if !self.gone.contains(&to) {
            self.nodes[to].handle(self.now, message, Some(&id(from).to_string()));
            self.post();
        }
        true
    }

    /// Everything arrives, and what is said in answer.
    pub(super) fn deliver_all(&mut self) {
        while self.pairs().into_iter().fold(false, |any, (from, to)| self.deliver(from, to) || any) {}
    }

    /// Time passes, and everything arrives.
    pub(super) fn calm(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick(1);
            self.deliver_all();
        }
    }

    /// Publishes what the nodes want published.
    pub(super) fn post(&mut self) {
        for from in 0..self.nodes.len() {
            while let Some(post) = self.nodes[from].poll() {
                let to: Vec<_> = (0..self.nodes.len())
                    .filter(|to| post.to == Destination::Everyone || post.to == Destination::Node(id(*to)))
                    .collect();
                for to in to {
                    if post.probes && self.gone.contains(&to) {
                        self.nodes[from].nobody_listens(self.now, id(to));
                    } else {
                        self.wires.entry((from, to)).or_default().push_back(post.bytes.clone());
                    }
                }
            }
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let nodes = 0..self.nodes.len();
        let pairs = nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to).collect()
    }

    fn life(&mut self, at: usize) -> Links {
        self.lives += 1;
        let mut next = self.lives << 64;
        let dice = move || {
            next += 1;
            next.rotate_left(64)
        };
        Links::new("test", Arc::new(Name(id(at))), Box::new(dice))
    }
}

pub(super) fn id(at: usize) -> NodeId {
    NodeId([u8::try_from(at + 1).unwrap(); 32])
}

/// A frame that says which one it is.
pub(super) fn numbered(number: u64, size: usize) -> Bytes {
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(size.max(8), 7);
    frame.into()
}

pub(super) fn number(frame: &Bytes) -> u64 {
    u64::from_be_bytes(frame[..8].try_into().unwrap())
}

/// An identity without a key: who knows the name can sign.
pub(super) struct Name(pub(super) NodeId);

impl Identity for Name {
    fn node_id(&self) -> NodeId {
        self.0
    }

    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        signature(self.0, context, message)
    }

    fn verify(&self, node: NodeId, context: &str, message: &[u8], given: &[u8; 64]) -> bool {
        signature(node, context, message) == *given
    }
}

fn signature(node: NodeId, context: &str, message: &[u8]) -> [u8; 64] {
    let mut hasher = DefaultHasher::new();
    (node, context, message).hash(&mut hasher);
    [hasher.finish().to_be_bytes(); 8].concat().try_into().unwrap()
}
