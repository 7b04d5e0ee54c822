//! The crew: three nodes, an editor on the first, two workers on each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use connectome::TaskCounts;
use connectome::prelude::*;

use crate::company::here::Here;
use crate::company::processes::Processes;
use crate::company::{self, Company, NODES};
use crate::editor::{EDITOR, Editor};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct Crew {
    north: Node,
    company: Company,
    /// In processes, the first node is not part of the company's cluster, and is stopped here.
    stops_north: bool,
}

/// Where NATS is, and what this job is called there.
pub struct Servers {
    pub url: String,
    pub namespace: String,
    /// Where the nodes keep their key.
    pub out: PathBuf,
}

impl Servers {
    /// What a node of this name is told. What the job leaves on the servers is gone after a day.
    pub fn config(&self, name: &str) -> Config {
        let mut config =
            Config { name: name.to_owned(), namespace: self.namespace.clone(), ..Config::default() };
        config.data_dir = self.out.join("store");
        config.nats.url = Some(self.url.clone());
        config.router = company::router();
        config.streams.max_age = Some(Duration::from_secs(24 * 3_600));
        config.streams.max_bytes = None;
        config
    }
}

impl Crew {
    /// Three nodes in this process, over one store on disk.
    pub async fn in_one_process(store: &Path) -> Result<Crew, Failure> {
        let (north, company) = Here::assemble(store).await?;
        Crew::begin(north, company, false).await
    }

    /// Three nodes in three processes, over NATS.
    pub async fn in_processes(servers: &Servers) -> Result<Crew, Failure> {
        let (north, company) = Processes::assemble(servers).await?;
        Crew::begin(north, company, true).await
    }

    async fn begin(north: Node, company: Company, stops_north: bool) -> Result<Crew, Failure> {
        north.spawn(EDITOR, Editor::default).await?;
        company::hire(&north, NODES[0], None).await?;
        Ok(Crew { north, company, stops_north })
    }

    /// The node that tasks are submitted from.
    pub fn office(&self) -> &Node {
        &self.north
    }

    pub fn editor(&self) -> Result<AgentRef, Failure> {
        Ok(self.north.agent(EDITOR)?)
    }

    /// Takes the last node away without warning, with whatever its workers have in hand.
    pub fn kill_one(&self) -> &'static str {
        self.company.kill_one()
    }

    /// Tasks that the workers of the doomed node have begun and not ended.
    pub fn doomed_in_hand(&self) -> u64 {
        self.company.doomed_in_hand()
    }

    pub fn panics(&self) -> u64 {
        self.company.figures().panics
    }

    pub fn nodes(&self) -> usize {
        1 + self.company.nodes()
    }

    /// What all nodes have done with tasks, the killed one included.
    pub fn counts(&self) -> TaskCounts {
        self.north.task_counts() + self.company.figures().counts
    }

    pub async fn dismiss(self) {
        self.company.dismiss().await;
        if self.stops_north {
            self.north.stop().await;
        }
    }
}
