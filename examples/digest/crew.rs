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

/// How the processes of this job reach each other, and what the job is called there.
#[derive(Clone)]
pub struct Servers {
    pub way: Way,
    pub namespace: String,
    /// Where the nodes keep their key, and the first one the store, if that is not on NATS.
    pub out: PathBuf,
}

/// How nodes reach each other and their store.
#[derive(Clone)]
pub enum Way {
    /// These NATS servers are between them.
    Nats(String),
    /// Nobody is: this node serves its store to the others.
    Serving,
    /// Nobody is: the node at this address serves its store.
    At(String),
}

impl Servers {
    /// What a node of this name is told. What the job leaves on NATS servers is gone after a day.
    pub fn config(&self, name: &str) -> Config {
        let mut config =
            Config { name: name.to_owned(), namespace: self.namespace.clone(), ..Config::default() };
        config.data_dir = self.out.join("store");
        config.router = company::router();
        config.streams.max_age = Some(Duration::from_secs(24 * 3_600));
        config.streams.max_bytes = None;
        match &self.way {
            Way::Nats(url) => config.nats.url = Some(url.clone()),
            Way::Serving => config.libp2p.store = Some("serve".to_owned()),
            Way::At(address) => config.libp2p.store = Some(address.clone()),
        }
        if config.nats.url.is_none() {
            config.libp2p.listen = Some("/ip4/127.0.0.1/tcp/0".to_owned());
        }
        config
    }

    /// What the nodes that join the first one are told.
    pub fn joining(&self, first: &Node) -> Result<Servers, Failure> {
        let way = match (&self.way, first.libp2p()) {
            (Way::Serving, Some(libp2p)) => {
                Way::At(libp2p.addresses().into_iter().next().ok_or("the first node listens nowhere")?)
            }
            (way, _) => way.clone(),
        };
        Ok(Servers { way, ..self.clone() })
    }
}

impl Crew {
    /// Three nodes in this process, over one store on disk.
    pub async fn in_one_process(store: &Path) -> Result<Crew, Failure> {
        let (north, company) = Here::assemble(store).await?;
        Crew::begin(north, company, false).await
    }

    /// Three nodes in three processes: over NATS, or over libp2p with nobody between them.
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
