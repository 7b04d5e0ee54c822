//! What the store keeps of this node's owner, sealed: states, tasks, dead letters.
//!
//! Nodes that share a root key are one owner's, and read what any of them has stored; whoever carries or keeps it learns
//! where it goes and how large it is.
//!
//! | what | sealed under | opened by |
//! |---|---|---|
//! | an agent's state | the root, `state/<agent>` | whoever runs the agent next |
//! | a task's input | the prekey of the capability's pool | the worker that has claimed it |
//! | a task's result, errors and notes | the root, `task` | whoever has a handle to it |
//! | the body and the cause of a dead letter | the root, `dead` | `connectome dead` |
//! | a message that waits in the outbox | the root, `outbox` | the node that hands it over |
//! | a pool's private keys | the root, `pool/<capability>` | nodes with such workers |
//!
//! It keeps no root and derives nothing itself: that is the [`KeyStore`]'s. What is said between two agents is sealed in
//! sessions, elsewhere.

mod certificates;
mod counts;
mod instances;
mod letters;
mod pools;
mod records;
mod states;
mod tasks;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::session::ReplayWindow;

use crate::identities::Identities;
use crate::port::{KeyStore, StreamError, Streams, World};
use crate::router::Router;

use certificates::{Certificates, Known};
use counts::Counts;
pub use counts::SealingCounts;
pub(crate) use instances::Instances;
use pools::Pools;
pub use pools::{KEYS, keys_bucket};
pub(crate) use tasks::NotOpened;

/// What is right when something was sealed under another root.
pub(crate) const SAME_ROOT: &str =
    "give all nodes of this cluster the same root key: copy the file of one of them, and name it in key_file";

/// Seals and opens what the store keeps. One for each node; also for whoever looks into a store without one.
pub struct Seals {
    keys: Arc<dyn KeyStore>,
    world: Arc<dyn World>,
    streams: Arc<dyn Streams>,
    /// The age that a task can reach in its queue.
    retention: Option<Duration>,
    /// Whether anything is sealed, and nothing taken that is not.
    enabled: bool,
    pub(crate) instances: Instances,
    certificates: Certificates,
    identities: Identities,
    pools: Pools,
    /// A task is done once because of its record, so nothing needs to be remembered here.
    window: ReplayWindow,
    counts: Counts,
}

impl Seals {
    /// `retention` is the age that a message can reach in a stream; `None`: any.
    pub fn new(
        keys: Arc<dyn KeyStore>,
        world: Arc<dyn World>,
        streams: Arc<dyn Streams>,
        retention: Option<Duration>,
    ) -> Seals {
        Seals {
            keys,
            world,
            streams,
            retention,
            enabled: true,
            instances: Instances::new(retention),
            certificates: Certificates::default(),
            identities: Identities::default(),
            pools: Pools::default(),
            window: ReplayWindow::new(Duration::MAX),
            counts: Counts::default(),
        }
    }

    /// Whether tasks and dead letters are sealed. Where not, what comes in the open is taken.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Seals {
        self.enabled = enabled;
        self
    }

    /// Whose keys these are.
    pub fn keys(&self) -> &dyn KeyStore {
        &*self.keys
    }

    /// What was refused since the start.
    pub fn counts(&self) -> SealingCounts {
        self.counts.read()
    }

    /// What is known of agents' keys.
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    fn directory(&self) -> Known<'_> {
        Known { certificates: &self.certificates, logs: self.identities.logs() }
    }

    fn entropy(&self) -> impl FnMut(&mut [u8]) + '_ {
        |bytes| self.world.fill(bytes)
    }

    /// Counts what somebody else has sealed, or nobody, and says so.
    fn foreign(&self, what: &str) -> StreamError {
        self.counts.foreign();
        StreamError::Invalid(format!(
            "{what} does not open with this node's root key: a node with another one has sealed it, or it was damaged; \
             {SAME_ROOT}"
        ))
    }

    /// Counts what is older than something that was seen, and says so.
    fn rolled_back(&self, what: &str) -> StreamError {
        self.counts.rolled_back();
        StreamError::Invalid(format!(
            "{what} is older than what this node has seen of it: the store went back in time; restore the newer one, or \
             start the node again to go on with this one"
        ))
    }
}

impl Router {
    /// What seals and opens what the store keeps.
    pub fn seals(&self) -> &Seals {
        &self.inner().seals
    }

    /// What of the store this node has not believed, since it started.
    pub fn sealing_counts(&self) -> SealingCounts {
        self.seals().counts()
    }
}
