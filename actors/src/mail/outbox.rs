//! Durable messages to agents of nodes that share no store with this one: kept in an outbox of the sender's store until the
//! receiver's has them.
//!
//! ```text
//!  sender's node          AGENT_OUTBOX     forwarder                  receiver's node             AGENT_MESSAGES
//!    │ ── publish(id) ────────► │              │                            │                          │
//!    │ ◄─ stored ────────────── │ ── read ───► │ ── keep{outbox, 7, …} ───► │ ── publish(id) ────────► │
//!    │                          │              │                            │    and the cursor, 7     │
//!    │                          │ ◄─ remove ── │ ◄─ kept ────────────────── │                          │
//! ```
//!
//! Each agent's messages are handed over one by one, the oldest first. The receiver keeps, for each outbox and agent, the last
//! one that it has taken, so one whose answer was lost is not taken again, however much later it comes.
//!
//! What is not promised: an agent that moves to another node with another store takes nothing of what it knew with it, so a message
//! whose answer was lost in the move may be handled by both. And between a receiver's two writes stands the store's memory for
//! ids, and the lane's: a node that dies just there, and is away for longer than the first, may take a message again, which the
//! agent's lane drops unless it has handled 128 others since.

mod forwarder;
mod taking;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::limits::FRAME_MAX;
use connectome_codecs::{AgentName, Envelope, MessageId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub(crate) use self::forwarder::Forwarder;
pub(crate) use self::taking::Handed;
use super::SendError;
use crate::port::{BucketConfig, Publish, Storage, StreamError};
use crate::router::Router;

/// The stream of what waits to be handed to other nodes.
pub const AGENT_OUTBOX: &str = "AGENT_OUTBOX";

/// Messages that wait at the most; then `send` refuses. A day of one a second, and what a forwarder reads through within seconds
/// when it starts.
pub const OUTBOX_MESSAGES_MAX: u64 = 100_000;

/// The largest envelope that can be handed over: a frame, less what the request and its seal put around it.
const HANDED_MAX: usize = FRAME_MAX - 8 * 1024;

/// The bucket of what was taken, and of this node's own outbox.
const HANDED: &str = "handed";

/// What others are handing to this node at the same time; beyond it they are asked to come again.
const TAKING_MAX: usize = 64;

/// What an outbox has done since the node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutboxCounts {
    /// Messages that were put into it.
    pub kept: u64,
    /// Those that their receiver has confirmed.
    pub handed: u64,
    /// Attempts that came to nothing, and are repeated.
    pub failed: u64,
    /// Messages that were given up: nobody took them in time, or they could not be read.
    pub expired: u64,
    /// Messages of other nodes that this one has taken.
    pub taken: u64,
    /// Those of them that it had taken before.
    pub repeated: u64,
}

/// What is shared by those who put in, hand over and take.
pub(crate) struct Outbox {
    kept: AtomicU64,
    handed: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    taken: AtomicU64,
    repeated: AtomicU64,
    turns: std::sync::Arc<Semaphore>,
}

impl Default for Outbox {
    fn default() -> Outbox {
        let zero = AtomicU64::default;
        Outbox {
            kept: zero(),
            handed: zero(),
            failed: zero(),
            expired: zero(),
            taken: zero(),
            repeated: zero(),
            turns: std::sync::Arc::new(Semaphore::new(TAKING_MAX)),
        }
    }
}

impl Outbox {
    fn counts(&self) -> OutboxCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OutboxCounts {
            kept: of(&self.kept),
            handed: of(&self.handed),
            failed: of(&self.failed),
            expired: of(&self.expired),
            taken: of(&self.taken),
            repeated: of(&self.repeated),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Router {
    /// What this node has handed to nodes that share no store with it, and taken from them, since it started.
    pub fn outbox_counts(&self) -> OutboxCounts {
        self.inner().outbox.counts()
    }

    /// Whether a message for an agent has to leave this node's store: the agent is elsewhere, or those before it wait to leave.
    pub(super) async fn leaves(&self, agent: &AgentName) -> Result<bool, StreamError> {
        if self.inner().config.store_is_shared {
            return Ok(false);
        }
        if self.registry().local(agent).is_none() {
            return Ok(true);
        }
        Ok(self.streams().count(AGENT_OUTBOX, &outbox_subject(self, agent)).await? > 0)
    }

    /// Keeps a message until the agent's node has it.
    pub(super) async fn put_out(
        &self,
        agent: &AgentName,
        id: MessageId,
        envelope: &Envelope,
    ) -> Result<(), SendError> {
        let body = envelope.encode().map_err(|error| SendError::NotSent(error.to_string()))?;
        if body.len() > HANDED_MAX {
            return Err(SendError::NotSent(format!(
                "{} bytes are more than the {HANDED_MAX} that go to another node at once: store the body, and send its name",
                body.len()
            )));
        }
        let body = Bytes::from(self.seals().seal_waiting(agent, &body));
        let message = Publish { subject: outbox_subject(self, agent), id: Some(id), body };
        self.streams().publish(AGENT_OUTBOX, message).await?;
        count(&self.inner().outbox.kept);
        Ok(())
    }
}

/// Where an agent's messages wait.
fn outbox_subject(router: &Router, agent: &AgentName) -> String {
    router.subject(&format!("outbox.{agent}"))
}

/// `age`: for how long a message may wait. What was taken is remembered for twice as long.
fn handed_bucket(age: Duration) -> BucketConfig {
    BucketConfig { name: HANDED.to_owned(), ttl: Some(2 * age), storage: Storage::File }
}
