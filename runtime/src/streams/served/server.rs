//! The node that serves its store: takes the streams that others open, and carries out what they ask.
//!
//! Whoever may open a stream here may do everything with the store: who that is, the transport decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{BucketConfig, Expect, Part, Storage, StreamError, Streams, World};
use connectome_codecs::NodeId;
use futures_util::FutureExt;
use parking_lot::Mutex as Lock;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{PROTOCOL, lasting};
use crate::streams::Embedded;
use crate::transport::libp2p::{Libp2pTransport, PeerStream, PeerStreamError, PeerStreams};
use crate::transport::looped::Attended;

mod desk;
mod follower;
mod handles;
mod session;
mod taking;

/// Clients at a time: as many as a node may have connections.
const SESSIONS_MAX: usize = 512;

/// Of these, the ones of one peer: one that is used, one that was lost and not noticed yet, and two commands.
const SESSIONS_PER_PEER_MAX: usize = 4;

/// A stream on which nothing moves for so long is closed. Clients say something six times as often.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Where a store keeps its id.
const BUCKET: &str = "served";
const ID: &str = "id";

/// Serves a store to the peers of a transport, until it is dropped.
#[derive(Debug)]
pub struct StoreServer {
    looped: Attended,
}

/// What all sessions share.
pub(super) struct Hall {
    pub(super) store: Embedded,
    pub(super) namespace: String,
    /// Which store this is: another one is never taken for it.
    pub(super) id: String,
    /// How many sessions each peer has.
    sessions: Lock<BTreeMap<NodeId, usize>>,
}

/// Why a store is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store has no id, and could not be given one.
    #[error("the store can't be served: {0}")]
    Store(#[from] StreamError),
    /// The transport does not take its streams.
    #[error("the store can't be served: {0}")]
    Transport(#[from] PeerStreamError),
}

impl StoreServer {
    /// Serves `store` to the cluster of this namespace.
    ///
    /// # Errors
    /// [`ServeError`]: the store is damaged, or the transport serves one already.
    pub async fn start(
        store: Embedded,
        world: &dyn World,
        transport: &Libp2pTransport,
        namespace: &str,
    ) -> Result<StoreServer, ServeError> {
        let id = id_of(&store, world).await?;
        let came = Arc::new(Mutex::new(transport.register(PROTOCOL, IDLE_MAX)?));
        let (namespace, sessions) = (namespace.to_owned(), Lock::default());
        let hall = Arc::new(Hall { store, namespace, id, sessions });
        let looped = lasting::start("store-server", move |_| {
            let (hall, came) = (hall.clone(), came.clone());
            async move { take(&hall, &mut *came.lock().await).await }.boxed()
        });
        Ok(StoreServer { looped })
    }

    /// What a supervisor runs.
    pub fn part(&self) -> Arc<dyn Part> {
        self.looped.part()
    }
}

/// The id of a store; a new one is given to a store without.
async fn id_of(store: &Embedded, world: &dyn World) -> Result<String, StreamError> {
    let config = BucketConfig { name: BUCKET.to_owned(), ttl: None, storage: Storage::File };
    let bucket = store.bucket(config).await?;
    let fresh = Bytes::from(format!("{:032x}", world.random()));
    match bucket.put(ID, fresh, Expect::Absent, None).await {
        Ok(_) | Err(StreamError::WrongRevision { .. }) => {}
        Err(error) => return Err(error),
    }
    let kept = bucket.get(ID).await?.and_then(|entry| entry.value);
    Ok(String::from_utf8_lossy(&kept.unwrap_or_default()).into_owned())
}

/// Takes streams until the transport is closed. Its sessions end with it.
async fn take(hall: &Arc<Hall>, came: &mut PeerStreams) {
    let mut sessions = JoinSet::new();
    while let Some(stream) = came.next().await {
        while sessions.try_join_next().is_some() {}
        match hall.enter(stream.peer(), sessions.len()) {
            Some(seat) => drop(sessions.spawn(sit(seat, stream))),
            None => tracing::debug!(peer = %stream.peer(), "a client of the store was turned away: too many"),
        }
    }
}

async fn sit(seat: Seat, stream: PeerStream) {
    let peer = stream.peer();
    if let Err(problem) = session::serve(seat.hall.clone(), stream).await {
        tracing::debug!(%peer, %problem, "a client of the store has gone");
    }
}

impl Hall {
    /// A seat for one more session, if there is one.
    fn enter(self: &Arc<Hall>, peer: NodeId, sessions: usize) -> Option<Seat> {
        let mut seats = self.sessions.lock();
        let of_peer = seats.get(&peer).copied().unwrap_or(0);
        if sessions >= SESSIONS_MAX || of_peer >= SESSIONS_PER_PEER_MAX {
            return None;
        }
        seats.insert(peer, of_peer + 1);
        Some(Seat { hall: self.clone(), peer })
    }
}

/// A session's place, until it ends.
struct Seat {
    hall: Arc<Hall>,
    peer: NodeId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hall.sessions.lock();
        match seats.get(&self.peer) {
            Some(1) | None => drop(seats.remove(&self.peer)),
            Some(&more) => drop(seats.insert(self.peer, more - 1)),
        }
    }
}
