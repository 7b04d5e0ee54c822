//! Why a simulation did not do what it was asked for.

use std::time::Duration;

/// What ends a setup or a future of the user's that failed: any error, so `?` works.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why a simulation did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// No node of that name was declared.
    #[error("no node is named {0}: declare it with `sim.node`")]
    Unknown(String),
    /// The node is down.
    #[error("node {name} is down{}: restart it, or run the simulation until it has started", because(why))]
    Down {
        /// Its name.
        name: String,
        /// Why its last start failed, if it did.
        why: Option<String>,
    },
    /// The node failed to start so often that something is wrong with its setup.
    #[error("node {name} failed to start {times} times in a row, the last time because: {why}")]
    Start {
        /// Its name.
        name: String,
        /// How often.
        times: u32,
        /// What its last start said.
        why: String,
    },
    /// The node went down while the future ran on it.
    #[error("node {0} went down while the future ran on it")]
    Lost(String),
    /// The future did not end in time.
    #[error("the future on {name} did not end within {patience:?} of virtual time: something waits for ever")]
    Hangs {
        /// The node it runs on.
        name: String,
        /// How long was waited, in virtual time.
        patience: Duration,
    },
    /// The future itself ended with an error.
    #[error(transparent)]
    Failed(Failure),
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(" (its last start failed: {why})"))
}
