//! Who this node is, and who its agents are.

use std::time::Duration;

use connectome_codecs::identity::{
    Certificate, Claims, IdentityLog, InstanceKeys, PoolKeys, PoolPrekey, Voucher,
};
use connectome_codecs::key::Entropy;
use connectome_codecs::seal::StoreKey;
use connectome_codecs::{AgentId, AgentName, Capability, NodeId, Refusal, UnixMillis};

/// Keeps secret keys and uses them; it never hands one out. And it checks what others have signed.
///
/// Nodes that share a root are one owner's: they stand behind the same agents and pools, and read what any of them has
/// stored. To nodes with another root they are strangers who can be talked to.
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

    /// Stands behind the keys of an instance: the certificate that says whose they are. `claims.agent` is filled in.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the key can neither be read nor made.
    fn certify(
        &self,
        whose: Whose<'_>,
        claims: Claims,
        keys: &InstanceKeys,
    ) -> Result<Certificate, KeyStoreError>;

    /// Takes back the certificates of these serials: the log after `before`, or the first one.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the key can't be had, `before` is another one's, or the log would be too long.
    fn take_back(
        &self,
        whose: Whose<'_>,
        before: Option<&IdentityLog>,
        serials: &[u64],
    ) -> Result<IdentityLog, KeyStoreError>;

    /// This owner's id as an organisation: the same on every node that shares the root key.
    fn organisation_id(&self) -> AgentId;

    /// Vouches for an agent or a node, as that organisation, from a moment on and for so long.
    fn vouch(&self, agent: AgentId, from: UnixMillis, life: Duration) -> Voucher;

    /// Seals at rest what is kept under this purpose, such as `state/greeter`: the same key on every node that shares the
    /// root, and over restarts; another one for each purpose. `purpose` must not hold a zero byte.
    fn store_key(&self, purpose: &str) -> StoreKey;

    /// The id of the pool of those who have a capability.
    fn pool_id(&self, capability: &Capability) -> AgentId;

    /// Makes the next prekey of that pool, which holds for `life`.
    fn rotate_pool(
        &self,
        capability: &Capability,
        keys: &mut PoolKeys,
        life: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> PoolPrekey;
}

/// Who stands behind an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// This node, for itself: its id is the node's key.
    Node,
    /// An agent.
    Agent(&'a AgentName),
}

/// A key could not be had. The environment must act: the text names the file and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key store: {0}")]
pub struct KeyStoreError(pub String);

impl From<Refusal> for KeyStoreError {
    fn from(refusal: Refusal) -> KeyStoreError {
        KeyStoreError(format!("what it made does not hold: {refusal}"))
    }
}
