//! Two ways to the same nodes as one transport: with no one between where that can be, by a broker where it can't.
//!
//! For each node the direct link is used while it is up, and the broker's while it is not. A node is gone when neither way
//! reaches it. The port's promises hold over a change of the way, as the files below say:
//!
//! | file | what |
//! |---|---|
//! | `routed/outgoing` | which way a peer's frames go, and how that changes |
//! | `routed/incoming` | in which order what comes both ways is passed on, and when a peer is gone |
//! | `routed/kept` | what is sent again when a way was cut |
//! | `routed/mark` | what two nodes say to each other about it |
//! | `routed/way` | the two ways |
//!
//! What is not promised: frames that were under way when a link was cut are sent again only as far as they are kept, and only
//! to a node that was reached both ways before; what is lost beyond that is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{ConnectionFigures, Inbound, Part, Transport, TransportError};
use connectome_codecs::NodeId;
use connectome_codecs::limits::FRAME_MAX;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::incoming::{Due, Fate, Incoming};
use self::mark::Mark;
use self::outgoing::{Outgoing, Sent};
use self::way::{Carrier, Way, Ways};
use super::libp2p::Libp2pTransport;
use super::nats::NatsTransport;

mod incoming;
mod kept;
mod mark;
mod outgoing;
#[cfg(test)]
mod tests;
mod way;

/// How often what waits for time to pass is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How late that may be while there is always something to read.
const TICK_LATE_MAX: Duration = Duration::from_millis(400);

/// Nodes that are remembered: as many as a broker's transport knows. Beyond it those that no way reaches are forgotten.
const PEERS_MAX: usize = 4_096;

/// Which ways frames went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RouteCounts {
    /// Frames that left with no one between.
    pub direct: u64,
    /// Frames that left by the broker.
    pub broker: u64,
    /// Times that the way to a peer changed.
    pub changes: u64,
    /// Frames that were sent again, since the link that they were sent over was cut.
    pub again: u64,
    /// Frames that were not, because they were not kept any more.
    pub lost: u64,
}

/// A direct and a brokered transport of one node, as one.
pub struct Routed {
    ways: [Arc<dyn Carrier>; 2],
    life: u64,
    peers: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
    next_tick: Mutex<Instant>,
    /// Nodes whose end is to be told.
    gone: Mutex<Vec<NodeId>>,
    /// Ways that bring nothing any more.
    over: [AtomicBool; 2],
    is_closed: AtomicBool,
    /// Which way is read first: in turns, so that neither starves the other.
    turn: AtomicBool,
    forgotten: Mutex<Sent>,
}

struct Peer {
    id: NodeId,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    /// The way has changed, or is about to.
    changed: Notify,
}

/// Both ways to one node.
struct To<'r> {
    ways: &'r [Arc<dyn Carrier>; 2],
    node: NodeId,
}

impl Ways for To<'_> {
    fn reach(&self, way: Way) -> bool {
        self.ways[way.at()].reaches(self.node)
    }

    fn send(&self, way: Way, frame: Bytes) -> Result<(), TransportError> {
        self.ways[way.at()].send(self.node, frame)
    }
}

impl Routed {
    /// Both are of the same node; they are closed with this. `life`: random for each process.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use connectome::transport::{libp2p::Libp2pTransport, nats::NatsTransport, routed::Routed};
    /// # fn of(direct: Arc<Libp2pTransport>, broker: Arc<NatsTransport>) {
    /// let routed = Routed::new(direct, broker, 0x5eed);
    /// assert_eq!(routed.counts().direct, 0);
    /// # }
    /// ```
    pub fn new(direct: Arc<Libp2pTransport>, broker: Arc<NatsTransport>, life: u64) -> Routed {
        Routed::of(direct, broker, life)
    }

    fn of(direct: Arc<dyn Carrier>, broker: Arc<dyn Carrier>, life: u64) -> Routed {
        Routed {
            ways: [direct, broker],
            life,
            peers: RwLock::default(),
            next_tick: Mutex::new(Instant::now() + TICK),
            gone: Mutex::default(),
            over: [false, false].map(AtomicBool::new),
            is_closed: AtomicBool::new(false),
            turn: AtomicBool::new(false),
            forgotten: Mutex::default(),
        }
    }

    /// Which ways frames went, since the node started.
    pub fn counts(&self) -> RouteCounts {
        let known = self.known().into_iter().map(|peer| peer.outgoing.lock().sent);
        known.fold(RouteCounts::default(), RouteCounts::with).with(*self.forgotten.lock())
    }

    fn to(&self, node: NodeId) -> To<'_> {
        To { ways: &self.ways, node }
    }

    fn known(&self) -> Vec<Arc<Peer>> {
        self.peers.read().values().cloned().collect()
    }

    fn peer(&self, node: NodeId) -> Arc<Peer> {
        if let Some(peer) = self.peers.read().get(&node) {
            return peer.clone();
        }
        let mut peers = self.peers.write();
        if peers.len() >= PEERS_MAX {
            self.make_room(&mut peers);
        }
        let make = || {
            let outgoing = Mutex::new(Outgoing::new(node, self.life));
            Arc::new(Peer { id: node, outgoing, incoming: Mutex::default(), changed: Notify::new() })
        };
        peers.entry(node).or_insert_with(make).clone()
    }

    fn make_room(&self, peers: &mut BTreeMap<NodeId, Arc<Peer>>) {
        let mut forgotten = self.forgotten.lock();
        peers.retain(|node, peer| {
            let stays = self.to(*node).best().is_some();
            if !stays {
                forgotten.add(peer.outgoing.lock().sent);
            }
            stays
        });
    }
}

/// Reading.
impl Routed {
    /// What is to be told of what came one way; `None`: nothing.
    fn take(&self, way: Way, inbound: Inbound) -> Option<Inbound> {
        match inbound {
            Inbound::Frame { from, frame } => {
                let peer = self.peer(from);
                if let Some(mark) = Mark::decode(&frame) {
                    self.heed(&peer, way, mark);
                    return None;
                }
                let fate = peer.incoming.lock().frame(way, Instant::now());
                (fate == Fate::PassOn).then_some(Inbound::Frame { from, frame })
            }
            Inbound::Gap { from, frames } => {
                self.peer(from).incoming.lock().gap(way, frames);
                Some(Inbound::Gap { from, frames })
            }
            Inbound::Disconnected { peer } => {
                let peer = self.peer(peer);
                let is_reached = self.to(peer.id).best().is_some();
                let due = peer.incoming.lock().ended(way, is_reached, Instant::now());
                peer.outgoing.lock().ended(way);
                self.carry_out(&peer, due).then_some(Inbound::Disconnected { peer: peer.id })
            }
            other => Some(other),
        }
    }

    fn heed(&self, peer: &Peer, way: Way, mark: Mark) {
        let now = Instant::now();
        match mark {
            Mark::Begin { life, stint } => peer.incoming.lock().begun(way, life, stint, now),
            Mark::Ask(ask) => {
                let answer = peer.incoming.lock().asked(way, ask, now);
                self.carry_out(peer, Due { answer, is_gone: false });
            }
            Mark::Answer { life, stint, read } => {
                peer.outgoing.lock().answered(life, stint, read, &self.to(peer.id), now);
                peer.changed.notify_waiters();
            }
        }
    }

    /// Whether the peer is gone.
    fn carry_out(&self, peer: &Peer, due: Due) -> bool {
        let to = self.to(peer.id);
        if let (Some(answer), Some(best)) = (due.answer, to.best()) {
            // Where it does not leave, it is asked for again.
            drop(to.send(best, answer.encode()));
        }
        let mut outgoing = peer.outgoing.lock();
        if due.is_gone {
            outgoing.gone();
        }
        outgoing.tend(&to, Instant::now());
        drop(outgoing);
        peer.changed.notify_waiters();
        due.is_gone
    }

    fn tick(&self) {
        let now = Instant::now();
        *self.next_tick.lock() = now + TICK;
        for peer in self.known() {
            let due = peer.incoming.lock().tick(now);
            if self.carry_out(&peer, due) {
                self.gone.lock().push(peer.id);
            }
        }
    }

    /// What one of the ways brings next; `None`: the look at what waits for time to pass is due.
    async fn next(&self) -> Option<(Way, Option<Inbound>)> {
        let tick = *self.next_tick.lock();
        if Instant::now() > tick + TICK_LATE_MAX {
            return None;
        }
        let first = if self.turn.fetch_xor(true, Ordering::Relaxed) { Way::Direct } else { Way::Broker };
        tokio::select! {
            biased;
            inbound = self.read(first) => Some((first, inbound)),
            inbound = self.read(first.other()) => Some((first.other(), inbound)),
            () = sleep_until(tick) => None,
        }
    }

    async fn read(&self, way: Way) -> Option<Inbound> {
        if self.over[way.at()].load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        self.ways[way.at()].receive().await
    }
}

#[async_trait]
impl Transport for Routed {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        if frame.len() > FRAME_MAX {
            return Err(TransportError::TooLarge { size: frame.len(), max: FRAME_MAX });
        }
        if self.is_closed.load(Ordering::Acquire) {
            return Err(TransportError::Closed);
        }
        let (ways, known) = (self.to(to), self.peers.read().get(&to).cloned());
        let peer = match known {
            Some(peer) => peer,
            None if ways.best().is_none() => return Err(TransportError::Unreachable { to }),
            None => self.peer(to),
        };
        peer.outgoing.lock().send(&ways, frame, Instant::now())
    }

    async fn ready(&self, to: NodeId) {
        let Some(peer) = self.peers.read().get(&to).cloned() else { return };
        loop {
            let changed = peer.changed.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.is_closed.load(Ordering::Acquire) || self.to(to).best().is_none() {
                return;
            }
            let open = peer.outgoing.lock().open();
            match open {
                Some(way) => tokio::select! {
                    biased;
                    () = self.ways[way.at()].ready(to) => return,
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    fn broadcast(&self, frame: Bytes) {
        if frame.len() > FRAME_MAX {
            let (size, max) = (frame.len(), FRAME_MAX);
            tracing::warn!(size, max, "a broadcast is larger than a frame may be: not sent");
            return;
        }
        let mut nodes: Vec<_> = self.ways.iter().flat_map(|way| way.peers()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        // Whoever is full, or gone by now, is passed over: that is what the port says of a broadcast.
        nodes.into_iter().for_each(|node| drop(self.send(node, frame.clone())));
    }

    async fn receive(&self) -> Option<Inbound> {
        loop {
            if self.over.iter().all(|over| over.load(Ordering::Relaxed)) {
                return None;
            }
            if let Some(peer) = self.gone.lock().pop() {
                return Some(Inbound::Disconnected { peer });
            }
            match self.next().await {
                Some((way, Some(inbound))) => {
                    if let Some(told) = self.take(way, inbound) {
                        return Some(told);
                    }
                }
                Some((way, None)) => self.over[way.at()].store(true, Ordering::Relaxed),
                None => self.tick(),
            }
        }
    }

    fn reaches(&self, to: NodeId) -> bool {
        !self.is_closed.load(Ordering::Acquire) && self.to(to).best().is_some()
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let [direct, broker] = &self.ways;
        tokio::join!(direct.close(), broker.close());
        self.known().iter().for_each(|peer| peer.changed.notify_waiters());
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        self.ways.iter().flat_map(|way| way.parts()).collect()
    }

    fn connection(&self) -> Option<ConnectionFigures> {
        self.ways.iter().find_map(|way| way.connection())
    }
}

impl std::fmt::Debug for Routed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routed").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl RouteCounts {
    fn with(self, sent: Sent) -> RouteCounts {
        RouteCounts {
            direct: self.direct + sent.frames[Way::Direct.at()],
            broker: self.broker + sent.frames[Way::Broker.at()],
            changes: self.changes + sent.changes,
            again: self.again + sent.again,
            lost: self.lost + sent.lost,
        }
    }
}
