//! The two ways to a node, as whoever chooses between them sees them.

use bytes::Bytes;
use connectome_actors::port::{Transport, TransportError};
use connectome_codecs::NodeId;

/// How a frame goes to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// With no one between.
    Direct,
    /// By a broker.
    Broker,
}

impl Way {
    pub(super) const BOTH: [Way; 2] = [Way::Direct, Way::Broker];

    pub(super) fn other(self) -> Way {
        match self {
            Way::Direct => Way::Broker,
            Way::Broker => Way::Direct,
        }
    }

    /// Its place in tables of both.
    pub(super) fn at(self) -> usize {
        match self {
            Way::Direct => 0,
            Way::Broker => 1,
        }
    }
}

/// A transport that knows whom it reaches.
pub(super) trait Carrier: Transport {
    /// The nodes that can be sent to now.
    fn peers(&self) -> Vec<NodeId>;
}

impl Carrier for crate::transport::libp2p::Libp2pTransport {
    fn peers(&self) -> Vec<NodeId> {
        Self::peers(self)
    }
}

impl Carrier for crate::transport::nats::NatsTransport {
    fn peers(&self) -> Vec<NodeId> {
        Self::peers(self)
    }
}

/// Both ways to one node.
pub(super) trait Ways {
    fn reach(&self, way: Way) -> bool;

    fn send(&self, way: Way, frame: Bytes) -> Result<(), TransportError>;

    /// The better way that is there now.
    fn best(&self) -> Option<Way> {
        Way::BOTH.into_iter().find(|way| self.reach(*way))
    }
}
