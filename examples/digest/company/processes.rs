//! Two nodes in processes of their own, over NATS or libp2p: this program, started again to join.
//!
//! A foreman on each tells what its node has done. It is asked all the time, so that what a killed node had done is known
//! but for its last moment. A process ends when whoever started it does: it reads from it, and reads the end.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use connectome::TaskCounts;
use connectome::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Company, Figures, NODES, hire};
use crate::chaos::Clumsiness;
use crate::crew::{Failure, Servers, Way};

/// How often a foreman is asked.
const EVERY: Duration = Duration::from_millis(100);

/// A process of this program starts in well under a second; a machine at its limits takes longer.
const JOINS_WITHIN: Duration = Duration::from_secs(60);

pub struct Processes {
    members: Vec<Member>,
}

/// A node in a process of its own.
struct Member {
    place: &'static str,
    process: Mutex<Option<Child>>,
    figures: Arc<Mutex<Figures>>,
    asking: JoinHandle<()>,
}

/// To a foreman: what has your node done?
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.report", reply = Figures)]
struct Report;

#[derive(Agent)]
#[agent(handles(Report))]
struct Foreman {
    node: Node,
    clumsy: Clumsiness,
}

impl Handle<Report> for Foreman {
    async fn handle(&mut self, _: Report, _: &mut Context<'_>) -> Result<Figures, HandlerError> {
        Ok(Figures { counts: self.node.task_counts(), panics: self.clumsy.panics() })
    }
}

impl Processes {
    /// Starts the first node here and the others in processes of their own.
    pub async fn assemble(servers: &Servers) -> Result<(Node, Company), Failure> {
        let north = Node::start(servers.config(NODES[0])).await?;
        let (mut members, joining) = (Vec::new(), servers.joining(&north)?);
        for place in &NODES[1..] {
            members.push(Member::start(&north, &joining, place)?);
        }
        for member in &members {
            let (name, late) = (foreman(member.place), |_| format!("{} did not join in time", member.place));
            timeout(JOINS_WITHIN, north.wait_for(&name)).await.map_err(late)??;
        }
        Ok((north, Company::Processes(Processes { members })))
    }

    pub fn figures(&self) -> Figures {
        self.members.iter().fold(Figures::default(), |sum, member| sum + *held(&member.figures))
    }

    pub fn nodes(&self) -> usize {
        self.members.iter().filter(|member| held(&member.process).is_some()).count()
    }

    pub fn doomed(&self) -> TaskCounts {
        self.members.last().map(|member| held(&member.figures).counts).unwrap_or_default()
    }

    pub fn kill_one(&self) {
        if let Some(mut process) = self.members.last().and_then(|member| held(&member.process).take()) {
            // One that has ended by itself is dead enough.
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Lets the processes end by themselves.
    pub async fn dismiss(self) {
        for member in self.members {
            member.asking.abort();
            let Some(mut process) = held(&member.process).take() else { continue };
            drop(process.stdin.take());
            drop(tokio::task::spawn_blocking(move || process.wait()).await);
        }
    }
}

impl Member {
    fn start(north: &Node, servers: &Servers, place: &'static str) -> Result<Member, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--join", place, "--namespace", &servers.namespace]);
        match &servers.way {
            Way::Nats(url) => command.args(["--nats", url]),
            Way::At(address) => command.args(["--at", address]),
            Way::Serving => return Err("there is one node that serves, and it is the first".into()),
        };
        command.arg("--out").arg(&servers.out).stdin(Stdio::piped());
        let process = Mutex::new(Some(command.spawn()?));
        let figures = Arc::<Mutex<Figures>>::default();
        let asking = tokio::spawn(ask(north.agent(&foreman(place))?, figures.clone()));
        Ok(Member { place, process, figures, asking })
    }
}

/// Keeps the figures of a node fresh for as long as it answers.
async fn ask(foreman: AgentRef, figures: Arc<Mutex<Figures>>) {
    loop {
        if let Ok(reported) = foreman.call(Report).await {
            *held(&figures) = reported;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The life of a process that joins: its node works until nobody reads what it would say.
pub async fn join(place: &str, servers: &Servers) -> Result<(), Failure> {
    let node = Node::start(servers.config(place)).await?;
    let clumsy = Clumsiness::new();
    hire(&node, place, Some(&clumsy).filter(|_| place == NODES[1])).await?;
    let told = (node.clone(), clumsy);
    node.spawn(&foreman(place), move || Foreman { node: told.0.clone(), clumsy: told.1.clone() }).await?;
    let until_the_end = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(until_the_end).await??;
    Ok(node.stop().await)
}

fn foreman(place: &str) -> String {
    format!("foreman-{place}")
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while it holds this")
}
