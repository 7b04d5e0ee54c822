//! Why a node does not start.

use connectome_actors::TreeError;
use connectome_actors::port::{KeyStoreError, StreamError};

use crate::config::ConfigError;
use crate::streams::OpenError;
#[cfg(feature = "libp2p")]
use crate::streams::ServeError;
#[cfg(feature = "libp2p")]
use crate::transport::libp2p::Libp2pError;
use crate::transport::local::JoinError;

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys could not be had.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    World(#[from] std::io::Error),
    /// Another node of this key has joined already.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// NATS can't be reached, or not used.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Nats(#[from] crate::transport::nats::NatsError),
    /// Other nodes can't be reached directly.
    #[cfg(feature = "libp2p")]
    #[error(transparent)]
    Libp2p(#[from] Libp2pError),
    /// This node's store can't be served to the others.
    #[cfg(feature = "libp2p")]
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The streams could not be opened.
    #[error(transparent)]
    Streams(StreamError),
    /// The actors could not be started.
    #[error(transparent)]
    Tree(#[from] TreeError),
}
