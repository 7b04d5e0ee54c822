//! The crew: three nodes over one store, an editor on the first, two workers on each.

use std::path::Path;
use std::time::Duration;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions, RouterConfig, TaskCounts};
use tokio::sync::Mutex;

use crate::chaos::Clumsiness;
use crate::editor::{EDITOR, Editor};
use crate::worker::{CAPABILITY, Shelf, Worker};

/// The nodes. The editor lives on the first; the last one is killed.
const NODES: [&str; 3] = ["north", "east", "west"];

/// One for each core of a small machine, on each node.
const WORKERS: usize = 2;

/// Short, so that the tasks of a killed node are taken over while someone watches.
const LEASE: Duration = Duration::from_secs(2);

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct Crew {
    cluster: LocalCluster,
    north: Node,
    west: Node,
    clumsy: Clumsiness,
    /// What the killed node had done.
    fallen: Mutex<TaskCounts>,
}

impl Crew {
    pub async fn assemble(store: &Path) -> Result<Crew, Failure> {
        let router = RouterConfig { task_lease: LEASE, ..RouterConfig::default() };
        let cluster = LocalCluster::on_disk(store, NodeOptions { router, ..NodeOptions::default() })?;
        let north = cluster.start(NODES[0]).await?;
        let east = cluster.start(NODES[1]).await?;
        let west = cluster.start(NODES[2]).await?;
        north.spawn(EDITOR, Editor::default).await?;
        let clumsy = Clumsiness::new();
        hire(&north, NODES[0], None).await?;
        hire(&east, NODES[1], Some(&clumsy)).await?;
        hire(&west, NODES[2], None).await?;
        Ok(Crew { cluster, north, west, clumsy, fallen: Mutex::default() })
    }

    /// The node that tasks are submitted from.
    pub fn office(&self) -> &Node {
        &self.north
    }

    pub fn editor(&self) -> Result<AgentRef, Failure> {
        Ok(self.north.agent(EDITOR)?)
    }

    /// Takes the last node away without warning, with whatever its workers have in hand.
    pub async fn kill_one(&self) -> &'static str {
        *self.fallen.lock().await = self.west.task_counts();
        self.cluster.kill(NODES[2]);
        NODES[2]
    }

    /// Tasks that the workers of the doomed node have begun and not ended.
    pub fn doomed_in_hand(&self) -> u64 {
        let counts = self.west.task_counts();
        counts
            .started
            .saturating_sub(counts.completed + counts.failed + counts.retried + counts.refused_stale)
    }

    pub fn panics(&self) -> u64 {
        self.clumsy.panics()
    }

    pub fn nodes(&self) -> usize {
        self.cluster.nodes().len()
    }

    /// What all nodes have done with tasks, the killed one included.
    pub async fn counts(&self) -> TaskCounts {
        let running = self.cluster.nodes().into_iter().map(|(_, node)| node.task_counts());
        running.fold(*self.fallen.lock().await, |sum, counts| sum + counts)
    }

    pub async fn dismiss(self) {
        self.cluster.stop().await;
    }
}

async fn hire(node: &Node, place: &str, clumsy: Option<&Clumsiness>) -> Result<(), Failure> {
    let shelf = Shelf::default();
    for number in 1..=WORKERS {
        let worker = Worker { shelf: shelf.clone(), clumsy: clumsy.filter(|_| number == 1).cloned() };
        let spec = AgentSpec::new(&format!("worker-{place}-{number}"), move || worker.clone());
        node.spawn_with(spec.capability(CAPABILITY)).await?;
    }
    Ok(())
}
