//! Whom this node talks to: its owner's agents and nodes, and whom the configuration lists or has vouched for.
//!
//! ```text
//! bucket `keys`   vouch/<id of the agent or node>/<id of the organisation>      a voucher
//! ```
//!
//! Nodes follow these entries. What is not known yet is looked up before an agent is refused, so that a message is not lost to
//! a voucher that came just before it. Where lists are kept each node has its owner's voucher, by a key that comes from the
//! root: so nodes of one owner know each other wherever they share a store.

use std::time::Duration;

use connectome_codecs::identity::{Certificate, Voucher};
use connectome_codecs::{AgentId, AgentName, Refusal};

use super::KeysError;
use crate::port::{Expect, StreamError};
use crate::router::Router;
use crate::sealing::keys_bucket;

/// Before the id of whoever is vouched for.
pub(super) const VOUCH: &str = "vouch/";

/// How long the owner's voucher for a node holds; it is written anew whenever the node starts, and after half of it.
pub(super) const OWN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where a voucher stands.
pub(super) fn key_of(agent: AgentId, organisation: AgentId) -> String {
    format!("{VOUCH}{agent}/{organisation}")
}

/// Whose voucher by whom stands there.
pub(super) fn parties(key: &str) -> Option<(AgentId, AgentId)> {
    let (agent, organisation) = key.strip_prefix(VOUCH)?.split_once('/')?;
    Some((agent.parse().ok()?, organisation.parse().ok()?))
}

impl Router {
    /// Refuses an agent that this node does not talk to. `name` is what its certificate says.
    ///
    /// # Errors
    /// [`Refusal::NotAccepted`].
    pub(crate) async fn check_accepted(&self, id: AgentId, name: &AgentName) -> Result<(), Refusal> {
        let identities = self.seals().identities();
        if identities.check_accepted(id, self.now()).is_ok() || self.is_ours(id, name) {
            return Ok(());
        }
        if let Err(error) = self.look_up_vouchers(id).await {
            tracing::debug!(%error, %id, "vouchers can't be looked up");
        }
        identities.check_accepted(id, self.now())
    }

    /// Whether whoever holds this certificate is talked to, as far as it is known here.
    pub(crate) fn accepts(&self, certificate: &Certificate) -> bool {
        let claims = certificate.claims();
        let checked = self.seals().identities().check_accepted(claims.agent, self.now());
        checked.is_ok() || self.is_ours(claims.agent, &claims.name)
    }

    /// Whether it is this node, or an agent of this owner.
    pub(crate) fn is_ours(&self, id: AgentId, name: &AgentName) -> bool {
        let own =
            || self.seals().identities().own_id(name, |name| self.inner().ports.keys.agent_id(name).ok());
        id.as_bytes() == self.node_id().as_bytes() || own() == Some(id)
    }

    async fn look_up_vouchers(&self, agent: AgentId) -> Result<(), StreamError> {
        let bucket = self.streams().bucket(keys_bucket()).await?;
        for organisation in self.seals().identities().organisations() {
            let entry = bucket.get(&key_of(agent, organisation)).await?;
            if let Some(value) = entry.and_then(|entry| entry.value)
                && let Ok(voucher) = Voucher::verify(value)
                && (voucher.agent(), voucher.organisation()) == (agent, organisation)
            {
                self.learn_voucher(voucher);
            }
        }
        Ok(())
    }

    /// Takes a voucher that was verified.
    pub(super) fn learn_voucher(&self, voucher: Voucher) {
        let (agent, now) = (voucher.agent(), self.now());
        match self.seals().identities().learn_voucher(voucher.clone(), now) {
            Ok(true) => self.inner().peers.learn_voucher(voucher, now),
            Ok(false) => {}
            Err(refusal) => tracing::debug!(%agent, %refusal, "a voucher is not taken"),
        }
    }

    pub(super) fn forget_voucher(&self, agent: AgentId, organisation: AgentId) {
        self.seals().identities().forget_voucher(agent, organisation);
        self.inner().peers.forget_voucher(agent, organisation);
    }

    /// This owner's id as an organisation: the same for all nodes that share the root.
    pub fn organisation_id(&self) -> AgentId {
        self.inner().ports.keys.organisation_id()
    }

    /// Vouches for an agent or a node, as this owner's organisation, from now on and for so long, and publishes that.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn vouch_for(&self, agent: AgentId, life: Duration) -> Result<Voucher, KeysError> {
        let voucher = self.inner().ports.keys.vouch(agent, self.now(), life);
        let key = key_of(agent, voucher.organisation());
        let bucket = self.streams().bucket(keys_bucket()).await?;
        bucket.put(&key, voucher.bytes().clone(), Expect::Any, Some(life)).await?;
        Ok(voucher)
    }

    /// Takes back what this owner's organisation said of an agent or a node. Nodes that hear of it accept it no more; whoever
    /// kept the voucher may show it to others for as long as it holds.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn withdraw_voucher(&self, agent: AgentId) -> Result<(), KeysError> {
        let bucket = self.streams().bucket(keys_bucket()).await?;
        Ok(bucket.delete(&key_of(agent, self.organisation_id()), Expect::Any).await?)
    }
}
