//! The transport as others see it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Inbound, Part, Transport, TransportError};
use connectome_codecs::NodeId;
use connectome_codecs::limits::FRAME_MAX;
use futures_util::FutureExt;
use libp2p::multiaddr::Protocol;
use tokio::sync::{Mutex, mpsc};

use super::address::{Target, parse_target};
use super::dht::{self, FindError, Found, Subject};
use super::events::{Libp2pCounts, LinkWatcher};
use super::lanes::Protocols;
use super::moving::MOVE;
use super::net::{Net, ORDERS_WAITING_MAX};
use super::options::{CONFIGURED_ADDRESSES_MAX, Libp2pError, Libp2pOptions};
use super::peer::Peer;
use super::peer_key::{PeerKey, peer_of};
use super::seeds;
use super::streams::{self, PeerStream, PeerStreamError, PeerStreams, StreamRow, Table};
use super::swarm::{Driven, LINK};
use super::topics::{self, Listening, TopicError, Topics};
use crate::transport::looped::{Attended, Run};
use crate::world::SystemWorld;

/// The moment that what was sent is given to leave.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Frames between nodes over libp2p, with no one between.
///
/// Dropping it is a sudden end: peers notice that the connection is lost. After [`close`](Transport::close) they hear it from
/// us, behind our last frame.
///
/// ```
/// use connectome::keystore::MemoryKeys;
/// use connectome::port::{Inbound, Transport};
/// use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport};
///
/// # tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
/// let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
/// let options = Libp2pOptions { listen, ..Libp2pOptions::default() };
/// let ada = Libp2pTransport::open(MemoryKeys::random("ada")?.peer_key(), "main", &options).await?;
///
/// let options = Libp2pOptions { peers: ada.addresses(), ..Libp2pOptions::default() };
/// let bob = Libp2pTransport::open(MemoryKeys::random("bob")?.peer_key(), "main", &options).await?;
/// bob.linked(ada.node_id()).await;
/// bob.send(ada.node_id(), "hello".into())?;
/// assert_eq!(ada.receive().await, Some(Inbound::Frame { from: bob.node_id(), frame: "hello".into() }));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Libp2pTransport {
    key: PeerKey,
    net: Arc<Net>,
    loops: [Attended; 4],
}

impl Libp2pTransport {
    /// Listens, and begins to meet the other nodes of a namespace. Peers come up within milliseconds;
    /// [`linked`](Libp2pTransport::linked) waits for one.
    ///
    /// # Errors
    /// [`Libp2pError`]: the text names the address and what would be right.
    pub async fn open(
        key: PeerKey,
        namespace: &str,
        options: &Libp2pOptions,
    ) -> Result<Libp2pTransport, Libp2pError> {
        let targets = targets(options)?;
        let (orders, received) = mpsc::channel(ORDERS_WAITING_MAX);
        let protocols = Arc::new(Protocols::default());
        protocols.add(LINK);
        protocols.add(MOVE);
        let copies: Arc<AtomicU64> = Arc::default();
        let streams = Arc::new(Table::new(protocols.clone(), options.limits.inbound_streams));
        let world = SystemWorld::new();
        let world = world.map_err(|error| Libp2pError::Start(format!("no randomness: {error}")))?;
        let net =
            Arc::new(Net::new(&key, namespace, world, options, orders, streams, Topics::new(copies.clone())));
        let driven = Driven::start(&key, &net, options, protocols, copies, received).await?;
        let seeds = begin(&net, targets);
        let loops = [drive(&net, driven), keep(&net, seeds), watch(&net), announce(&net)];
        Ok(Libp2pTransport { key, net, loops })
    }

    /// The node that this is.
    pub fn node_id(&self) -> NodeId {
        self.net.node
    }

    /// How libp2p writes this node, such as `12D3KooW…`.
    pub fn peer_id(&self) -> String {
        self.key.peer_id()
    }

    /// Where this node can be dialled, each with its peer id: what others may have in [`Libp2pOptions::peers`].
    pub fn addresses(&self) -> Vec<String> {
        let Some(peer) = peer_of(self.net.node) else { return Vec::new() };
        let addresses = self.net.own_addresses().into_iter();
        addresses.map(|address| address.with(Protocol::P2p(peer)).to_string()).collect()
    }

    /// The nodes that can be sent to now, sorted.
    pub fn peers(&self) -> Vec<NodeId> {
        self.net.peers().iter().filter(|peer| peer.is_up()).map(|peer| peer.id).collect()
    }

    /// Whether what is sent to a peer goes over a relay now.
    pub fn is_relayed(&self, peer: NodeId) -> bool {
        self.net.peer(peer).is_some_and(|peer| peer.is_relayed())
    }

    /// Waits until this node can be sent to, or until the transport is closed. That may be never.
    pub async fn linked(&self, peer: NodeId) {
        let mut watcher = self.watch();
        while !self.net.is_closed() && !self.reaches(peer) {
            tokio::select! {
                biased;
                event = watcher.next() => if event.is_none() {
                    return;
                },
                () = self.net.closed.cancelled() => return,
            }
        }
    }

    /// Hears what happens to links from now on.
    pub fn watch(&self) -> LinkWatcher {
        LinkWatcher(self.net.watch())
    }

    /// Registers a protocol: streams that peers open by this name come to whoever holds the answer. One on which nothing moves
    /// for `idle_max` is closed. In a cluster with a secret only linked peers may open any.
    ///
    /// # Errors
    /// [`PeerStreamError`]: the name is none, or is taken, or there are too many.
    pub fn register(&self, name: &str, idle_max: Duration) -> Result<PeerStreams, PeerStreamError> {
        self.net.streams.register(name, idle_max)
    }

    /// Opens a stream to a peer by the name of a protocol that is registered there.
    ///
    /// # Errors
    /// [`PeerStreamError`].
    pub async fn open_stream(&self, peer: NodeId, name: &str) -> Result<PeerStream, PeerStreamError> {
        streams::open(&self.net, peer, name).await
    }

    /// The streams that are open, by their numbers.
    pub fn streams(&self) -> Vec<StreamRow> {
        self.net.streams.rows()
    }

    /// Closes a stream, whoever holds it. `false`: it is not open.
    pub fn close_stream(&self, id: u64) -> bool {
        self.net.streams.close(id)
    }

    /// Announces from now on what this answers, instead of what was said before: it is asked once a second, and what it names no
    /// more is taken back. More than [`ANNOUNCED_MAX`](super::ANNOUNCED_MAX) are not announced. Where the node takes no part in
    /// the table nothing happens.
    pub fn announce(&self, subjects: impl Fn() -> BTreeSet<Subject> + Send + Sync + 'static) {
        if let Some(keeper) = &self.net.dht {
            keeper.announce(Box::new(subjects));
        }
    }

    /// Who has announced this, anywhere that the table reaches, the newest first. They are met: those that are of this cluster
    /// are linked a moment later.
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, subject: &Subject) -> Result<Vec<Found>, FindError> {
        dht::find(&self.net, subject).await
    }

    /// What has happened so far.
    pub fn counts(&self) -> Libp2pCounts {
        let copies = self.net.topics.copies.load(Ordering::Relaxed);
        Libp2pCounts { copies, ..self.net.counts.read() }
    }

    /// Hears what connected nodes publish in a topic from now on.
    ///
    /// # Errors
    /// [`TopicError`].
    pub async fn listen(&self, topic: &str) -> Result<Listening, TopicError> {
        topics::listen(&self.net, topic).await
    }

    /// Publishes in a topic: signed by this node, and passed on by whoever listens. At most once, in no order.
    ///
    /// # Errors
    /// [`TopicError`]: it certainly did not leave.
    pub async fn publish(&self, topic: &str, message: Bytes) -> Result<(), TopicError> {
        topics::publish(&self.net, topic, message).await
    }
}

#[async_trait]
impl Transport for Libp2pTransport {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        if frame.len() > FRAME_MAX {
            return Err(TransportError::TooLarge { size: frame.len(), max: FRAME_MAX });
        }
        if self.net.is_closing() {
            return Err(TransportError::Closed);
        }
        self.net.with_peer(to, |peer| peer.send(frame))
    }

    async fn ready(&self, to: NodeId) {
        if let Some(peer) = self.net.peer(to) {
            peer.ready().await;
        }
    }

    fn broadcast(&self, frame: Bytes) {
        if frame.len() > FRAME_MAX {
            tracing::warn!(
                size = frame.len(),
                max = FRAME_MAX,
                "a broadcast is larger than a frame may be: not sent"
            );
            return;
        }
        if !self.net.is_closing() {
            // Whoever is full, or gone by now, is passed over: that is what the port says of a broadcast.
            self.net.each_peer(|peer| drop(peer.send(frame.clone())));
        }
    }

    async fn receive(&self) -> Option<Inbound> {
        self.net.inbox.take().await
    }

    fn reaches(&self, to: NodeId) -> bool {
        !self.net.is_closing() && self.net.peer(to).is_some_and(|peer| peer.is_up())
    }

    async fn close(&self) {
        dht::take_back(&self.net).await;
        self.net.farewell(CLOSE_MAX).await;
        self.net.end();
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        self.loops.iter().map(Attended::part).collect()
    }
}

impl Drop for Libp2pTransport {
    fn drop(&mut self) {
        self.net.end();
    }
}

impl std::fmt::Debug for Libp2pTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Libp2pTransport").field("node", &self.net.node).finish_non_exhaustive()
    }
}

fn targets(options: &Libp2pOptions) -> Result<Vec<Target>, Libp2pError> {
    let all = [&options.listen, &options.announce, &options.peers, &options.relays];
    match all.iter().map(|addresses| addresses.len()).max() {
        Some(count) if count > CONFIGURED_ADDRESSES_MAX => Err(Libp2pError::TooMany { count }),
        Some(_) | None => options.peers.iter().map(|text| parse_target(text)).collect(),
    }
}

/// Meets those whose name is known; the addresses of the others.
fn begin(net: &Arc<Net>, targets: Vec<Target>) -> Vec<libp2p::Multiaddr> {
    let mut seeds = Vec::new();
    for Target { address, node } in targets {
        match node.map(|node| net.meet(node)) {
            Some(Some(peer)) => learn(&peer, address),
            Some(None) => tracing::debug!(%address, "it is this node, or one that may not be linked with"),
            None => seeds.push(address),
        }
    }
    seeds
}

fn learn(peer: &Peer, address: libp2p::Multiaddr) {
    peer.learn(address, true);
}

/// The loop that drives the swarm. It takes the swarm down with it when the transport is closed.
fn drive(net: &Arc<Net>, driven: Driven) -> Attended {
    let (net, driven) = (net.clone(), Arc::new(Mutex::new(Some(driven))));
    Attended::start("libp2p-swarm", move |run: Run<'_>| {
        let (net, driven) = (net.clone(), driven.clone());
        async move {
            let mut driven = driven.lock().await;
            let Some(swarm) = driven.as_mut() else { return Ok(()) };
            let ended = swarm.drive(&net, run).await;
            *driven = None;
            ended
        }
        .boxed()
    })
}

/// The loop that closes idle streams.
fn watch(net: &Arc<Net>) -> Attended {
    let net = net.clone();
    Attended::start("libp2p-streams", move |_| {
        let net = net.clone();
        async move {
            tokio::select! {
                biased;
                () = net.streams.watch() => {}
                () = net.closed.cancelled() => {}
            }
            Ok(())
        }
        .boxed()
    })
}

fn keep(net: &Arc<Net>, seeds: Vec<libp2p::Multiaddr>) -> Attended {
    let net = net.clone();
    Attended::start("libp2p-seeds", move |_| seeds::keep(net.clone(), seeds.clone()).boxed())
}

/// The loop that announces this node in the table.
fn announce(net: &Arc<Net>) -> Attended {
    let net = net.clone();
    Attended::start("libp2p-announcer", move |_| dht::keep(net.clone()).boxed())
}
