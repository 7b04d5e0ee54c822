//! The identity keeper: follows the logs in the store, and has the node act on them.

use std::time::Duration;

use connectome_codecs::AgentId;
use connectome_codecs::identity::IdentityLog;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::LOG;
use crate::port::{Entry, StreamError, Watch};
use crate::router::Router;
use crate::sealing::keys_bucket;
use crate::service::Service;

/// Before a watch that broke is opened again.
const WATCH_AGAIN: Duration = Duration::from_millis(500);

/// Keeps what this node knows of agents' keys.
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
        loop {
            if let Err(error) = self.follow().await {
                tracing::debug!(%error, "the logs of agents' keys can't be followed yet");
            }
            sleep(WATCH_AGAIN).await;
        }
    }

    async fn follow(&self) -> Result<(), StreamError> {
        let mut watch = self.open().await?;
        loop {
            match watch.next().await {
                Ok(entry) => self.heard(&entry),
                // What was removed is no matter: a log that was seen holds.
                Err(StreamError::Gap { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(&self) -> Result<Box<dyn Watch>, StreamError> {
        self.router.streams().bucket(keys_bucket()).await?.watch(LOG).await
    }

    /// Whoever wrote it, only what the key it is about has signed is taken.
    fn heard(&self, entry: &Entry) {
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
}
