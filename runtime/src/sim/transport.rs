//! One node's end of the simulated network: [`Transport`] over [`Net`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Inbound, Transport, TransportError};
use connectome_codecs::NodeId;
use tokio::sync::Notify;

use super::network::Net;

/// The transport of one life of a node.
pub(super) struct SimTransport {
    pub(super) net: Arc<Net>,
    pub(super) node: NodeId,
    pub(super) life: u64,
    /// Something can be read, or nothing ever will.
    pub(super) some: Arc<Notify>,
    /// A queue has room again, or is gone.
    pub(super) room: Arc<Notify>,
}

#[async_trait]
impl Transport for SimTransport {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        self.net.send((self.node, self.life), to, frame)
    }

    async fn ready(&self, to: NodeId) {
        loop {
            let changed = self.room.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if !self.net.is_full((self.node, self.life), to) {
                return;
            }
            changed.await;
        }
    }

    fn broadcast(&self, frame: Bytes) {
        for to in self.net.reachable((self.node, self.life)) {
            // One that is full is passed over: that is what the port says of a broadcast.
            drop(self.net.send((self.node, self.life), to, frame.clone()));
        }
    }

    async fn receive(&self) -> Option<Inbound> {
        // A reader that always finds something must still let others run.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Some(next) = self.net.take((self.node, self.life)) {
                return next;
            }
            self.some.notified().await;
        }
    }

    fn reaches(&self, to: NodeId) -> bool {
        self.net.reachable((self.node, self.life)).contains(&to)
    }

    async fn close(&self) {
        self.net.leave((self.node, self.life));
    }
}
