//! The transport inside one process: nodes join a [`Hub`] and hand each other bytes.
//!
//! It never loses a frame between two living nodes, delays none, and keeps one order for everything a node is told. What
//! it does not do: invent faults. A simulator that delays, drops and partitions is its own transport.
//!
//! Nodes may run on different runtimes and threads. A node leaves when its transport is closed or dropped, as happens
//! when its runtime is; where somebody else still holds the transport, [`Hub::cut`] ends it like a crash.
//! The queue of frames that wait to be read is `inbox.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Inbound, Transport, TransportError};
use connectome_codecs::NodeId;
use connectome_codecs::limits::FRAME_MAX;
use parking_lot::RwLock;

mod inbox;

use inbox::Inbox;
pub use inbox::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

/// Where the nodes of one process meet. Cheap to clone; all clones are the same hub.
///
/// ```
/// use bytes::Bytes;
/// use connectome::transport::local::Hub;
/// use connectome_actors::port::{Inbound, Transport};
/// use connectome_codecs::NodeId;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let hub = Hub::new();
/// let (ada, bob) = (hub.join(NodeId([1; 32]))?, hub.join(NodeId([2; 32]))?);
/// ada.send(bob.node_id(), Bytes::from("hello"))?;
/// let heard = bob.receive().await;
/// assert_eq!(heard, Some(Inbound::Frame { from: ada.node_id(), frame: Bytes::from("hello") }));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hub {
    nodes: Arc<RwLock<BTreeMap<NodeId, Arc<Inbox>>>>,
}

/// A second node with the same key. Give it another name, or close the first one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{node} has joined this hub already: give each node of a process a name of its own, or close the first one"
)]
pub struct JoinError {
    /// The key that both have.
    pub node: NodeId,
}

impl Hub {
    /// A hub without nodes.
    pub fn new() -> Hub {
        Hub::default()
    }

    /// Connects a node with all that have joined and all that will.
    ///
    /// # Errors
    /// When a node with this key is here.
    pub fn join(&self, node: NodeId) -> Result<LocalTransport, JoinError> {
        let mut nodes = self.nodes.write();
        if nodes.contains_key(&node) {
            return Err(JoinError { node });
        }
        let inbox = Arc::new(Inbox::default());
        nodes.insert(node, inbox.clone());
        Ok(LocalTransport { hub: self.clone(), node, inbox })
    }

    /// The nodes that are here, sorted.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.nodes.read().keys().copied().collect()
    }

    /// Ends a node's transport as a crash would: at once, and the others are told. A node that is not here is no error.
    pub fn cut(&self, node: NodeId) {
        let inbox = self.nodes.read().get(&node).cloned();
        if let Some(inbox) = inbox {
            self.leave(node, &inbox);
        }
    }

    /// Takes out exactly this inbox; a later node may have joined with the same key.
    fn leave(&self, node: NodeId, inbox: &Arc<Inbox>) {
        let mut nodes = self.nodes.write();
        if nodes.get(&node).is_some_and(|joined| Arc::ptr_eq(joined, inbox)) {
            nodes.remove(&node);
            for other in nodes.values() {
                other.disconnected(node);
            }
        }
        inbox.close();
    }
}

/// One node's end of a [`Hub`]. A node has no path to itself: `send` to its own id is refused as unreachable.
#[derive(Debug)]
pub struct LocalTransport {
    hub: Hub,
    node: NodeId,
    inbox: Arc<Inbox>,
}

impl LocalTransport {
    /// The node that joined.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// The inbox of another node, as long as both are here.
    fn inbox_of(&self, to: NodeId) -> Option<Arc<Inbox>> {
        let nodes = self.hub.nodes.read();
        nodes.get(&to).filter(|_| to != self.node && !self.inbox.is_closed()).cloned()
    }
}

#[async_trait]
impl Transport for LocalTransport {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        if frame.len() > FRAME_MAX {
            return Err(TransportError::TooLarge { size: frame.len(), max: FRAME_MAX });
        }
        // The hub's lock is held until the frame is in its queue, so that none can follow our own farewell.
        let nodes = self.hub.nodes.read();
        if self.inbox.is_closed() {
            return Err(TransportError::Closed);
        }
        let inbox = nodes.get(&to).filter(|_| to != self.node).ok_or(TransportError::Unreachable { to })?;
        inbox.put(self.node, frame).map_err(|full| TransportError::Full { to, bound: full.frames })
    }

    async fn ready(&self, to: NodeId) {
        if let Some(inbox) = self.inbox_of(to) {
            tokio::select! {
                biased;
                () = inbox.room_for(self.node) => {}
                () = self.inbox.closed() => {}
            }
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
        let nodes = self.hub.nodes.read();
        let others = nodes.iter().filter(|(to, _)| **to != self.node && !self.inbox.is_closed());
        for (_, inbox) in others {
            // A full queue is passed over: that is what the port says of a broadcast.
            drop(inbox.put(self.node, frame.clone()));
        }
    }

    async fn receive(&self) -> Option<Inbound> {
        self.inbox.take().await
    }

    fn reaches(&self, to: NodeId) -> bool {
        self.inbox_of(to).is_some()
    }

    async fn close(&self) {
        self.hub.leave(self.node, &self.inbox);
    }
}

impl Drop for LocalTransport {
    fn drop(&mut self) {
        self.hub.leave(self.node, &self.inbox);
    }
}

#[cfg(test)]
mod tests;
