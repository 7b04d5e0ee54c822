//! What waits in an outbox, sealed under the root: only this node's owner reads it before it leaves.

use std::ops::Deref;

use connectome_codecs::AgentName;
use connectome_codecs::seal::StoreKey;

use super::Seals;
use crate::port::StreamError;

/// What the key of the outbox is for.
const PURPOSE: &str = "outbox";

/// A message is written once.
const GENERATION: u64 = 1;

impl Seals {
    /// Seals an envelope that waits for an agent of another node.
    pub(crate) fn seal_waiting(&self, agent: &AgentName, envelope: &[u8]) -> Vec<u8> {
        self.waiting_key().seal(agent.as_str(), GENERATION, envelope, &mut self.entropy())
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when it is of another root, or for another agent.
    pub(crate) fn open_waiting(
        &self,
        agent: &AgentName,
        sealed: &[u8],
    ) -> Result<impl Deref<Target = Vec<u8>>, StreamError> {
        let opened = self.waiting_key().open(agent.as_str(), GENERATION, sealed);
        opened.map_err(|_| self.foreign(&format!("a message for {agent} in the outbox")))
    }

    fn waiting_key(&self) -> StoreKey {
        self.keys.store_key(PURPOSE)
    }
}
