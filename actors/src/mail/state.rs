//! What an agent keeps over restarts and moves: its state, and how far its durable messages have been applied to it.
//!
//! Both are one value, written at once: so a message is either in the state and behind the cursor, or neither. It is sealed
//! under the owner's root, so a store that shows an older one is noticed by whoever has seen the newer.

use std::collections::BTreeMap;
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

/// Where a kept state stands in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// What the next one is written over.
    pub(super) revision: Revision,
    /// The one in which it was sealed; the next one's is higher.
    generation: u64,
}

/// Agents of whose state the newest generation is remembered, some 200 bytes each. One that is forgotten is believed whatever
/// generation the store shows.
const SEEN_MAX: usize = 131_072;

/// The bucket of kept states, opened once for all lanes of a node.
#[derive(Default)]
pub(crate) struct States {
    opened: Mutex<Option<Arc<dyn Bucket>>>,
    /// The newest generation that this process has seen of each.
    seen: Mutex<BTreeMap<AgentName, u64>>,
}

impl States {
    async fn open(&self, router: &Router) -> Result<Arc<dyn Bucket>, StreamError> {
        let opened = self.opened.lock().clone();
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let config = BucketConfig { name: STATES.to_owned(), ttl: None, storage: Storage::File };
        let opened: Arc<dyn Bucket> = router.streams().bucket(config).await?.into();
        *self.opened.lock() = Some(opened.clone());
        Ok(opened)
    }

    /// After an error it is opened anew, and so made again where it is gone.
    fn forget_after<T>(&self, done: Result<T, StreamError>) -> Result<T, StreamError> {
        if matches!(&done, Err(error) if !matches!(error, StreamError::WrongRevision { .. })) {
            *self.opened.lock() = None;
        }
        done
    }

    fn newest(&self, agent: &AgentName) -> u64 {
        self.seen.lock().get(agent).copied().unwrap_or(0)
    }

    fn saw(&self, agent: &AgentName, generation: u64) {
        let mut seen = self.seen.lock();
        if seen.len() >= SEEN_MAX && !seen.contains_key(agent) {
            seen.pop_first();
        }
        let newest = seen.entry(agent.clone()).or_default();
        *newest = generation.max(*newest);
    }
}

/// Reads what an agent kept, and where it stands.
pub(super) async fn load(router: &Router, agent: &AgentName) -> Result<(Kept, Option<Place>), StreamError> {
    let states = &router.inner().states;
    let found = states.open(router).await?.get(agent.as_str()).await;
    let Some(entry) = states.forget_after(found)? else { return Ok(Default::default()) };
    let Some(value) = entry.value else { return Ok((Kept::default(), None)) };
    let (state, generation) = router.inner().seals.open_state(agent, states.newest(agent), &value)?;
    states.saw(agent, generation);
    let kept = wire::decode(&state)
        .map_err(|error| StreamError::Invalid(format!("the kept state of {agent} can't be read: {error}")))?;
    Ok((kept, Some(Place { revision: entry.revision, generation })))
}

/// Writes it, if nobody else has written meanwhile: another incarnation elsewhere would have.
pub(super) async fn save(
    router: &Router,
    agent: &AgentName,
    kept: &Kept,
    over: Option<Place>,
) -> Result<Place, StreamError> {
    if kept.state.as_ref().is_some_and(|state| state.len() > STATE_MAX) {
        return Err(StreamError::Invalid(format!(
            "{agent} keeps more than {STATE_MAX} bytes: keep less, or elsewhere"
        )));
    }
    let states = &router.inner().states;
    let generation = states.newest(agent).max(over.map_or(0, |over| over.generation)).saturating_add(1);
    let value = wire::encode(kept).map_err(|error| StreamError::Invalid(error.to_string()))?;
    let value = router.inner().seals.seal_state(agent, generation, &value).into();
    let expect = over.map_or(Expect::Absent, |over| Expect::Revision(over.revision));
    let saved = states.open(router).await?.put(agent.as_str(), value, expect, None).await;
    let revision = states.forget_after(saved)?;
    states.saw(agent, generation);
    Ok(Place { revision, generation })
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
