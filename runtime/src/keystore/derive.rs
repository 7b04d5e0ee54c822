//! From one root to every key: HKDF-SHA256 (RFC 5869), then Ed25519 (RFC 8032).
//!
//! ```text
//! pseudorandom key = HKDF-Extract(salt = "connectome/root/v1", input = the 32 bytes of the root)
//! node's seed      = HKDF-Expand(pseudorandom key, "connectome/node/v1"  ‖ 0x00 ‖ node name,  32 bytes)
//! agent's seed     = HKDF-Expand(pseudorandom key, "connectome/agent/v1" ‖ 0x00 ‖ agent name, 32 bytes)
//! ```
//!
//! The labels are ASCII without a terminator, the names UTF-8. No label is the beginning of another one, so no two keys
//! have the same input. A seed is an Ed25519 private key as RFC 8032, section 5.1.5, has it. The vectors at the end of
//! `tests.rs` are frozen: another result is another identity for every agent there is.

use std::fmt;

use connectome_actors::port::KeyStoreError;
use connectome_codecs::AgentName;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::system_randomness;

const ROOT: &[u8] = b"connectome/root/v1";
const NODE: &[u8] = b"connectome/node/v1";
const AGENT: &[u8] = b"connectome/agent/v1";

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
        self.key(NODE, name)
    }

    pub(super) fn agent_key(&self, name: &AgentName) -> SigningKey {
        self.key(AGENT, name.as_str())
    }

    fn key(&self, label: &[u8], name: &str) -> SigningKey {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(ROOT), self.as_bytes())
            .expand_multi_info(&[label, &[0], name.as_bytes()], &mut *seed)
            .expect("32 bytes are less than the 8,160 that HKDF-SHA256 can make");
        SigningKey::from_bytes(&seed)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}
