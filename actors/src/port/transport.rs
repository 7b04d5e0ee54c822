//! Frames between nodes: at most once, in order per pair of nodes, never a promise of arrival.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_codecs::NodeId;

use super::part::{ConnectionFigures, Part};

/// Carries frames to other nodes.
///
/// What an implementation promises, and the conformance suite checks:
/// * a frame arrives at most once, whole and unchanged, with the true sender beside it;
/// * frames from one node to another arrive in the order they were sent; some may be missing;
/// * `send` never waits; what it refuses certainly did not leave;
/// * queues are bounded both ways: a slow receiver makes `send` refuse, it does not make memory grow.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands one frame over for `to`. `Ok` means on its way, not arrived.
    ///
    /// # Errors
    /// [`TransportError`]: the frame certainly did not leave this node. After [`TransportError::Full`], wait for
    /// [`ready`](Transport::ready) and try again.
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError>;

    /// Ends when `send` to this node has a chance again: its queue has room, or is gone.
    async fn ready(&self, to: NodeId);

    /// Hands one frame over for every node that can be reached now; those that can't, or are full, are passed over.
    fn broadcast(&self, frame: Bytes);

    /// The next thing that happened; `None` once the transport is closed.
    ///
    /// One task receives. Dropping the future loses nothing.
    async fn receive(&self) -> Option<Inbound>;

    /// Whether `to` can be reached without a broker in between, as far as is known now.
    fn reaches(&self, to: NodeId) -> bool;

    /// Closes: queued frames are given a moment to leave, then `receive` ends everywhere.
    async fn close(&self);

    /// What must go on for it to work, for a supervisor to run. Nothing, unless it says so.
    fn parts(&self) -> Vec<Arc<dyn Part>> {
        Vec::new()
    }

    /// Where its connection to a broker stands. `None`: it needs none.
    fn connection(&self) -> Option<ConnectionFigures> {
        None
    }
}

/// What a transport hands up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inbound {
    /// A frame, and the node that sent it.
    Frame {
        /// The sender, as the transport authenticated it.
        from: NodeId,
        /// The bytes, unchanged.
        frame: Bytes,
    },
    /// Frames from `from` were lost on the way, as far as the transport can tell.
    Gap {
        /// The node whose frames are missing.
        from: NodeId,
        /// How many, where that is known.
        frames: Option<u64>,
    },
    /// The path to `peer` has ended; frames in flight may or may not have arrived.
    Disconnected {
        /// The node that can't be reached any more by this path.
        peer: NodeId,
    },
}

/// Why a frame did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No path to that node is known now.
    #[error("no path to {to}: it is not connected")]
    Unreachable {
        /// The node that was meant.
        to: NodeId,
    },
    /// The bounded queue to that node is full.
    #[error("the queue to {to} is full ({bound} frames): it reads more slowly than we write")]
    Full {
        /// The node that was meant.
        to: NodeId,
        /// The bound that was met, in frames.
        bound: usize,
    },
    /// The frame is larger than a frame may be.
    #[error(
        "a frame of {size} bytes is larger than the {max} that may be sent; split the body, or store it and send its name"
    )]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// The transport was closed.
    #[error("the transport is closed")]
    Closed,
}
