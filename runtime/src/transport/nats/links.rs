//! All links of a node: what happens to them, decided without a clock or a socket.
//!
//! Messages, times and calls go in; messages to publish come out of [`Links::poll`], and what to tell the reader out of
//! [`Links::take`]. Randomness and signatures are arguments. Who performs it is `transport/nats/transport.rs`.
//!
//! | file | what |
//! |---|---|
//! | `links/meeting` | how two nodes come to agree on a link |
//! | `links/carrying` | frames over it |
//! | `links/watching` | how it ends |
//! | `links/arrivals` | what has arrived and waits to be read |

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::NodeId;

use super::counts::TransportCounts;
use super::identity::Identity;
use super::link::Link;
use super::packet::{Incarnation, NoPacket, Packet, Received, Token};

mod arrivals;
mod carrying;
mod meeting;
mod watching;

use arrivals::Arrivals;
use meeting::Meeting;
pub(super) use meeting::PEERS_MAX;
pub(super) use watching::TICK;

/// Messages that wait because the client takes no more: four windows of small frames. Beyond it, `send` refuses, and what
/// is said again anyway is not said.
pub(super) const OUTBOUND_MAX: usize = 4_096;

/// Where random numbers come from.
pub(super) type Dice = Box<dyn FnMut() -> u128 + Send>;

/// A node's links.
pub(super) struct Links {
    node: NodeId,
    incarnation: Incarnation,
    namespace: String,
    identity: Arc<dyn Identity>,
    dice: Dice,
    peers: BTreeMap<NodeId, Peer>,
    /// Who uses which of our tokens, of links and of meetings.
    tokens: HashMap<Token, NodeId>,
    arrivals: Arrivals,
    outbound: VecDeque<Post>,
    counts: TransportCounts,
    watch: watching::Watch,
    /// How often the connection has been made, as far as we were told.
    connections: u64,
    /// How often our own introduction came back to us.
    heard_itself: u64,
    /// Whether something changed that somebody may wait for: room, a link that came up or ended, the close.
    changed: bool,
    closed: bool,
}

/// A node that was heard of: there is a link, or there may be one soon, or both.
#[derive(Debug, Default)]
struct Peer {
    link: Option<Link>,
    meeting: Option<Meeting>,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) to: Destination,
    pub(super) bytes: Bytes,
    /// Whether we want to hear from NATS when nobody listens.
    pub(super) probes: bool,
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    Node(NodeId),
    Everyone,
}

impl Links {
    /// A node without links, in a life that nobody has heard of.
    pub(super) fn new(namespace: &str, identity: Arc<dyn Identity>, mut dice: Dice) -> Links {
        Links {
            node: identity.node_id(),
            incarnation: Incarnation(dice() as u64),
            namespace: namespace.to_owned(),
            identity,
            dice,
            peers: BTreeMap::new(),
            tokens: HashMap::new(),
            arrivals: Arrivals::default(),
            outbound: VecDeque::new(),
            counts: TransportCounts::default(),
            watch: watching::Watch::default(),
            connections: 0,
            heard_itself: 0,
            changed: false,
            closed: false,
        }
    }

    /// A message has arrived; `reply` is the text of the node id that it asks to answer, if it does.
    pub(super) fn handle(&mut self, now: Duration, message: Bytes, reply: Option<&str>) {
        if self.closed {
            return;
        }
        match Packet::decode(message) {
            Ok(Received { packet, signed }) => self.on_packet(now, packet, signed, reply),
            Err(NoPacket::Version) => self.counts.other_versions += 1,
            Err(NoPacket::Malformed) => self.counts.malformed += 1,
        }
    }

    /// The next message to publish.
    pub(super) fn poll(&mut self) -> Option<Post> {
        self.changed |= self.outbound.len() == OUTBOUND_MAX;
        self.outbound.pop_front()
    }

    /// A message that could not be published now: it stays the next one.
    pub(super) fn put_back(&mut self, post: Post) {
        self.outbound.push_front(post);
    }

    /// NATS would not take a message.
    pub(super) fn unsent(&mut self) {
        self.counts.unsent += 1;
    }

    /// Whether something has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether there is a link to this node.
    pub(super) fn reaches(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.link.is_some())
    }

    /// The nodes that there is a link to, sorted.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.peers.iter().filter(|(_, peer)| peer.link.is_some()).map(|(node, _)| *node).collect()
    }

    pub(super) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// What waits to be read is dropped.
    pub(super) fn drop_arrivals(&mut self) {
        self.arrivals.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Tells everyone that we are here, and ourselves, by both subjects. The connection has been made so often by now.
    pub(super) fn introduce(&mut self, now: Duration, connections: u64) {
        self.connections = connections;
        self.watch.announce(now);
        self.announce(Destination::Everyone);
        self.announce(Destination::Node(self.node));
    }

    /// Whether our introduction came back by both subjects: we may use them.
    pub(super) fn hears_itself(&self) -> bool {
        self.heard_itself >= 2
    }

    pub(super) fn counts(&self) -> TransportCounts {
        self.counts
    }

    fn on_packet(
        &mut self,
        now: Duration,
        packet: Packet,
        signed: Option<super::packet::Signed>,
        reply: Option<&str>,
    ) {
        match (packet, signed) {
            (Packet::Announce { from, incarnation }, Some(signed)) => {
                self.on_announce(now, from, incarnation, &signed);
            }
            (Packet::Hello(hello), Some(signed)) => self.on_hello(now, hello, &signed),
            (Packet::Announce { .. } | Packet::Hello(_), None) => self.counts.malformed += 1,
            (Packet::Refused { token }, _) => self.on_refused(now, token),
            (
                packet @ (Packet::Data { token, .. }
                | Packet::Part { token, .. }
                | Packet::Credit { token, .. }
                | Packet::KeepAlive { token, .. }
                | Packet::Farewell { token, .. }),
                _,
            ) => self.on_linked(now, token, packet, reply),
        }
    }

    /// Queues a message that is said again anyway; with too many in the queue it is not said now.
    fn post(&mut self, to: Destination, bytes: Bytes, probes: bool) {
        if self.outbound.len() < OUTBOUND_MAX {
            self.put(to, bytes, probes);
        }
    }

    fn put(&mut self, to: Destination, bytes: Bytes, probes: bool) {
        self.outbound.push_back(Post { to, bytes, probes });
    }
}

#[cfg(test)]
mod tests;
