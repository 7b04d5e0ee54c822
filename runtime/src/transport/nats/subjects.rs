//! The subjects of the transport: one for everyone, one for each node.

use std::collections::HashMap;

use async_nats::Subject;
use connectome_codecs::NodeId;

use super::links::Destination;
use super::options::NatsError;

/// The longest namespace: a word or two, and subjects stay below 256 bytes.
const NAMESPACE_MAX: usize = 64;

/// Subjects that are kept ready: as many as nodes that are known at a time.
const READY_MAX: usize = super::links::PEERS_MAX;

/// The subjects of one namespace.
#[derive(Debug)]
pub(super) struct Subjects {
    everyone: Subject,
    /// What the subject of each node begins with.
    prefix: String,
    ready: HashMap<NodeId, Subject>,
}

impl Subjects {
    /// # Errors
    /// [`NatsError::Namespace`].
    pub(super) fn new(namespace: &str) -> Result<Subjects, NatsError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        let fits = (1..=NAMESPACE_MAX).contains(&namespace.len()) && namespace.bytes().all(plain);
        if !fits {
            return Err(NatsError::Namespace { namespace: namespace.to_owned() });
        }
        let everyone = format!("{namespace}.nodes").into();
        Ok(Subjects { everyone, prefix: format!("{namespace}.node."), ready: HashMap::new() })
    }

    pub(super) fn of(&mut self, to: Destination) -> Subject {
        match to {
            Destination::Everyone => self.everyone.clone(),
            Destination::Node(node) => self.of_node(node),
        }
    }

    /// Whose subject this is, as text that may or may not be a node id.
    pub(super) fn node<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.prefix)
    }

    fn of_node(&mut self, node: NodeId) -> Subject {
        if self.ready.len() >= READY_MAX && !self.ready.contains_key(&node) {
            self.ready.clear();
        }
        self.ready.entry(node).or_insert_with(|| format!("{}{node}", self.prefix).into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node's subject is found by its id, and tells it.
    #[test]
    fn subjects_name_nodes() {
        let mut subjects = Subjects::new("main").unwrap();
        let node = NodeId([7; 32]);
        let subject = subjects.of(Destination::Node(node));
        assert_eq!(subject.as_str(), format!("main.node.{node}"));
        assert_eq!(subjects.node(&subject).unwrap().parse(), Ok(node));
        assert_eq!(subjects.node("other.node.x"), None);
        assert_eq!(subjects.of(Destination::Everyone).as_str(), "main.nodes");
    }

    /// A namespace that would be several tokens, or a wildcard, is refused.
    #[test]
    fn a_namespace_is_one_token() {
        for wrong in ["", "a.b", "*", ">", "a b", "ä", &"x".repeat(65)] {
            let error = Subjects::new(wrong).unwrap_err();
            assert_eq!(error, NatsError::Namespace { namespace: wrong.to_owned() });
        }
    }
}
