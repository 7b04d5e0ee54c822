//! From one root to every key: HKDF-SHA256 (RFC 5869), then Ed25519 (RFC 8032).
//!
//! ```text
//! pseudorandom key = HKDF-Extract(salt = "connectome/root/v1", input = the 32 bytes of the root)
//! node's seed      = HKDF-Expand(pseudorandom key, "connectome/node/v1"  ‖ 0x00 ‖ node name,  32 bytes)
//! agent's seed     = HKDF-Expand(pseudorandom key, "connectome/agent/v1" ‖ 0x00 ‖ agent name, 32 bytes)
//! pool's seed      = HKDF-Expand(pseudorandom key, "connectome/pool/v1"  ‖ 0x00 ‖ capability, 32 bytes)
//! organisation's   = HKDF-Expand(pseudorandom key, "connectome/organisation/v1" ‖ 0x00, 32 bytes)
//! store's key      = HKDF-Expand(pseudorandom key, "connectome/store/v1" ‖ 0x00 ‖ purpose,    32 bytes)
//! ```
//!
//! The labels are ASCII without a terminator, the names UTF-8. No label is the beginning of another one, so no two keys
//! have the same input. The key of a store is one for AES-256-GCM; a seed is an Ed25519 private key as RFC 8032, section
//! 5.1.5, has it. The vectors at the end of `tests.rs` are frozen: another result is another identity for every agent there
//! is.

use std::fmt;

use connectome_actors::port::KeyStoreError;
use connectome_codecs::key::{Secret, SigningKey as LabelledKey};
use connectome_codecs::{AgentName, Capability};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::system_randomness;

const ROOT: &[u8] = b"connectome/root/v1";
const NODE: &[u8] = b"connectome/node/v1";
const AGENT: &[u8] = b"connectome/agent/v1";
const POOL: &[u8] = b"connectome/pool/v1";
const ORGANISATION: &[u8] = b"connectome/organisation/v1";
const STORE: &[u8] = b"connectome/store/v1";

/// The secret that all keys come from. It is wiped when it goes, cannot be copied, and does not print.
///
/// It stands on the heap, so that moving it leaves no copy behind.
pub(super) struct Root(Box<Zeroizing<[u8; 32]>>);

impl Root {
    /// A root that is known already.
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Root {
        Root(Box::new(bytes))
    }

    /// A new one, from the operating system.
    pub(super) fn random() -> Result<Root, KeyStoreError> {
        system_randomness().map(Root::from_bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn node_key(&self, name: &str) -> SigningKey {
        SigningKey::from_bytes(&self.seed(NODE, name))
    }

    pub(super) fn agent_key(&self, name: &AgentName) -> SigningKey {
        SigningKey::from_bytes(&self.seed(AGENT, name.as_str()))
    }

    pub(super) fn pool_key(&self, capability: &Capability) -> LabelledKey {
        LabelledKey::from_seed(&self.secret(POOL, capability.as_str()))
    }

    /// The key with which the owner vouches for others.
    pub(super) fn organisation_key(&self) -> LabelledKey {
        LabelledKey::from_seed(&self.secret(ORGANISATION, ""))
    }

    pub(super) fn store_key(&self, purpose: &str) -> Secret<32> {
        self.secret(STORE, purpose)
    }

    fn secret(&self, label: &[u8], name: &str) -> Secret<32> {
        Secret::read(&*self.seed(label, name)).expect("a seed has 32 bytes")
    }

    fn seed(&self, label: &[u8], name: &str) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(ROOT), self.as_bytes())
            .expand_multi_info(&[label, &[0], name.as_bytes()], &mut *seed)
            .expect("32 bytes are less than the 8,160 that HKDF-SHA256 can make");
        seed
    }
}

/// The same key, for what is signed under a label.
pub(super) fn labelled(key: &SigningKey) -> LabelledKey {
    let seed = Zeroizing::new(key.to_bytes());
    LabelledKey::from_seed(&Secret::read(&*seed).expect("a seed has 32 bytes"))
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}
