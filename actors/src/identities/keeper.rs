//! The identity keeper: follows the logs and the vouchers in the store, and has the node act on them.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::AgentId;
use connectome_codecs::identity::{IdentityLog, Voucher};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::LOG;
use super::acceptance::{OWN_LIFE, VOUCH, parties};
use crate::port::{Entry, StreamError, Watch};
use crate::router::Router;
use crate::sealing::keys_bucket;
use crate::service::Service;

/// Before a watch that broke is opened again, or what could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Keeps what this node knows of agents' keys, and of who vouches for whom.
pub(crate) struct IdentityKeeper {
    pub(crate) router: Router,
}

impl Service for IdentityKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.keep() => {}
        }
        Ok(())
    }
}

impl IdentityKeeper {
    async fn keep(&self) {
        if self.router.seals().identities().accepts_anybody() {
            return self.follow_all(LOG, Self::heard_log).await;
        }
        tokio::join!(
            self.follow_all(LOG, Self::heard_log),
            self.follow_all(VOUCH, Self::heard_voucher),
            self.vouch_for_itself(),
        );
    }

    async fn follow_all(&self, prefix: &str, heard: fn(&Self, &Entry)) {
        loop {
            if let Err(error) = self.follow(prefix, heard).await {
                tracing::debug!(%error, prefix, "what is said of agents' keys can't be followed yet");
            }
            sleep(AGAIN).await;
        }
    }

    async fn follow(&self, prefix: &str, heard: fn(&Self, &Entry)) -> Result<(), StreamError> {
        let mut watch = self.open(prefix).await?;
        loop {
            match watch.next().await {
                Ok(entry) => heard(self, &entry),
                // What was removed meanwhile is no matter: a log that was seen holds, a voucher has its end.
                Err(StreamError::Gap { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        self.router.streams().bucket(keys_bucket()).await?.watch(prefix).await
    }

    /// The other nodes of this owner accept this one.
    async fn vouch_for_itself(&self) {
        let node = AgentId(*self.router.node_id().as_bytes());
        loop {
            match self.router.vouch_for(node, OWN_LIFE).await {
                Ok(_) => sleep(OWN_LIFE / 2).await,
                Err(error) => {
                    tracing::debug!(%error, "the owner's voucher for this node can't be written yet");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Whoever wrote it, only what the key it is about has signed is taken.
    fn heard_log(&self, entry: &Entry) {
        let Some(value) = &entry.value else { return };
        let id = entry.key.strip_prefix(LOG).and_then(|id| id.parse::<AgentId>().ok());
        let log = match IdentityLog::verify(value.clone()) {
            Ok(log) if Some(log.agent()) == id => log,
            Ok(_) => {
                return tracing::warn!(key = entry.key, "a log of keys stands where another one's belongs");
            }
            Err(refusal) => return tracing::warn!(key = entry.key, %refusal, "a log of keys does not hold"),
        };
        match self.router.inner().seals.identities().learn(log.clone(), self.router.now()) {
            Ok(true) => self.router.inner().peers.learn(log),
            Ok(false) => {}
            Err(refusal) => tracing::warn!(key = entry.key, %refusal, "a log of keys is not taken"),
        }
    }

    /// The same of an organisation's; one that is removed is taken back.
    fn heard_voucher(&self, entry: &Entry) {
        let Some((agent, organisation)) = parties(&entry.key) else { return };
        match &entry.value {
            None => self.router.forget_voucher(agent, organisation),
            Some(value) => self.heard_of(agent, organisation, value),
        }
    }

    fn heard_of(&self, agent: AgentId, organisation: AgentId, value: &Bytes) {
        match Voucher::verify(value.clone()) {
            Ok(voucher) if (voucher.agent(), voucher.organisation()) == (agent, organisation) => {
                self.router.learn_voucher(voucher);
            }
            Ok(_) => tracing::warn!(%agent, "a voucher stands where another one's belongs"),
            Err(refusal) => tracing::warn!(%agent, %refusal, "a voucher does not hold"),
        }
    }
}
