//! An agent's kept state, sealed under the root.

use std::ops::Deref;

use connectome_codecs::seal::StoreKey;
use connectome_codecs::{AgentName, Refusal};

use super::Seals;
use crate::port::StreamError;

impl Seals {
    /// Seals what an agent keeps.
    pub(crate) fn seal_state(&self, agent: &AgentName, generation: u64, state: &[u8]) -> Vec<u8> {
        self.state_key(agent).seal(agent.as_str(), generation, state, &mut self.entropy())
    }

    /// Opens it, and says in which generation it was written.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when it is of an older generation, another root, or no sealed state at all.
    pub(crate) fn open_state(
        &self,
        agent: &AgentName,
        at_least: u64,
        sealed: &[u8],
    ) -> Result<(impl Deref<Target = Vec<u8>>, u64), StreamError> {
        let what = || format!("the kept state of {agent}");
        match self.state_key(agent).open(agent.as_str(), at_least, sealed) {
            Ok(state) => Ok((state, StoreKey::generation(sealed).unwrap_or(at_least))),
            Err(Refusal::RolledBack { .. }) => Err(self.rolled_back(&what())),
            Err(_) => Err(self.foreign(&what())),
        }
    }

    fn state_key(&self, agent: &AgentName) -> StoreKey {
        self.keys.store_key(&format!("state/{agent}"))
    }
}
