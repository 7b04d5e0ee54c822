//! What is looked for, and where in the table that stands.

use std::fmt;

use connectome_codecs::{AgentName, Capability};
use sha2::{Digest, Sha256};

use crate::transport::libp2p::secret::ClusterSecret;

const LABEL: &[u8] = b"connectome/libp2p/subject/v1\0";

/// Where in the table something stands.
pub(in crate::transport::libp2p) type Key = [u8; 32];

/// What nodes are looked for by.
///
/// ```
/// use connectome::transport::libp2p::Subject;
///
/// let subject = Subject::Capability("summarise".parse()?);
/// assert_eq!(subject.to_string(), "can:summarise");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// They are of this cluster: of the same namespace and, where there is one, with the same secret.
    Cluster,
    /// Their agents can do this.
    Capability(Capability),
    /// They run an agent of this name.
    Agent(AgentName),
}

impl Subject {
    /// Whoever does not know a cluster's secret can't tell what a key stands for, nor guess at it.
    pub(in crate::transport::libp2p) fn key(&self, namespace: &str, secret: Option<&ClusterSecret>) -> Key {
        let (kind, name) = match self {
            Subject::Agent(name) => (1, name.as_str()),
            Subject::Capability(capability) => (2, capability.as_str()),
            Subject::Cluster => (3, ""),
        };
        let head = [kind, namespace.len() as u8];
        let parts = [LABEL, &head, namespace.as_bytes(), name.as_bytes()];
        match secret {
            Some(secret) => secret.mac_of(&parts),
            None => parts.into_iter().fold(Sha256::new(), Digest::chain_update).finalize().into(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Cluster => f.write_str("the cluster"),
            Subject::Capability(capability) => write!(f, "can:{capability}"),
            Subject::Agent(name) => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Another kind, name, namespace or secret is another key.
    #[test]
    fn keys_differ() {
        let secret = ClusterSecret::new(&[7; 32]).unwrap();
        let subjects = [
            Subject::Cluster,
            Subject::Agent("a".parse().unwrap()),
            Subject::Capability("a".parse().unwrap()),
        ];
        let mut keys = BTreeSet::new();
        for subject in &subjects {
            for (namespace, secret) in [("main", None), ("maina", None), ("main", Some(&secret))] {
                keys.insert(subject.key(namespace, secret));
            }
        }
        assert_eq!(keys.len(), 9);
    }

    /// The table in the documentation, by a frozen vector.
    #[test]
    fn a_key_is_what_is_written() {
        let text = b"connectome/libp2p/subject/v1\0\x02\x04mainsummarise";
        let key = Subject::Capability("summarise".parse().unwrap()).key("main", None);
        assert_eq!(key, <[u8; 32]>::from(Sha256::digest(text)));
    }
}
