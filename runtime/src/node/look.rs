//! What a node tells of itself: who is there, what was done, and whether it is well. Nothing is changed here, but for
//! [`Node::kill_part`], which is for drills.

use std::sync::Arc;

use connectome_actors::{
    Accounts, Branch, DeadLetter, NodeState, RegistrationCounts, SupervisorError, TaskCounts,
};
use connectome_codecs::{AgentName, NodeId, Registration};

use super::Node;
use crate::metrics::{Health, Metrics, Status};

impl Node {
    /// The agents that are registered, on live nodes or on none, sorted by name: a local read of a checked copy.
    pub fn registrations(&self) -> Vec<Arc<Registration>> {
        self.router().registrations()
    }

    /// What this node has done and seen around registrations.
    pub fn registration_counts(&self) -> RegistrationCounts {
        self.router().registration_counts()
    }

    /// What this node does, in figures: latencies and rates of the last minute, backlogs, totals. It asks the store how
    /// much it holds, for at most 2 s.
    ///
    /// ```
    /// # use connectome::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::start(Config::in_memory()).await?;
    /// let metrics = node.metrics().await;
    /// let events = metrics.streams.iter().find(|stream| stream.name == "SYSTEM_EVENTS").expect("it has events");
    /// assert_eq!(events.published.total, 1);
    /// # node.stop().await;
    /// # Ok(()) }
    /// ```
    pub async fn metrics(&self) -> Metrics {
        self.meter.metrics(&self.tree).await
    }

    /// Whether this node is well, and if not, why, what would be right, and who must act.
    pub async fn health(&self) -> Health {
        self.status().await.health
    }

    /// Health, figures and tree of one moment.
    pub async fn status(&self) -> Status {
        self.meter.status(&self.tree).await
    }

    /// What runs on this node now: its supervision tree, from the ports to the agents.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn tree(&self) -> Result<Branch, SupervisorError> {
        self.tree.look().await
    }

    /// Ends a part of the machinery at once, as a crash would: `ports/connection`, say. For drills: its supervisor starts
    /// it again, and [`Node::tree`] shows that it did.
    ///
    /// # Errors
    /// When nothing of that name runs there, or the node has stopped.
    pub async fn kill_part(&self, path: &str) -> Result<(), SupervisorError> {
        self.tree.kill(path).await
    }

    /// The public key that names this node.
    pub fn id(&self) -> NodeId {
        self.router().node_id()
    }

    /// What became of every message that an agent of this node ever accepted.
    pub fn accounts(&self) -> Accounts {
        self.router().accounts()
    }

    /// The last messages that were given up, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.router().dead_letters()
    }

    /// What this node has done with tasks.
    pub fn task_counts(&self) -> TaskCounts {
        self.router().task_counts()
    }

    /// The names of this node's agents, sorted.
    pub fn agents(&self) -> Vec<AgentName> {
        self.router().local_agents()
    }

    /// The other nodes of the cluster.
    pub fn nodes(&self) -> Vec<(NodeId, NodeState)> {
        self.router().nodes()
    }
}
