//! What all parts of one node's transport share: the table of peers, the inbox, and the way to the swarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{Part, TransportError, World};
use connectome_codecs::{NodeId, UnixMillis};
use libp2p::gossipsub::IdentTopic;
use libp2p::swarm::{ConnectionId, StreamProtocol};
use libp2p::{Multiaddr, PeerId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::address::relay_of;
use super::addresses::{self, Known, NODES_TOLD_MAX};
use super::dht::{Finding, Keeper, Key};
use super::events::{Counting, LinkEnd, LinkEvent};
use super::inbox::Inbox;
use super::lanes::Reply;
use super::life;
use super::options::{Admission, Libp2pOptions};
use super::peer::Peer;
use super::peer_key::{PeerKey, node_of, peer_of};
use super::streams::Table;
use super::topics::{TopicError, Topics};
use super::window::{WINDOW_BYTES_MAX, WINDOW_FRAMES_MAX};
use super::wire::Hello;
use crate::transport::looped::Attended;
use crate::world::SystemWorld;

/// Peers that are known, at the most: twice the connections there may be, since not everybody is connected.
pub const PEERS_MAX: usize = 1_024;

/// Orders that wait for the swarm at the most: each peer has one at a time.
pub(super) const ORDERS_WAITING_MAX: usize = PEERS_MAX;

/// Where the answer to an order to dial goes.
pub(super) type DialReply = oneshot::Sender<Result<PeerId, NotDialled>>;

/// Why no connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotDialled {
    /// It is our own address.
    Ourselves,
    /// Something else, in words.
    Failed(String),
}

/// What the swarm is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Make a connection. The answer comes when it stands, or why it does not.
    Dial { peer: Option<PeerId>, addresses: Vec<Multiaddr>, reply: DialReply },
    /// Open a stream on a connection.
    Open { peer: PeerId, connection: ConnectionId, protocol: StreamProtocol, reply: Reply },
    /// Listen to a topic.
    Join(IdentTopic),
    /// Listen to it no more.
    Leave(IdentTopic),
    /// Publish in a topic.
    Publish { topic: IdentTopic, message: Bytes, reply: oneshot::Sender<Result<(), TopicError>> },
    /// Put an announcement of ours into the table. The answer: whether another node has it.
    Announce { key: Key, record: Vec<u8>, reply: oneshot::Sender<bool> },
    /// Search the table.
    Find { key: Key, reply: Finding },
    /// Close a connection.
    Close(ConnectionId),
}

/// What is shared.
pub(super) struct Net {
    pub(super) node: NodeId,
    pub(super) namespace: String,
    pub(super) incarnation: u64,
    pub(super) admission: Admission,
    pub(super) inbox: Inbox,
    pub(super) streams: Arc<Table>,
    pub(super) topics: Topics,
    pub(super) counts: Counting,
    /// What this node announces, where it takes part in the table.
    pub(super) dht: Option<Keeper>,
    world: SystemWorld,
    pub(super) closed: CancellationToken,
    /// Whether this node carries connections for others.
    carries: bool,
    /// Nodes that carry connections for this one, or may: at most as many as there are peers.
    relays: RwLock<BTreeSet<NodeId>>,
    is_closing: AtomicBool,
    peers: RwLock<BTreeMap<NodeId, Member>>,
    orders: mpsc::Sender<Order>,
    events: broadcast::Sender<LinkEvent>,
    /// Counts what was learned of addresses and links.
    knowledge: AtomicU64,
    /// Where this node can be dialled.
    own_addresses: RwLock<Vec<Multiaddr>>,
    /// Peers whose loops no supervisor has been told of yet.
    unattended: Mutex<Vec<Arc<dyn Part>>>,
    pub(super) has_unattended: Notify,
}

/// A peer, and the loop that keeps its link.
struct Member {
    peer: Arc<Peer>,
    looped: Attended,
}

impl Net {
    pub(super) fn new(
        key: &PeerKey,
        namespace: &str,
        world: SystemWorld,
        options: &Libp2pOptions,
        orders: mpsc::Sender<Order>,
        streams: Arc<Table>,
        topics: Topics,
    ) -> Net {
        Net {
            node: key.node_id(),
            namespace: namespace.to_owned(),
            // Random for each life of a node.
            incarnation: world.random() as u64,
            admission: options.admission.clone(),
            inbox: Inbox::default(),
            streams,
            topics,
            counts: Counting::default(),
            dht: options.dht.map(|dht| Keeper::new(key.clone(), dht)),
            world,
            closed: CancellationToken::new(),
            carries: options.relay.is_some(),
            relays: RwLock::default(),
            is_closing: AtomicBool::new(false),
            peers: RwLock::default(),
            orders,
            events: broadcast::channel(super::events::EVENTS_WAITING_MAX).0,
            knowledge: AtomicU64::new(0),
            own_addresses: RwLock::default(),
            unattended: Mutex::default(),
            has_unattended: Notify::new(),
        }
    }

    /// What the clock on the wall says.
    pub(super) fn now(&self) -> UnixMillis {
        self.world.now()
    }

    /// A peer that is known.
    pub(super) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.peers.read().get(&node).map(|member| member.peer.clone())
    }

    /// All that are known.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.read().values().map(|member| member.peer.clone()).collect()
    }

    /// Does something with all that are known.
    pub(super) fn each_peer(&self, act: impl Fn(&Peer)) {
        self.peers.read().values().for_each(|member| act(&member.peer));
    }

    /// Does something with a peer that may be known, without the cost of a copy.
    pub(super) fn with_peer<T>(
        &self,
        to: NodeId,
        act: impl FnOnce(&Peer) -> Result<T, TransportError>,
    ) -> Result<T, TransportError> {
        match self.peers.read().get(&to) {
            Some(member) => act(&member.peer),
            None => Err(TransportError::Unreachable { to }),
        }
    }

    /// A peer, which is known from now on. `None`: it may not come, it is no node, or the table is full.
    pub(super) fn meet(self: &Arc<Net>, node: NodeId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.peer(node) {
            return Some(peer);
        }
        if node == self.node || self.is_closing() || !self.admission.lets_in(node) {
            return None;
        }
        let peer_id = peer_of(node)?;
        let mut peers = self.peers.write();
        if peers.len() >= PEERS_MAX {
            return None;
        }
        let peer = Arc::new(Peer::new(node, peer_id));
        let looped = life::looped(Arc::downgrade(self), peer.clone());
        self.unattended.lock().push(looped.part());
        self.has_unattended.notify_one();
        peers.insert(node, Member { peer: peer.clone(), looped });
        Some(peer)
    }

    /// The peer at the other end of a connection.
    pub(super) fn meet_peer(self: &Arc<Net>, peer: &PeerId) -> Option<Arc<Peer>> {
        self.meet(node_of(peer)?)
    }

    /// Nobody needs this peer any more. False: somebody does again.
    pub(super) fn forget(&self, peer: &Peer) -> bool {
        let mut peers = self.peers.write();
        if peer.is_connected() || peer.has_offer() {
            return false;
        }
        peers.remove(&peer.id);
        true
    }

    /// The loops that a supervisor is to run, each told once.
    pub(super) fn take_unattended(&self) -> Vec<Arc<dyn Part>> {
        std::mem::take(&mut *self.unattended.lock())
    }

    /// The loops of all peers: for a supervisor that begins anew.
    pub(super) fn all_unattended(&self) {
        let parts = self.peers.read().values().map(|member| member.looped.part()).collect();
        *self.unattended.lock() = parts;
        self.has_unattended.notify_one();
    }

    /// Asks the swarm; `false`: there is none any more.
    pub(super) async fn order(&self, order: Order) -> bool {
        self.orders.send(order).await.is_ok()
    }

    /// Asks the swarm for what must not be waited for; where it is too busy, the connection ends by being idle.
    pub(super) fn order_later(&self, order: Order) {
        drop(self.orders.try_send(order));
    }

    /// What this node says of itself to a peer.
    pub(super) fn hello_to(&self, peer: NodeId) -> Hello {
        let prove = |secret: &super::secret::ClusterSecret| secret.prove(self.node, peer, &self.namespace);
        Hello {
            incarnation: self.incarnation,
            window_frames: WINDOW_FRAMES_MAX as u32,
            window_bytes: WINDOW_BYTES_MAX as u32,
            namespace: self.namespace.clone(),
            proof: self.admission.secret.as_ref().map(prove),
        }
    }

    /// Whether peers must prove that they are members.
    pub(super) fn needs_members(&self) -> bool {
        self.admission.secret.is_some()
    }

    /// The peer at the other end of a connection, if it is known.
    pub(super) fn known(&self, peer: &PeerId) -> Option<Arc<Peer>> {
        self.peer(node_of(peer)?)
    }

    /// Whether a peer may have streams beside its link: where members must prove that they are, once it has.
    pub(super) fn is_trusted(&self, peer: &Peer) -> bool {
        self.admission.secret.is_none() || peer.is_up()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Whether nothing is sent any more.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// What happens to links from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<LinkEvent> {
        self.events.subscribe()
    }

    pub(super) fn tell(&self, event: LinkEvent) {
        self.counts.told(&event);
        // Without watchers nobody hears it; it is counted and logged all the same.
        drop(self.events.send(event));
    }

    /// A link is up.
    pub(super) fn linked(&self, peer: &Peer) {
        self.counts.met();
        self.knowledge.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %peer.id, "a link is up");
        self.tell(LinkEvent::Up { peer: peer.id });
    }

    /// A link goes on, on a direct connection.
    pub(super) fn moved(&self, peer: &Peer) {
        tracing::debug!(peer = %peer.id, "a link has moved to a direct connection");
        self.tell(LinkEvent::Moved { peer: peer.id });
    }

    /// A meeting or a link has ended.
    pub(super) fn ended(&self, peer: &Peer, end: LinkEnd, was_up: bool) {
        self.counts.ended(&end, was_up);
        tracing::debug!(peer = %peer.id, %end, was_up, "a link has ended");
        if was_up {
            self.tell(LinkEvent::Down { peer: peer.id, end });
        }
    }

    /// Ends everything at once.
    pub(super) fn end(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.closed.cancel();
        self.inbox.close();
        self.streams.end();
        self.topics.end();
        let peers = std::mem::take(&mut *self.peers.write());
        for member in peers.values() {
            member.peer.link_down();
            member.looped.end();
        }
    }

    /// Lets links say farewell, for as long as that may take.
    pub(super) async fn farewell(&self, within: Duration) {
        self.is_closing.store(true, Ordering::Release);
        let peers = self.peers();
        peers.iter().for_each(|peer| peer.close());
        let all = futures_util::future::join_all(peers.iter().map(|peer| peer.down()));
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("the transport was closed before everything had been sent");
        }
    }
}

/// Addresses.
impl Net {
    pub(super) fn own_addresses(&self) -> Vec<Multiaddr> {
        self.own_addresses.read().clone()
    }

    pub(super) fn set_own_addresses(&self, addresses: Vec<Multiaddr>) {
        *self.own_addresses.write() = addresses;
        self.knowledge.fetch_add(1, Ordering::Relaxed);
    }

    /// What a peer that has just been linked is told: this node first, then others that are linked.
    pub(super) fn known_addresses(&self) -> Vec<u8> {
        let own: Known = (self.node, self.own_addresses());
        let peers = self.peers();
        let linked = peers.iter().filter(|peer| peer.is_up()).take(NODES_TOLD_MAX - 1);
        let linked: Vec<Known> = linked.map(|peer| (peer.id, peer.addresses())).collect();
        addresses::encode(std::iter::once(&own).chain(linked.iter().filter(|(_, known)| !known.is_empty())))
    }

    /// A peer has told where nodes can be dialled: of itself, and of others.
    pub(super) fn learn(self: &Arc<Net>, known: Vec<Known>) {
        let mut is_new = false;
        for (node, addresses) in known {
            if addresses.is_empty() {
                continue;
            }
            if let Some(peer) = self.meet(node) {
                for address in addresses {
                    is_new |= peer.learn(address, false);
                }
            }
        }
        if is_new {
            self.knowledge.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where a peer can be dialled from here. Others reach some over this node; this node itself does not.
    pub(super) fn ways_to(&self, peer: &Peer) -> Vec<Multiaddr> {
        let mut ways = peer.addresses();
        ways.retain(|address| relay_of(address) != Some(self.node));
        ways
    }

    /// Another number whenever there may be something new to tell.
    pub(super) fn knowledge(&self) -> u64 {
        self.knowledge.load(Ordering::Relaxed)
    }

    /// Somebody may be dialled over these: relays among them are known as such from now on.
    pub(super) fn know_relays<'a>(&self, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        let mut over = addresses.into_iter().filter_map(relay_of).peekable();
        if over.peek().is_some() {
            let mut relays = self.relays.write();
            relays.extend(over);
            while relays.len() > PEERS_MAX {
                relays.pop_first();
            }
        }
    }

    pub(super) fn is_relay(&self, node: NodeId) -> bool {
        self.relays.read().contains(&node)
    }

    /// Whether this node is a relay.
    pub(super) fn carries(&self) -> bool {
        self.carries
    }

    /// Whether a connection is of use also where no link comes of it: a relay need not be a member, nor whom we carry, nor who
    /// takes part in the table.
    pub(super) fn is_of_use(&self, peer: &Peer) -> bool {
        self.carries || self.dht.is_some() || self.is_relay(peer.id)
    }

    pub(super) fn count_denied(&self) {
        self.counts.denied.fetch_add(1, Ordering::Relaxed);
    }
}
