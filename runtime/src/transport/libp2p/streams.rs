//! Streams for others: whoever has a protocol of its own registers its name, and takes and opens streams of it beside the links.
//!
//! They are bounded for each peer and in all, and closed when nothing moves on them for too long. What it does not do: frame,
//! seal or keep what goes over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome_codecs::NodeId;
use libp2p::swarm::{Stream, StreamProtocol};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::lanes::{OpenError, Protocols};
use super::link::MEET_MAX;
use super::moving::MOVE;
use super::net::{Net, Order};
use super::swarm::LINK;

mod peer_stream;

pub use peer_stream::PeerStream;
use peer_stream::Shared;

/// Streams for others there may be, both ways together: each has some 16 KiB.
pub const STREAMS_MAX: usize = 4_096;

/// Protocols that may be registered: what peers agree on one of is read through for each stream.
pub const PROTOCOLS_MAX: usize = 64;

/// The longest name of a protocol: libp2p's longest has half of it.
pub const PROTOCOL_BYTES_MAX: usize = 128;

/// Streams that wait for whoever registered the protocol; one more is closed.
pub const WAITING_MAX: usize = 16;

/// A stream on which nothing moves for this long is closed, unless another time was asked for.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(60);

/// How often it is looked for streams that are idle.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerStreamError {
    /// The name is none.
    #[error(
        "{name:?} is no name of a protocol: write one such as /photos/1, of at most {PROTOCOL_BYTES_MAX} bytes"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Somebody has registered it, or it is the transport's own.
    #[error("{name} is taken on this node: choose another name, or end what has it")]
    Taken {
        /// The name.
        name: String,
    },
    /// A bound was met.
    #[error("no more than {max} {of}: close some")]
    TooMany {
        /// What there is too much of.
        of: &'static str,
        /// The bound.
        max: usize,
    },
    /// There is no connection with the peer, or none that may be used.
    #[error("no connection with {peer}: wait until it is linked")]
    Unreachable {
        /// The peer.
        peer: NodeId,
    },
    /// The peer has registered no such protocol.
    #[error("{peer} does not speak {name}: register it there")]
    Unsupported {
        /// The peer.
        peer: NodeId,
        /// The name.
        name: String,
    },
    /// Something else went wrong on the way.
    #[error("the stream to {peer} was not opened: {problem}")]
    Failed {
        /// The peer.
        peer: NodeId,
        /// What went wrong.
        problem: String,
    },
}

/// A stream that is open, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamRow {
    /// Its number on this node; never given twice.
    pub id: u64,
    /// Who is at the other end.
    pub peer: NodeId,
    /// Its protocol.
    pub protocol: String,
    /// Whether the peer has opened it.
    pub inbound: bool,
    /// For how long nothing has moved on it.
    pub idle: Duration,
}

/// Takes the streams of one protocol. Dropping it ends the registration, not the streams.
#[derive(Debug)]
pub struct PeerStreams {
    name: StreamProtocol,
    came: mpsc::Receiver<PeerStream>,
    table: Arc<Table>,
}

impl PeerStreams {
    /// The next stream that a peer has opened; `None` once the transport is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<PeerStream> {
        self.came.recv().await
    }
}

impl Drop for PeerStreams {
    fn drop(&mut self) {
        // Under one lock, or whoever registers the name in between would lose it.
        let mut state = self.table.state.lock();
        state.registered.remove(self.name.as_ref());
        self.table.protocols.remove(&self.name);
    }
}

/// Which protocols are registered, and which streams are open.
#[derive(Debug)]
pub(super) struct Table {
    protocols: Arc<Protocols>,
    per_peer_max: usize,
    numbers: AtomicU64,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    registered: BTreeMap<String, Registered>,
    open: BTreeMap<u64, Row>,
}

#[derive(Debug)]
struct Registered {
    idle_max: Duration,
    came: mpsc::Sender<PeerStream>,
}

#[derive(Debug)]
struct Row {
    peer: NodeId,
    protocol: String,
    inbound: bool,
    idle_max: Duration,
    shared: Arc<Shared>,
}

/// Reads the name of a protocol.
pub(super) fn parse_name(name: &str) -> Result<StreamProtocol, PeerStreamError> {
    let is_name =
        name.starts_with('/') && name.len() <= PROTOCOL_BYTES_MAX && !name.contains(char::is_control);
    let parsed = StreamProtocol::try_from_owned(name.to_owned()).ok().filter(|_| is_name);
    parsed.ok_or_else(|| PeerStreamError::Name { name: name.to_owned() })
}

impl Table {
    pub(super) fn new(protocols: Arc<Protocols>, per_peer_max: usize) -> Table {
        let (numbers, begun, state) = (AtomicU64::new(1), Instant::now(), Mutex::default());
        Table { protocols, per_peer_max, numbers, begun, state }
    }

    pub(super) fn register(
        self: &Arc<Table>,
        name: &str,
        idle_max: Duration,
    ) -> Result<PeerStreams, PeerStreamError> {
        let protocol = parse_name(name)?;
        let taken = || PeerStreamError::Taken { name: name.to_owned() };
        let mut state = self.state.lock();
        if state.registered.len() >= PROTOCOLS_MAX {
            return Err(PeerStreamError::TooMany { of: "protocols", max: PROTOCOLS_MAX });
        }
        if protocol == LINK || protocol == MOVE || !self.protocols.add(protocol.clone()) {
            return Err(taken());
        }
        let (sender, came) = mpsc::channel(WAITING_MAX);
        state.registered.insert(name.to_owned(), Registered { idle_max, came: sender });
        Ok(PeerStreams { name: protocol, came, table: self.clone() })
    }

    /// Hands over a stream that a peer has opened; one that nobody takes is closed.
    pub(super) fn came(self: &Arc<Table>, peer: NodeId, protocol: &StreamProtocol, stream: Stream) {
        let mut state = self.state.lock();
        let Some(registered) = state.registered.get(protocol.as_ref()) else { return };
        let (came, idle_max) = (registered.came.clone(), registered.idle_max);
        let Ok(stream) = self.keep(&mut state, peer, protocol, true, idle_max, stream) else { return };
        drop(state);
        if came.try_send(stream).is_err() {
            tracing::debug!(%peer, %protocol, "a stream was closed: too many wait to be taken");
        }
    }

    /// Whether one more may be opened with this peer.
    pub(super) fn check_room(&self, peer: NodeId) -> Result<(), PeerStreamError> {
        check(&self.state.lock(), peer, self.per_peer_max)
    }

    /// Keeps a stream that this node has opened.
    pub(super) fn opened(
        self: &Arc<Table>,
        peer: NodeId,
        protocol: &StreamProtocol,
        stream: Stream,
    ) -> Result<PeerStream, PeerStreamError> {
        let mut state = self.state.lock();
        let registered = state.registered.get(protocol.as_ref());
        let idle_max = registered.map_or(IDLE_DEFAULT, |registered| registered.idle_max);
        self.keep(&mut state, peer, protocol, false, idle_max, stream)
    }

    fn keep(
        self: &Arc<Table>,
        state: &mut State,
        peer: NodeId,
        protocol: &StreamProtocol,
        inbound: bool,
        idle_max: Duration,
        stream: Stream,
    ) -> Result<PeerStream, PeerStreamError> {
        check(state, peer, self.per_peer_max)?;
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared::new(stream, self.begun));
        let protocol = protocol.to_string();
        let row = Row { peer, protocol: protocol.clone(), inbound, idle_max, shared: shared.clone() };
        state.open.insert(id, row);
        Ok(PeerStream::new(id, peer, protocol, shared, self.clone()))
    }

    /// All that are open, by their numbers.
    pub(super) fn rows(&self) -> Vec<StreamRow> {
        let state = self.state.lock();
        let row = |(id, row): (&u64, &Row)| StreamRow {
            id: *id,
            peer: row.peer,
            protocol: row.protocol.clone(),
            inbound: row.inbound,
            idle: row.shared.idle(),
        };
        state.open.iter().map(row).collect()
    }

    /// Closes a stream. `false`: it is not open.
    pub(super) fn close(&self, id: u64) -> bool {
        let row = self.state.lock().open.remove(&id);
        row.inspect(|row| row.shared.close()).is_some()
    }

    /// Closes those on which nothing moves, for as long as it is run.
    pub(super) async fn watch(&self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let idle: Vec<u64> = {
                let state = self.state.lock();
                let idle = state.open.iter().filter(|(_, row)| row.shared.idle() >= row.idle_max);
                idle.map(|(id, _)| *id).collect()
            };
            for id in idle {
                self.close(id);
            }
        }
    }

    /// Closes everything; who takes streams comes to an end.
    pub(super) fn end(&self) {
        let state = std::mem::take(&mut *self.state.lock());
        state.open.values().for_each(|row| row.shared.close());
    }
}

/// Opens a stream on the newest connection with a peer.
pub(super) async fn open(net: &Net, node: NodeId, name: &str) -> Result<PeerStream, PeerStreamError> {
    let protocol = parse_name(name)?;
    if protocol == LINK || protocol == MOVE {
        return Err(PeerStreamError::Taken { name: name.to_owned() });
    }
    net.streams.check_room(node)?;
    let unreachable = PeerStreamError::Unreachable { peer: node };
    let peer = net.peer(node).filter(|peer| net.is_trusted(peer)).ok_or_else(|| unreachable.clone())?;
    let connection = peer.newest().ok_or(unreachable)?;
    let (reply, opened) = oneshot::channel();
    let order = Order::Open { peer: peer.peer_id, connection, protocol: protocol.clone(), reply };
    net.order(order).await;
    let failed = |problem: String| PeerStreamError::Failed { peer: node, problem };
    match timeout(MEET_MAX, opened).await {
        Ok(Ok(Ok(stream))) => net.streams.opened(node, &protocol, stream),
        Ok(Ok(Err(OpenError::Unsupported))) => {
            Err(PeerStreamError::Unsupported { peer: node, name: name.to_owned() })
        }
        Ok(Ok(Err(OpenError::Failed(problem)))) => Err(failed(problem)),
        Ok(Err(_)) => Err(failed("its connection is gone".to_owned())),
        Err(_) => Err(failed("the peer did not answer in time".to_owned())),
    }
}

fn check(state: &State, peer: NodeId, per_peer_max: usize) -> Result<(), PeerStreamError> {
    if state.open.len() >= STREAMS_MAX {
        return Err(PeerStreamError::TooMany { of: "streams", max: STREAMS_MAX });
    }
    let here = state.open.values().filter(|row| row.peer == peer).count();
    match here >= per_peer_max {
        true => Err(PeerStreamError::TooMany { of: "streams with one peer", max: per_peer_max }),
        false => Ok(()),
    }
}
