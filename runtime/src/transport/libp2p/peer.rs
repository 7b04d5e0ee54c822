//! What is known of one peer, and what waits to be sent to it: shared by those who send, by the swarm, and by whoever keeps
//! its link.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use connectome_actors::port::TransportError;
use connectome_codecs::NodeId;
use libp2p::swarm::{ConnectionId, Stream};
use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::addresses::ADDRESSES_PER_NODE_MAX;
use super::window::{Bounds, Sending};

/// One peer.
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) peer_id: PeerId,
    state: Mutex<State>,
    /// There is room, or a link has come up or ended.
    room: Notify,
    /// There is something for whoever writes on the link.
    pub(super) written: Notify,
    /// There is something for whoever makes the link: a connection, a stream, an address.
    pub(super) stirred: Notify,
    /// The peer has opened a stream for the link to go on with.
    pub(super) moved: Notify,
}

#[derive(Default)]
struct State {
    connections: BTreeMap<ConnectionId, Connection>,
    offered: Option<Offer>,
    /// The stream that the link is to go on with.
    moved: Option<Offer>,
    /// Where it can be dialled, and whether that was configured.
    addresses: BTreeMap<Multiaddr, bool>,
    link: Option<Outgoing>,
    is_closing: bool,
}

/// A connection with the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    is_relayed: bool,
    /// No link came of it.
    is_useless: bool,
}

/// A stream that the peer has opened for a link.
pub(super) type Offer = (ConnectionId, Stream);

/// What waits to be written on the link that is up.
struct Outgoing {
    connection: ConnectionId,
    is_relayed: bool,
    sending: Sending,
    queue: VecDeque<Bytes>,
}

/// What a writer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Frames,
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl Peer {
    pub(super) fn new(id: NodeId, peer_id: PeerId) -> Peer {
        let [room, written, stirred, moved] = [(); 4].map(|()| Notify::new());
        Peer { id, peer_id, state: Mutex::default(), room, written, stirred, moved }
    }

    /// Queues a frame for the link.
    pub(super) fn send(&self, frame: Bytes) -> Result<(), TransportError> {
        let mut state = self.state.lock();
        let Some(link) = &mut state.link else {
            return Err(TransportError::Unreachable { to: self.id });
        };
        if !link.sending.has_room_for(frame.len()) {
            return Err(TransportError::Full { to: self.id, bound: link.sending.bound() });
        }
        link.sending.take(frame.len());
        link.queue.push_back(frame);
        let is_first = link.queue.len() == 1;
        drop(state);
        if is_first {
            self.written.notify_one();
        }
        Ok(())
    }

    /// Ends when a frame of any size may fit, or the link is gone.
    pub(super) async fn ready(&self) {
        self.until(|state| state.link.as_ref().is_none_or(|link| link.sending.has_room())).await;
    }

    /// Ends when there is a link.
    pub(super) async fn up(&self) {
        self.until(|state| state.link.is_some()).await;
    }

    /// Ends when there is none.
    pub(super) async fn down(&self) {
        self.until(|state| state.link.is_none()).await;
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let changed = self.room.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if done(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.lock().link.is_some()
    }

    /// A link is up on a connection: frames may be sent.
    pub(super) fn link_up(&self, connection: ConnectionId, bounds: Bounds) {
        let mut state = self.state.lock();
        let is_relayed = state.is_relayed(connection);
        let (sending, queue) = (Sending::new(bounds), VecDeque::new());
        state.moved = None;
        state.link = Some(Outgoing { connection, is_relayed, sending, queue });
        drop(state);
        self.room.notify_waiters();
    }

    /// The link goes on, on another connection.
    pub(super) fn link_moved(&self, connection: ConnectionId) {
        let mut state = self.state.lock();
        let is_relayed = state.is_relayed(connection);
        if let Some(link) = &mut state.link {
            (link.connection, link.is_relayed) = (connection, is_relayed);
        }
    }

    /// The connection of the link that is up.
    pub(super) fn link_connection(&self) -> Option<ConnectionId> {
        self.state.lock().link.as_ref().map(|link| link.connection)
    }

    /// Whether there is a link, and it leads over a relay.
    pub(super) fn is_relayed(&self) -> bool {
        self.state.lock().link.as_ref().is_some_and(|link| link.is_relayed)
    }

    /// It is not any more. What was not written is lost.
    pub(super) fn link_down(&self) {
        self.state.lock().link = None;
        self.room.notify_waiters();
    }

    /// The peer has read so many frames of this link.
    pub(super) fn was_read(&self, total: u64) {
        let made_room = self.state.lock().link.as_mut().is_some_and(|link| link.sending.read(total));
        if made_room {
            self.room.notify_waiters();
        }
    }

    /// Puts everything that waits into `batch`, which is empty.
    pub(super) fn take(&self, batch: &mut VecDeque<Bytes>) -> Found {
        let mut state = self.state.lock();
        let is_closing = state.is_closing;
        match &mut state.link {
            Some(link) if !link.queue.is_empty() => {
                std::mem::swap(&mut link.queue, batch);
                Found::Frames
            }
            Some(_) if is_closing => Found::End,
            Some(_) | None => Found::Nothing,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().is_closing
    }

    /// The link is to end once everything was written.
    pub(super) fn close(&self) {
        self.state.lock().is_closing = true;
        self.written.notify_one();
        self.stirred.notify_one();
    }
}

/// Connections and addresses.
impl Peer {
    pub(super) fn connected(&self, connection: ConnectionId, is_relayed: bool) {
        self.state.lock().connections.insert(connection, Connection { is_relayed, is_useless: false });
        self.stirred.notify_one();
    }

    pub(super) fn disconnected(&self, connection: ConnectionId) {
        self.state.lock().connections.remove(&connection);
        self.stirred.notify_one();
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.state.lock().connections.is_empty()
    }

    /// The newest connection that a link may come of; one over a relay where there is no other.
    pub(super) fn hopeful(&self) -> Option<ConnectionId> {
        self.state.lock().best(|connection| !connection.is_useless)
    }

    /// The newest connection; one over a relay where there is no other.
    pub(super) fn newest(&self) -> Option<ConnectionId> {
        self.state.lock().best(|_| true)
    }

    /// A direct connection, where the link leads over a relay.
    pub(super) fn better(&self) -> Option<ConnectionId> {
        let state = self.state.lock();
        let is_relayed = state.link.as_ref().is_some_and(|link| link.is_relayed);
        let direct = || state.best(|connection| !connection.is_relayed && !connection.is_useless);
        is_relayed.then(direct).flatten()
    }

    /// No link comes of this connection.
    pub(super) fn give_up_on(&self, connection: ConnectionId) {
        if let Some(known) = self.state.lock().connections.get_mut(&connection) {
            known.is_useless = true;
        }
    }

    /// The peer has opened a stream for a link; only the last one counts.
    pub(super) fn offer(&self, connection: ConnectionId, stream: Stream) {
        let before = self.state.lock().offered.replace((connection, stream));
        drop(before);
        self.stirred.notify_one();
    }

    /// The peer has opened a stream for the link to go on with; only the last one counts.
    pub(super) fn offer_to_move(&self, connection: ConnectionId, stream: Stream) {
        let mut state = self.state.lock();
        if state.link.is_some() {
            let before = state.moved.replace((connection, stream));
            drop(state);
            drop(before);
            self.moved.notify_one();
        }
    }

    pub(super) fn take_offer_to_move(&self) -> Option<Offer> {
        self.state.lock().moved.take()
    }

    pub(super) fn take_offer(&self) -> Option<Offer> {
        self.state.lock().offered.take()
    }

    pub(super) fn has_offer(&self) -> bool {
        self.state.lock().offered.is_some()
    }

    /// It can be dialled there, somebody says; a configured address is never given up. Whether it is new.
    pub(super) fn learn(&self, address: Multiaddr, is_configured: bool) -> bool {
        let mut state = self.state.lock();
        let has_room = is_configured || state.addresses.len() < ADDRESSES_PER_NODE_MAX;
        let is_new = !state.addresses.contains_key(&address);
        if has_room || !is_new {
            *state.addresses.entry(address).or_default() |= is_configured;
        }
        drop(state);
        if has_room && is_new {
            self.stirred.notify_one();
        }
        has_room && is_new
    }

    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        self.state.lock().addresses.keys().cloned().collect()
    }

    /// Takes what was learned and did not help; configured addresses stay.
    pub(super) fn unlearn(&self) {
        self.state.lock().addresses.retain(|_, is_configured| *is_configured);
    }
}

impl State {
    fn is_relayed(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|connection| connection.is_relayed)
    }

    /// The newest of those that will do; of those over a relay only where there is no other.
    fn best(&self, will_do: impl Fn(&Connection) -> bool) -> Option<ConnectionId> {
        let some = self.connections.iter().filter(|(_, connection)| will_do(connection));
        some.max_by_key(|(id, connection)| (!connection.is_relayed, **id)).map(|(id, _)| *id)
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("id", &self.id).finish_non_exhaustive()
    }
}
