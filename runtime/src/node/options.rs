//! How a node is made, beside its ports.

use std::time::Duration;

use connectome_actors::protocol::membership::Timing;
use connectome_actors::{RouterConfig, StreamLimits};

/// How a node is made of given ports: everything in [`Config`](crate::Config) that is not about making the ports.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// How messages are routed.
    pub router: RouterConfig,
    /// How soon silence means something.
    pub timing: Timing,
    /// How the streams are kept.
    pub streams: StreamLimits,
    /// How long [`Node::stop`](crate::Node::stop) waits for work in hand before it stops the agents.
    pub drain: Drain,
    /// How long it then waits for all actors to stop, before it leaves without them.
    pub stop: StopTimeout,
    /// What people call the node, in its figures.
    pub name: String,
    /// How many messages each consumer of the node may take from its stream in a second. `None`: as fast as it can.
    pub consumer_rate: Option<u64>,
    /// How often its figures are logged, in a line. `None`: never.
    pub log_status_every: Option<Duration>,
}

/// How long a stopping node waits for its actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopTimeout(pub Duration);

impl Default for StopTimeout {
    /// Ten seconds: twice what one agent has by default, since agents of one supervisor stop together.
    fn default() -> StopTimeout {
        StopTimeout(Duration::from_secs(10))
    }
}

/// How long a stopping node lets its agents finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain(pub Duration);

impl Default for Drain {
    /// Ten seconds: what orchestrators give a process between asking and killing is usually thirty.
    fn default() -> Drain {
        Drain(Duration::from_secs(10))
    }
}
