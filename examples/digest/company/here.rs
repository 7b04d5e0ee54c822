//! Three nodes in this process, over one store on disk.

use std::path::Path;
use std::sync::Mutex;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions, TaskCounts};

use super::{Company, Figures, NODES, hire, router};
use crate::chaos::Clumsiness;
use crate::crew::Failure;

pub struct Here {
    cluster: LocalCluster,
    west: Node,
    clumsy: Clumsiness,
    /// What the killed node had done.
    fallen: Mutex<Option<TaskCounts>>,
}

impl Here {
    /// Starts the nodes and the workers of the last two; the first one is the caller's.
    pub async fn assemble(store: &Path) -> Result<(Node, Company), Failure> {
        let options = NodeOptions { router: router(), ..NodeOptions::default() };
        let cluster = LocalCluster::on_disk(store, options)?;
        let north = cluster.start(NODES[0]).await?;
        let east = cluster.start(NODES[1]).await?;
        let west = cluster.start(NODES[2]).await?;
        let clumsy = Clumsiness::new();
        hire(&east, NODES[1], Some(&clumsy)).await?;
        hire(&west, NODES[2], None).await?;
        Ok((north, Company::Here(Here { cluster, west, clumsy, fallen: Mutex::default() })))
    }

    pub fn figures(&self) -> Figures {
        let nodes = self.cluster.nodes().into_iter();
        let running = nodes.filter(|(name, _)| name != NODES[0] && name != NODES[2]);
        let counts = running.fold(self.doomed(), |sum, (_, node)| sum + node.task_counts());
        Figures { counts, panics: self.clumsy.panics() }
    }

    pub fn nodes(&self) -> usize {
        self.cluster.nodes().len() - 1
    }

    pub fn doomed(&self) -> TaskCounts {
        let fallen = self.fallen.lock().expect("nobody panics while it holds this");
        fallen.unwrap_or_else(|| self.west.task_counts())
    }

    pub fn kill_one(&self) {
        let counts = self.west.task_counts();
        *self.fallen.lock().expect("nobody panics while it holds this") = Some(counts);
        self.cluster.kill(NODES[2]);
    }

    pub async fn dismiss(self) {
        self.cluster.stop().await;
    }
}
