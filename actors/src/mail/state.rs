//! What an agent keeps over restarts and moves: its state, and how far its durable messages have been applied to it.
//!
//! Both are one value, written at once: so a message is either in the state and behind the cursor, or neither.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::{AgentName, Revision, Sequence, Term, wire};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::Word;
use crate::cell::AgentCell;
use crate::port::{Bucket, BucketConfig, Expect, Storage, StreamError};
use crate::protocol::delivery;
use crate::router::Router;

/// How long an incarnation waits for a store that is away before its start fails: most of what `pre_start` may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it waits before it asks again.
const RETRY: Duration = Duration::from_millis(200);

/// The bucket of kept states.
pub const STATES: &str = "states";

/// The largest state an agent may keep: two of them fit a frame.
pub const STATE_MAX: usize = 512 * 1024;

/// One agent's kept state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// How far its durable messages are in it.
    pub(crate) lane: delivery::Kept,
    /// What the agent saved, where it keeps state.
    #[serde(default)]
    pub(crate) state: Option<Bytes>,
    /// The term of the owner that wrote it, where several nodes offer the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) term: Option<Term>,
}

/// The bucket of kept states, opened once for all lanes of a node.
#[derive(Default)]
pub(crate) struct States(Mutex<Option<Arc<dyn Bucket>>>);

impl States {
    async fn open(&self, router: &Router) -> Result<Arc<dyn Bucket>, StreamError> {
        let opened = self.0.lock().clone();
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let config = BucketConfig { name: STATES.to_owned(), ttl: None, storage: Storage::File };
        let opened: Arc<dyn Bucket> = router.streams().bucket(config).await?.into();
        *self.0.lock() = Some(opened.clone());
        Ok(opened)
    }

    /// After an error it is opened anew, and so made again where it is gone.
    fn forget_after<T>(&self, done: Result<T, StreamError>) -> Result<T, StreamError> {
        if matches!(&done, Err(error) if !matches!(error, StreamError::WrongRevision { .. })) {
            *self.0.lock() = None;
        }
        done
    }
}

/// Reads what an agent kept, and the revision to write over.
pub(super) async fn load(
    router: &Router,
    agent: &AgentName,
) -> Result<(Kept, Option<Revision>), StreamError> {
    let states = &router.inner().states;
    let found = states.open(router).await?.get(agent.as_str()).await;
    let Some(entry) = states.forget_after(found)? else { return Ok(Default::default()) };
    let Some(value) = entry.value else { return Ok((Kept::default(), None)) };
    let kept = wire::decode(&value)
        .map_err(|error| StreamError::Invalid(format!("the kept state of {agent} can't be read: {error}")))?;
    Ok((kept, Some(entry.revision)))
}

/// Writes it, if nobody else has written meanwhile: another incarnation elsewhere would have.
pub(super) async fn save(
    router: &Router,
    agent: &AgentName,
    kept: &Kept,
    over: Option<Revision>,
) -> Result<Revision, StreamError> {
    if kept.state.as_ref().is_some_and(|state| state.len() > STATE_MAX) {
        return Err(StreamError::Invalid(format!(
            "{agent} keeps more than {STATE_MAX} bytes: keep less, or elsewhere"
        )));
    }
    let value = wire::encode(kept).map_err(|error| StreamError::Invalid(error.to_string()))?;
    let expect = over.map_or(Expect::Absent, Expect::Revision);
    let states = &router.inner().states;
    let saved = states.open(router).await?.put(agent.as_str(), value, expect, None).await;
    states.forget_after(saved)
}

impl Router {
    /// The state that an agent saved last, and how far it goes. Where a lane may be saving, it is asked.
    pub(crate) async fn restore(&self, cell: &AgentCell) -> Result<(Option<Bytes>, Sequence), String> {
        if let Some(kept) = cell.take_inherited() {
            return Ok((kept.state, kept.lane.cursor));
        }
        let kept = match cell.lane() {
            Some(lane) => {
                let (reply, answer) = oneshot::channel();
                let asked = lane.send(Word::Restore(reply)).await;
                match (asked, answer.await) {
                    (Ok(()), Ok(kept)) => kept?,
                    // The lane has ended, and with it whatever it was saving.
                    (Ok(()) | Err(_), _) => self.saved_state(&cell.name).await?,
                }
            }
            None => self.saved_state(&cell.name).await?,
        };
        Ok((kept.state, kept.lane.cursor))
    }

    /// A store that is away for a moment must not use up the restarts of every agent that keeps its state there.
    async fn saved_state(&self, agent: &AgentName) -> Result<Kept, String> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match load(self, agent).await {
                Ok((kept, _)) => return Ok(kept),
                Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) if Instant::now() < patience => {
                    sleep(RETRY).await;
                }
                Err(error) => return Err(format!("its kept state could not be read: {error}")),
            }
        }
    }
}
