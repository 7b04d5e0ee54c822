//! What of a port must go on for it to work: loops, handed to the node's supervisors, and what they have to say.
//!
//! A port that works only when it is called has no parts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// A loop that a port needs. The node runs it below a supervisor, and runs it again when it fails.
///
/// One that several nodes of a process share is run by one of them at a time: the others wait for their turn.
#[async_trait]
pub trait Part: Send + Sync + 'static {
    /// Its name in the node's tree: one part has one name, whichever ports it belongs to.
    fn name(&self) -> &str;

    /// Goes on until `stop` is cancelled. Dropping the future loses nothing that running it again does not find.
    ///
    /// # Errors
    /// What went wrong, in words; the supervisor runs it again.
    async fn run(&self, stop: CancellationToken, notices: &dyn Notices) -> Result<(), String>;
}

/// Whoever hears what a part has to say.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Takes a notice; waits while it has no room.
    async fn tell(&self, notice: Notice);

    /// Has another part run as well, under a supervisor of its own: one that came to be while others run, such as the
    /// connection to a new peer. It is forgotten when it ends in order; one of a name that runs already is left.
    async fn attend(&self, part: Arc<dyn Part>) {
        drop(part);
    }
}

/// What a part has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The connection to a broker was lost, and is being made again.
    ConnectionLost,
    /// It stands again.
    ConnectionBack {
        /// How long it was away.
        away: Duration,
    },
    /// The broker's server is about to stop, and asks its clients to go to another one.
    ServerLeaves,
    /// Messages were dropped on their way in, since they were not read as fast as they came.
    MessagesDropped {
        /// How many may wait.
        limit: usize,
    },
}

/// Where a port's connection to its broker stands. Totals count from its opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConnectionFigures {
    /// Whether a server is connected now.
    pub up: bool,
    /// Connections made, the first one included.
    pub connected: u64,
    /// Connections lost.
    pub disconnected: u64,
    /// Times that messages were dropped because they were not read fast enough.
    pub slow_consumer: u64,
    /// Servers that said they are about to stop.
    pub lame_duck: u64,
    /// Refusals and complaints of a server: a denied subject, say.
    pub server_errors: u64,
    /// Messages that came in.
    pub messages_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages that went out.
    pub messages_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}
