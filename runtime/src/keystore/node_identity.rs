//! A node's identity on the wire: signed with its key, checked with those of others. The key stays in its store.

use std::sync::Arc;

use connectome_actors::port::KeyStore;
use connectome_codecs::NodeId;

use crate::transport::nats::Identity;

/// Proves who a node is by its [`KeyStore`].
///
/// ```
/// use std::sync::Arc;
/// use connectome::keystore::{MemoryKeys, NodeIdentity};
/// use connectome::transport::nats::Identity;
///
/// let ada = NodeIdentity::new(Arc::new(MemoryKeys::from_seed([7; 32], "ada")));
/// let signature = ada.sign("greeting", b"hello");
/// assert!(ada.verify(ada.node_id(), "greeting", b"hello", &signature));
/// assert!(!ada.verify(ada.node_id(), "farewell", b"hello", &signature));
/// ```
#[derive(Clone)]
pub struct NodeIdentity(Arc<dyn KeyStore>);

impl NodeIdentity {
    /// The identity of the node whose keys these are.
    pub fn new(keys: Arc<dyn KeyStore>) -> NodeIdentity {
        NodeIdentity(keys)
    }
}

impl Identity for NodeIdentity {
    fn node_id(&self) -> NodeId {
        self.0.node_id()
    }

    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.0.sign(context, message)
    }

    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify(node, context, message, signature)
    }
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NodeIdentity").field(&self.node_id()).finish()
    }
}
