//! Who a node is to libp2p: its Ed25519 key is its peer id, and the one can be told from the other.
//!
//! Noise and TLS prove a key with their own handshakes, so the swarm must hold the node's. Beside that it signs what the node
//! says to everybody: messages of topics and announcements, each behind a label of its own. No message is sealed with it: that
//! happens above the transport, with the keys of agents.

use std::fmt;

use connectome_codecs::NodeId;
use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey, ed25519};

/// A node's key, for the handshakes of libp2p. It does not print.
///
/// A [key store](crate::keystore) makes it: `MemoryKeys::peer_key`, `FileKeys::peer_key`.
#[derive(Clone)]
pub struct PeerKey {
    node: NodeId,
    pair: Keypair,
}

impl PeerKey {
    /// The key whose private half (RFC 8032, section 5.1.5) this is; `seed` is wiped.
    pub(crate) fn from_seed(seed: &mut [u8; 32]) -> PeerKey {
        let pair = Keypair::ed25519_from_bytes(seed).expect("any 32 bytes are an Ed25519 private key");
        let node = node_of(&pair.public().to_peer_id()).expect("its public half is an Ed25519 key");
        PeerKey { node, pair }
    }

    /// The node whose key this is.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// How libp2p writes the node, such as `12D3KooW…`.
    pub fn peer_id(&self) -> String {
        self.pair.public().to_peer_id().to_base58()
    }

    pub(super) fn pair(&self) -> &Keypair {
        &self.pair
    }

    /// Signs these bytes; a label comes first.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.pair.sign(&parts.concat()).expect("an Ed25519 key signs anything")
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerKey").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The node that has this peer id. `None`: its key is of another kind, so it is no node of ours.
pub(super) fn node_of(peer: &PeerId) -> Option<NodeId> {
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let key = key.try_into_ed25519().ok()?;
    Some(NodeId(key.to_bytes()))
}

/// The peer id of a node. `None`: its id is no public key.
pub(super) fn peer_of(node: NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(node.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_peers_are_told_from_each_other() {
        let key = PeerKey::from_seed(&mut [7; 32]);
        let peer = peer_of(key.node_id()).unwrap();
        assert_eq!((node_of(&peer), peer.to_base58()), (Some(key.node_id()), key.peer_id()));
        assert_eq!(key.peer_id(), "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7");
    }

    #[test]
    fn a_hashed_or_foreign_key_is_no_node() {
        assert_eq!(node_of(&PeerId::random()), None);
    }
}
