//! For whoever looks after keys: what is published of an agent, newer keys, certificates taken back.

use connectome_codecs::identity::{Bundle, Card, IdentityLog};
use connectome_codecs::{AgentId, AgentName};

use super::LOG;
use crate::mail::{self, NoMailKeys};
use crate::port::{Bucket, Expect, KeyStoreError, StreamError, Whose};
use crate::router::Router;
use crate::sealing::keys_bucket;

/// Rounds against others who write the same log.
const ROUNDS_MAX: usize = 16;

/// Why keys could not be looked after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StreamError),
    /// The root key could not be used, or made something that does not hold.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// What the store has does not hold, or is none of this owner's.
    #[error("{0}")]
    Refused(String),
}

impl From<NoMailKeys> for KeysError {
    fn from(error: NoMailKeys) -> KeysError {
        match error {
            NoMailKeys::Store(error) => KeysError::Store(error),
            NoMailKeys::Key(error) => KeysError::Key(error),
            NoMailKeys::Refused(..)
            | NoMailKeys::NotAccepted(..)
            | NoMailKeys::Stranger(_)
            | NoMailKeys::Contended(_) => KeysError::Refused(error.to_string()),
        }
    }
}

/// What the store has of the keys of an agent's mail, as anybody reads it.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its newest bundle, which holds.
    pub bundle: Bundle,
    /// One-time prekeys in stock: so many new senders have full forward secrecy from their first message on.
    pub one_time: usize,
    /// What the agent has taken back, if anything.
    pub log: Option<IdentityLog>,
}

impl Published {
    /// What there is to hand around.
    ///
    /// # Errors
    /// When the certificate was taken back.
    pub fn card(&self) -> Result<Card, KeysError> {
        let card = Card::new(self.bundle.certificate().clone(), self.log.clone());
        card.map_err(|refusal| KeysError::Refused(refusal.to_string()))
    }
}

impl Router {
    /// The agents that have published keys for their mail, in the order of their ids.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn agents_with_keys(&self) -> Result<Vec<AgentId>, KeysError> {
        let keys = self.keys_bucket().await?.keys(mail::KEYS_OF_MAIL).await?;
        let id = |key: &String| key.strip_prefix(mail::KEYS_OF_MAIL)?.parse().ok();
        Ok(keys.iter().filter_map(id).collect())
    }

    /// The id of an agent of this owner.
    ///
    /// # Errors
    /// When the root key can't be used.
    pub fn agent_id(&self, agent: &AgentName) -> Result<AgentId, KeyStoreError> {
        self.inner().ports.keys.agent_id(agent)
    }

    /// What is published of an agent; nothing where there is none, or none that holds: its owner makes it anew.
    ///
    /// # Errors
    /// When the store can't be read, or what it has does not hold.
    pub async fn published_keys(&self, id: AgentId) -> Result<Option<Published>, KeysError> {
        let log = self.published_log(id).await?.map(|(log, _)| log);
        let Some(bundle) = mail::published(self, id, log.as_ref()).await? else { return Ok(None) };
        let one_time = self.keys_bucket().await?.keys(&format!("{}{id}/", mail::KEYS_OF_MAIL)).await?.len();
        Ok(Some(Published { bundle, one_time, log }))
    }

    /// Makes the next prekeys of an agent of this owner, and publishes them: new sessions use them at once.
    ///
    /// # Errors
    /// When the store or the root key can't be used.
    pub async fn rotate_keys(&self, agent: &AgentName) -> Result<Published, KeysError> {
        self.learn_log(agent).await?;
        mail::rotate(self, agent).await?;
        self.published_again(agent).await
    }

    /// Takes back certificates of an agent of this owner, without `serials` that of its mail, and makes other keys in their
    /// place. What was sealed to those and not read yet is not opened any more: it becomes a dead letter.
    ///
    /// # Errors
    /// When the store or the root key can't be used, or there is nothing to take back.
    pub async fn revoke_keys(&self, agent: &AgentName, serials: &[u64]) -> Result<Published, KeysError> {
        let id = self.agent_id(agent)?;
        let mut serials = serials.to_vec();
        if serials.is_empty() {
            let published = self.published_keys(id).await?;
            let none = || {
                KeysError::Refused(format!("{agent} has published no keys: there is nothing to take back"))
            };
            serials.push(published.ok_or_else(none)?.bundle.certificate().claims().serial);
        }
        self.publish_log(Whose::Agent(agent), id, &serials).await?;
        self.learn_log(agent).await?;
        mail::own(self, agent).await?;
        self.published_again(agent).await
    }

    /// Takes back certificates of this node's own instances: with another one it goes on, as soon as it hears of it.
    ///
    /// # Errors
    /// When the store or the root key can't be used.
    pub async fn revoke_own_keys(&self, serials: &[u64]) -> Result<IdentityLog, KeysError> {
        self.publish_log(Whose::Node, AgentId(*self.node_id().as_bytes()), serials).await
    }

    async fn published_again(&self, agent: &AgentName) -> Result<Published, KeysError> {
        let id = self.agent_id(agent)?;
        let gone = || KeysError::Refused(format!("the keys of {agent} were removed meanwhile"));
        self.published_keys(id).await?.ok_or_else(gone)
    }

    async fn publish_log(
        &self,
        whose: Whose<'_>,
        id: AgentId,
        serials: &[u64],
    ) -> Result<IdentityLog, KeysError> {
        let bucket = self.keys_bucket().await?;
        for _ in 0..ROUNDS_MAX {
            let before = self.published_log(id).await?;
            let expect = before.as_ref().map_or(Expect::Absent, |(_, expect)| *expect);
            let before = before.map(|(log, _)| log);
            let log = self.inner().ports.keys.take_back(whose, before.as_ref(), serials)?;
            match bucket.put(&format!("{LOG}{id}"), log.bytes().clone(), expect, None).await {
                Ok(_) => return Ok(log),
                Err(StreamError::WrongRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeysError::Refused(format!("the log of {id} was written by others {ROUNDS_MAX} times in a row")))
    }

    /// A tool has no keeper that follows the logs.
    async fn learn_log(&self, agent: &AgentName) -> Result<(), KeysError> {
        let id = self.agent_id(agent)?;
        if let Some((log, _)) = self.published_log(id).await? {
            let learned = self.seals().identities().learn(log, self.now());
            learned.map_err(|refusal| KeysError::Refused(refusal.to_string()))?;
        }
        Ok(())
    }

    async fn published_log(&self, id: AgentId) -> Result<Option<(IdentityLog, Expect)>, KeysError> {
        let entry = self.keys_bucket().await?.get(&format!("{LOG}{id}")).await?;
        let Some((value, revision)) = entry.and_then(|entry| Some((entry.value?, entry.revision))) else {
            return Ok(None);
        };
        match IdentityLog::verify(value) {
            Ok(log) if log.agent() == id => Ok(Some((log, Expect::Revision(revision)))),
            Ok(_) => Err(KeysError::Refused(format!("the store has another one's log for {id}"))),
            Err(refusal) => Err(KeysError::Refused(format!("the log of {id} does not hold: {refusal}"))),
        }
    }

    async fn keys_bucket(&self) -> Result<Box<dyn Bucket>, StreamError> {
        self.streams().bucket(keys_bucket()).await
    }
}
