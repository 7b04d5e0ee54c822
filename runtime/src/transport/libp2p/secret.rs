//! A cluster's secret: whoever knows it is a member, and shows it without telling it.
//!
//! ```text
//! proof = HMAC-SHA256(secret, "connectome/libp2p/member/v1" ‖ 0x00 ‖ prover's node id ‖ checker's node id ‖ namespace)
//! ```
//!
//! It is said inside a connection that both ends have authenticated, and holds for these two nodes alone, so whoever gets one
//! can't use it elsewhere. It can be guessed at offline by whoever gets one: the secret must be random.

use std::fmt;

use connectome_codecs::NodeId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::wire::Proof;

const LABEL: &[u8] = b"connectome/libp2p/member/v1\0";

/// The shortest secret: 128 bits of randomness in hexadecimal.
pub const SECRET_BYTES_MIN: usize = 32;

/// What only members of a cluster know. It is wiped when it goes, and does not print.
#[derive(Clone)]
pub struct ClusterSecret(Zeroizing<Vec<u8>>);

impl ClusterSecret {
    /// `None`: it is shorter than [`SECRET_BYTES_MIN`].
    ///
    /// ```
    /// use connectome::transport::libp2p::ClusterSecret;
    ///
    /// assert!(ClusterSecret::new(b"the output of `openssl rand -hex 32`").is_some());
    /// assert!(ClusterSecret::new(b"password").is_none());
    /// ```
    pub fn new(secret: &[u8]) -> Option<ClusterSecret> {
        (secret.len() >= SECRET_BYTES_MIN).then(|| ClusterSecret(Zeroizing::new(secret.to_vec())))
    }

    /// What `prover` shows to `checker`.
    pub(super) fn prove(&self, prover: NodeId, checker: NodeId, namespace: &str) -> Proof {
        self.mac(prover, checker, namespace).finalize().into_bytes().into()
    }

    /// Whether `prover` knows the secret.
    pub(super) fn accepts(&self, proof: &Proof, prover: NodeId, checker: NodeId, namespace: &str) -> bool {
        self.mac(prover, checker, namespace).verify_slice(proof).is_ok()
    }

    /// What only members can compute of these bytes; a label comes first.
    pub(super) fn mac_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    pub(super) fn is_mac_of(&self, mac: &[u8; 32], parts: &[&[u8]]) -> bool {
        self.over(parts).verify_slice(mac).is_ok()
    }

    fn mac(&self, prover: NodeId, checker: NodeId, namespace: &str) -> Hmac<Sha256> {
        self.over(&[LABEL, prover.as_bytes(), checker.as_bytes(), namespace.as_bytes()])
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        parts.iter().fold(mac, |mac, part| mac.chain_update(part))
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_two_nodes_and_its_cluster_alone() {
        let secret = ClusterSecret::new(&[7; 32]).unwrap();
        let (ada, bob) = (NodeId([1; 32]), NodeId([2; 32]));
        let proof = secret.prove(ada, bob, "main");
        assert!(secret.accepts(&proof, ada, bob, "main"));
        assert!(!secret.accepts(&proof, bob, ada, "main"));
        assert!(!secret.accepts(&proof, ada, NodeId([3; 32]), "main"));
        assert!(!secret.accepts(&proof, ada, bob, "other"));
        assert!(!ClusterSecret::new(&[8; 32]).unwrap().accepts(&proof, ada, bob, "main"));
    }
}
