//! The nodes beside the first: in this process, or in processes of their own.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{RouterConfig, TaskCounts};

use crate::chaos::Clumsiness;
use crate::crew::Failure;
use crate::worker::{CAPABILITY, Shelf, Worker};

pub mod here;
pub mod processes;

use here::Here;
use processes::Processes;

/// The nodes. The editor lives on the first; the last one is killed.
pub const NODES: [&str; 3] = ["north", "east", "west"];

/// One for each core of a small machine, on each node.
const WORKERS: usize = 2;

/// Short, so that the tasks of a killed node are taken over while someone watches.
const LEASE: Duration = Duration::from_secs(2);

/// Who works beside the first node.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Company {
    Here(Here),
    Processes(Processes),
}

/// What nodes have done, the killed one included.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Figures {
    pub counts: TaskCounts,
    pub panics: u64,
}

impl Company {
    /// Of all nodes but the first.
    pub fn figures(&self) -> Figures {
        match self {
            Company::Here(here) => here.figures(),
            Company::Processes(processes) => processes.figures(),
        }
    }

    /// How many nodes there are beside the first.
    pub fn nodes(&self) -> usize {
        match self {
            Company::Here(here) => here.nodes(),
            Company::Processes(processes) => processes.nodes(),
        }
    }

    /// Tasks that the workers of the doomed node have begun and not ended, as far as is known.
    pub fn doomed_in_hand(&self) -> u64 {
        let counts = match self {
            Company::Here(here) => here.doomed(),
            Company::Processes(processes) => processes.doomed(),
        };
        let ended = counts.completed + counts.failed + counts.retried + counts.refused_stale;
        counts.started.saturating_sub(ended)
    }

    /// Takes the last node away without warning, with whatever its workers have in hand.
    pub fn kill_one(&self) -> &'static str {
        match self {
            Company::Here(here) => here.kill_one(),
            Company::Processes(processes) => processes.kill_one(),
        }
        NODES[2]
    }

    pub async fn dismiss(self) {
        match self {
            Company::Here(here) => here.dismiss().await,
            Company::Processes(processes) => processes.dismiss().await,
        }
    }
}

impl std::ops::Add for Figures {
    type Output = Figures;

    fn add(self, other: Figures) -> Figures {
        Figures { counts: self.counts + other.counts, panics: self.panics + other.panics }
    }
}

/// How tasks are leased on every node.
pub fn router() -> RouterConfig {
    RouterConfig { task_lease: LEASE, ..RouterConfig::default() }
}

/// Starts the workers of a node.
pub async fn hire(node: &Node, place: &str, clumsy: Option<&Clumsiness>) -> Result<(), Failure> {
    let shelf = Shelf::default();
    for number in 1..=WORKERS {
        let worker = Worker { shelf: shelf.clone(), clumsy: clumsy.filter(|_| number == 1).cloned() };
        let spec = AgentSpec::new(&format!("worker-{place}-{number}"), move || worker.clone());
        node.spawn_with(spec.capability(CAPABILITY)).await?;
    }
    Ok(())
}
