//! Messages that nobody waits for the leaving of: those that follow one another closely share a signature.
//!
//! A signature costs thirty times what the rest of a seal costs. Whoever waits for each message to have left before it sends the
//! next one gives each its own; so when casts follow one another, the sender waits for room alone, and what gathers meanwhile is
//! sealed together. A cast by itself is sealed at once, and its sender hears what became of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::NodeId;
use tokio::time::{Instant, timeout_at};

use super::queue::{Fate, Lost, Outgoing, Unsent};
use super::{Peer, Peers};
use crate::port::TransportError;

/// Casts follow one another when no more than this is between them: what a batch may be gathered for.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(2);

impl Peers {
    /// Sends a message that has no answer. What does not leave after this has returned, `lost` is told of.
    pub(crate) async fn cast(
        self: &Arc<Peers>,
        node: NodeId,
        payload: Bytes,
        until: Instant,
        lost: Lost,
    ) -> Result<(), Unsent> {
        let peer = self.peer(node).ok_or(TransportError::Unreachable { to: node })?;
        if self.open || !self.follows(&peer) || !self.transport.reaches(node) {
            return self.send(node, payload, until, false).await;
        }
        peer.queue(Outgoing { payload, fate: Fate::Followed(lost) }, until).await?;
        self.attend(&peer, true);
        Ok(())
    }

    /// Whether another cast to this peer was a moment ago.
    fn follows(&self, peer: &Peer) -> bool {
        let now = self.began.elapsed().as_micros() as u64;
        let before = peer.cast_at.swap(now, Ordering::Relaxed);
        before > 0 && now.saturating_sub(before) <= FOLLOWS_WITHIN.as_micros() as u64
    }
}

impl Peer {
    /// Puts a message behind those that wait, as soon as there is room.
    pub(super) async fn queue(&self, mut message: Outgoing, until: Instant) -> Result<(), Unsent> {
        loop {
            let room = self.room.notified();
            let refused = self.waiting.lock().add(message);
            match refused {
                Ok(()) => return Ok(()),
                Err(back) => message = back,
            }
            timeout_at(until, room).await.map_err(|_| Unsent::TooLate(self.node))?;
        }
    }
}
