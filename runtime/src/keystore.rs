//! Who this node and its agents are: one secret root, from which every key is derived.
//!
//! [`FileKeys`] keeps the root in a file that only its owner can read; [`MemoryKeys`] has it from its caller, for tests and
//! simulations. Both derive alike, so nodes that share a root know the same agents by the same ids.
//!
//! No key leaves this module, except those that seal what one purpose keeps at rest, which nobody can print or copy, and the
//! node's key for libp2p, whose handshakes sign by themselves: it signs, and it tells public keys. It does not rotate or share
//! the root.
//! The derivation is specified in `keystore/derive.rs`, the rules for the file in `keystore/file.rs`.

use std::fmt;
use std::io;
use std::time::Duration;

use connectome_actors::port::{KeyStore, KeyStoreError, Whose};
use connectome_codecs::identity::{
    Certificate, Claims, IdentityLog, InstanceKeys, PoolKeys, PoolPrekey, Voucher,
};
use connectome_codecs::key::{Entropy, SigningKey as LabelledKey};
use connectome_codecs::seal::StoreKey;
use connectome_codecs::{AgentId, AgentName, Capability, NodeId, UnixMillis};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

#[cfg(feature = "libp2p")]
use crate::transport::libp2p::PeerKey;

mod derive;
mod file;
#[cfg(feature = "nats")]
mod node_identity;
mod wrapped;

use derive::{Root, labelled};
pub use file::{FileKeys, protect, read_passphrase};
#[cfg(feature = "nats")]
pub use node_identity::NodeIdentity;
pub use wrapped::{PASSPHRASE_MIN, Passphrase};

/// The root in memory only: gone with the process.
///
/// ```
/// use connectome::keystore::MemoryKeys;
/// use connectome_actors::port::KeyStore;
///
/// let (here, there) = (MemoryKeys::from_seed([7; 32], "here"), MemoryKeys::from_seed([7; 32], "there"));
/// assert_ne!(here.node_id(), there.node_id());
/// let greeter = "greeter".parse()?;
/// assert_eq!(here.agent_id(&greeter)?, there.agent_id(&greeter)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryKeys {
    root: Root,
    node: SigningKey,
}

impl MemoryKeys {
    /// Keys that are a function of the seed and the node's name. The seed is as secret as what it is used for: a
    /// simulation's may be its number, any other must be random.
    pub fn from_seed(seed: [u8; 32], node_name: &str) -> MemoryKeys {
        MemoryKeys::from_root(Root::from_bytes(Zeroizing::new(seed)), node_name)
    }

    /// Keys that nobody has had before and nobody can have again.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random(node_name: &str) -> Result<MemoryKeys, KeyStoreError> {
        Ok(MemoryKeys::from_root(Root::random()?, node_name))
    }

    /// The node's key, for the handshakes of libp2p, which makes them itself.
    #[cfg(feature = "libp2p")]
    pub fn peer_key(&self) -> PeerKey {
        PeerKey::from_seed(&mut Zeroizing::new(self.node.to_bytes()))
    }

    /// The key that stands behind the certificates of the node or an agent.
    fn signer(&self, whose: Whose<'_>) -> LabelledKey {
        match whose {
            Whose::Node => labelled(&self.node),
            Whose::Agent(name) => labelled(&self.root.agent_key(name)),
        }
    }

    fn from_root(root: Root, node_name: &str) -> MemoryKeys {
        let node = root.node_key(node_name);
        MemoryKeys { root, node }
    }
}

impl KeyStore for MemoryKeys {
    fn node_id(&self) -> NodeId {
        NodeId(self.node.verifying_key().to_bytes())
    }

    fn agent_id(&self, name: &AgentName) -> Result<AgentId, KeyStoreError> {
        Ok(AgentId(self.root.agent_key(name).verifying_key().to_bytes()))
    }

    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.node.sign(&signed_bytes(context, message)).to_bytes()
    }

    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(node.as_bytes())
            .is_ok_and(|key| key.verify_strict(&signed_bytes(context, message), &signature).is_ok())
    }

    fn certify(
        &self,
        whose: Whose<'_>,
        mut claims: Claims,
        keys: &InstanceKeys,
    ) -> Result<Certificate, KeyStoreError> {
        let signer = self.signer(whose);
        claims.agent = AgentId(*signer.verifying_key().as_bytes());
        Ok(Certificate::issue(&claims, &signer, keys, &[]))
    }

    fn take_back(
        &self,
        whose: Whose<'_>,
        before: Option<&IdentityLog>,
        serials: &[u64],
    ) -> Result<IdentityLog, KeyStoreError> {
        Ok(IdentityLog::take_back(before, &self.signer(whose), serials.iter().copied())?)
    }

    fn organisation_id(&self) -> AgentId {
        AgentId(*self.root.organisation_key().verifying_key().as_bytes())
    }

    fn vouch(&self, agent: AgentId, from: UnixMillis, life: Duration) -> Voucher {
        Voucher::issue(&self.root.organisation_key(), agent, from, life)
    }

    fn store_key(&self, purpose: &str) -> StoreKey {
        debug_assert!(!purpose.contains('\0'), "a purpose with a zero byte could be taken for another one");
        StoreKey::new(self.root.store_key(purpose))
    }

    fn pool_id(&self, capability: &Capability) -> AgentId {
        AgentId(*self.root.pool_key(capability).verifying_key().as_bytes())
    }

    fn rotate_pool(
        &self,
        capability: &Capability,
        keys: &mut PoolKeys,
        life: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> PoolPrekey {
        keys.rotate(&self.root.pool_key(capability), &pool_name(capability), true, life, now, entropy)
    }
}

/// What a pool is called in its prekeys, for people: its key is what tells it from others.
fn pool_name(capability: &Capability) -> AgentName {
    capability.as_str().replace('.', "_").parse().expect("a capability without its dots is an agent's name")
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys").field("node", &self.node_id()).finish_non_exhaustive()
    }
}

/// What a signature is made over: `context ‖ 0x00 ‖ message`. Whoever verifies one builds the same bytes.
///
/// ```
/// use connectome::keystore::signed_bytes;
///
/// assert_eq!(signed_bytes("record", b"body"), b"record\0body");
/// ```
pub fn signed_bytes(context: &str, message: &[u8]) -> Vec<u8> {
    debug_assert!(!context.contains('\0'), "a context with a zero byte could be taken for another one");
    [context.as_bytes(), &[0], message].concat()
}

/// 32 bytes from the operating system.
fn system_randomness() -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *bytes).map_err(|error| {
        let error = io::Error::from(error);
        KeyStoreError(format!(
            "the operating system gave no randomness ({error}): allow getrandom in its sandbox"
        ))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
