//! Who a node is to its peers: proved by a signature that is made above the transport, which holds no key.

use connectome_codecs::NodeId;

/// Proves who this node is, and checks what others say of themselves.
///
/// The key stays with whoever implements this; [`NodeIdentity`](crate::keystore::NodeIdentity) does with a key store.
pub trait Identity: Send + Sync + 'static {
    /// The public key that names this node.
    fn node_id(&self) -> NodeId;

    /// Signs a message for one purpose: a signature for another `context` says nothing in this one.
    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64];

    /// Whether this node signed this message for this purpose.
    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool;
}
