//! One simulated node: its runtime, and its lives one after the other.
//!
//! A crash takes the runtime away, with everything that ran on it: nothing is handed back, no `post_stop` runs, and
//! nothing that the dying do on their way out reaches the network or the store.

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::Ports;
use connectome_actors::port::KeyStore;
use connectome_codecs::NodeId;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::error::{Failure, SimError};
use super::journal::Journal;
use super::network::Net;
use super::store::StoreMachine;
use super::streams::SimStreams;
use super::transport::SimTransport;
use super::world::{Clock, SimWorld, dice_for};
use crate::keystore::MemoryKeys;
use crate::{Node, NodeOptions};

/// What a node does when it has started: it spawns its agents, say.
pub(super) type Setup = Arc<dyn Fn(Node) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// Starts in a row that may fail: with a second between them, longer than any outage that a store survives unnoticed.
pub(super) const STARTS_MAX: u32 = 60;

/// A runtime on one thread, whose time moves only when it is told to.
pub(super) fn paused_runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without input and output asks nothing of the operating system")
}

/// A machine that a node lives on.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) id: NodeId,
    pub(super) setup: Setup,
    keys: Arc<MemoryKeys>,
    ahead: Duration,
    life: u64,
    state: State,
    net: Arc<Net>,
    journal: Journal,
    failed_starts: u32,
    last_failure: Option<String>,
}

enum State {
    /// Until somebody restarts it.
    Down,
    /// Until this moment.
    Resting(u64),
    Running(Running),
}

struct Running {
    runtime: Runtime,
    progress: Arc<Mutex<Progress>>,
}

/// How far a life has come.
enum Progress {
    Starting,
    Up(Node),
    /// Over, and why.
    Ended(String),
}

/// What a machine shares with the rest of the simulation when it starts a life.
pub(super) struct Surroundings<'a> {
    pub(super) seed: u64,
    pub(super) clock: &'a Clock,
    pub(super) store: &'a StoreMachine,
    pub(super) options: &'a NodeOptions,
}

impl Machine {
    pub(super) fn new(
        name: &str,
        keys: MemoryKeys,
        ahead: Duration,
        setup: Setup,
        net: Arc<Net>,
        journal: Journal,
    ) -> Machine {
        Machine {
            name: name.to_owned(),
            id: keys.node_id(),
            setup,
            keys: Arc::new(keys),
            ahead,
            life: 0,
            state: State::Down,
            net,
            journal,
            failed_starts: 0,
            last_failure: None,
        }
    }

    /// Begins a life. The node starts as time passes.
    pub(super) fn start(&mut self, around: &Surroundings<'_>) {
        self.life += 1;
        self.journal.add(&self.name, format_args!("starts, life {}", self.life));
        let (some, room) = self.net.join(self.id, &self.name, self.life);
        let transport = SimTransport { net: self.net.clone(), node: self.id, life: self.life, some, room };
        let dice = dice_for(around.seed, &format!("world of {}", self.name), self.life);
        let ports = Ports {
            world: Arc::new(SimWorld::new(around.clock.clone(), self.ahead, dice)),
            keys: self.keys.clone(),
            transport: Arc::new(transport),
            streams: Arc::new(SimStreams::new(
                around.store.wire.clone(),
                around.store.store.clone(),
                &self.name,
            )),
        };
        let (runtime, progress) = (paused_runtime(), Arc::new(Mutex::new(Progress::Starting)));
        runtime.spawn(live(ports, around.options.clone(), self.setup.clone(), progress.clone()));
        self.state = State::Running(Running { runtime, progress });
    }

    /// Takes the node away without warning. Says whether there was one.
    pub(super) fn crash(&mut self) -> bool {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Down) else { return false };
        // First of all nothing can leave any more: what the dying still say must not be heard.
        self.net.leave((self.id, self.life));
        drop(running);
        true
    }

    /// Lets the node's own time pass.
    pub(super) fn step(&mut self, tick: Duration) {
        if let State::Running(running) = &self.state {
            running.runtime.block_on(async { sleep(tick).await });
        }
    }

    /// Notices a start that succeeded, and a life that ended by itself: that is rested from.
    pub(super) fn look_after(&mut self, now: u64, rest_ms: u64) -> Result<(), SimError> {
        let State::Running(running) = &self.state else { return Ok(()) };
        let ended = match &*running.progress.lock() {
            Progress::Starting => None,
            Progress::Up(_) => {
                self.failed_starts = 0;
                None
            }
            Progress::Ended(why) => Some(why.clone()),
        };
        let Some(why) = ended else { return Ok(()) };
        self.journal.add(&self.name, format_args!("ends by itself: {why}"));
        self.crash();
        self.state = State::Resting(now + rest_ms);
        self.failed_starts += 1;
        self.last_failure = Some(why.clone());
        match self.failed_starts {
            0..STARTS_MAX => Ok(()),
            times => Err(SimError::Start { name: self.name.clone(), times, why }),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    pub(super) fn has_rested(&self, now: u64) -> bool {
        matches!(self.state, State::Resting(until) if until <= now)
    }

    /// How often it has been started.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// The node, once its setup has succeeded.
    pub(super) fn node(&self) -> Option<Node> {
        let State::Running(running) = &self.state else { return None };
        match &*running.progress.lock() {
            Progress::Up(node) => Some(node.clone()),
            Progress::Starting | Progress::Ended(_) => None,
        }
    }

    pub(super) fn down(&self) -> SimError {
        SimError::Down { name: self.name.clone(), why: self.last_failure.clone() }
    }

    /// Runs a future on the node.
    pub(super) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<AbortHandle, SimError> {
        match &self.state {
            State::Running(running) => Ok(running.runtime.spawn(work).abort_handle()),
            State::Down | State::Resting(_) => Err(self.down()),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A life from its start to its end.
async fn live(ports: Ports, options: NodeOptions, setup: Setup, progress: Arc<Mutex<Progress>>) {
    let why = match begin(ports, options, setup).await {
        Ok(node) => {
            *progress.lock() = Progress::Up(node.clone());
            node.ended().await;
            "its machinery has stopped".to_owned()
        }
        Err(failure) => failure.to_string(),
    };
    *progress.lock() = Progress::Ended(why);
}

async fn begin(ports: Ports, options: NodeOptions, setup: Setup) -> Result<Node, Failure> {
    let node = Node::start_with(ports, options).await?;
    setup(node.clone()).await?;
    Ok(node)
}
