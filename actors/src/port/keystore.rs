//! Who this node is, and who its agents are.

use connectome_codecs::{AgentId, AgentName, NodeId};

/// Keeps secret keys and uses them; it never hands one out. And it checks what others have signed.
pub trait KeyStore: Send + Sync + 'static {
    /// The public key that names this node.
    fn node_id(&self) -> NodeId;

    /// The public key that names an agent: the same on every node that shares the root key, and over restarts.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the key can neither be read nor made.
    fn agent_id(&self, name: &AgentName) -> Result<AgentId, KeyStoreError>;

    /// Signs as the node: Ed25519 (RFC 8032) over `context`, a zero byte, and `message`, so that a signature made
    /// for one purpose says nothing in another. `context` must not hold a zero byte.
    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64];

    /// Whether `node` signed this message for this purpose. Any bytes may be asked about; strict (RFC 8032): a message has
    /// one signature that is right.
    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// A key could not be had. The environment must act: the text names the file and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key store: {0}")]
pub struct KeyStoreError(pub String);
