//! A cluster in one process, from a seed, on virtual time.
//!
//! A [`Sim`] is a few nodes, a network between them and a store behind them, all on one thread. Time moves only when it
//! is told to; the network delays, loses, doubles, reorders and is cut; requests to the store get lost, and so do the
//! answers of what has happened; nodes crash as after `kill -9` and come back. Everything is rolled from one seed, and
//! the same seed gives the same [event log](Sim::log), byte for byte, in this process and the next one: a failure is
//! found again by its seed.
//!
//! ```
//! use std::time::Duration;
//! use connectome::prelude::*;
//! use connectome::sim::{Sim, SimConfig};
//!
//! #[derive(Message, Serialize, Deserialize)]
//! #[message(name = "greet", reply = String)]
//! struct Greet { name: String }
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! impl Agent for Greeter {
//!     fn handles(table: &mut Table<Self>) { table.on::<Greet>(); }
//! }
//!
//! impl Handle<Greet> for Greeter {
//!     async fn handle(&mut self, greet: Greet, _: &mut Context<'_>) -> Result<String, HandlerError> {
//!         Ok(format!("hello {}", greet.name))
//!     }
//! }
//!
//! let mut sim = Sim::new(SimConfig { seed: 7, ..SimConfig::default() });
//! // What is given with a node runs at its first start, and at every one that follows a crash.
//! sim.node("a", |node| async move {
//!     node.spawn("greeter", Greeter::default).await?;
//!     Ok(())
//! });
//! sim.node("b", |_| async { Ok(()) });
//! sim.run_for(Duration::from_secs(5))?;
//!
//! let greet = |node: Node| async move { Ok(node.agent("greeter")?.call(Greet { name: "Ada".into() }).await?) };
//! assert_eq!(sim.on("b", greet)?, "hello Ada");
//!
//! sim.crash("a")?;
//! assert!(sim.on("b", greet).is_err());
//! sim.restart("a")?;
//! sim.run_for(Duration::from_secs(5))?;
//! assert_eq!(sim.on("b", greet)?, "hello Ada");
//! assert!(sim.log().contains("a      starts, life 2"));
//! # Ok::<(), connectome::sim::SimError>(())
//! ```
//!
//! # What it takes to stay the same
//!
//! The simulator keeps its own part: one thread, one order of the nodes, no clock and no randomness but its own. An
//! agent keeps it as well, if it
//! * measures time with `tokio::time` (or `ctx.after`), never with `std::time`;
//! * takes ids and randomness from its node (`Router::message_id`), never from the operating system;
//! * writes `biased;` into each `tokio::select!`;
//! * does not go over a `HashMap` where the order shows;
//! * starts no threads and no `spawn_blocking`, and does no input or output.
//!
//! It also must not wait by asking again and again (`yield_now` in a loop): a node that is never idle stops the clock.
//!
//! # What it does not show
//!
//! Bandwidth, the cost of computing, memory, the disk, and everything below a frame. A transport or a store of the real
//! world is held to the same promises by its own tests.
//!
//! # Where to look
//!
//! `network.rs` is the network, `store.rs` and `streams.rs` the store and the way to it, `machine.rs` a node,
//! `trouble.rs` what goes wrong by itself, `journal.rs` the log.

mod begun;
mod config;
mod error;
mod journal;
mod machine;
mod network;
mod store;
mod streams;
mod transport;
mod trouble;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::{KeyStore, Streams};

pub use begun::Begun;
pub use config::{Network, Order, SimConfig, StoreFaults};
pub use error::{Failure, SimError};
pub use network::LINK_FRAMES_MAX;
pub use store::JOBS_MAX;
pub use trouble::Trouble;

use self::journal::{DRIVER, Journal};
use self::machine::{Machine, Setup, Surroundings};
use self::network::Net;
use self::store::StoreMachine;
use self::world::{Clock, Rolls, dice_for, millis};
use crate::Node;
use crate::keystore::MemoryKeys;

/// A cluster in one process, from a seed, on virtual time. See the [module](self).
///
/// It drives runtimes of its own, so it must not be used inside of one: write `#[test]`, not `#[tokio::test]`.
/// A [`Node`] belongs to the node it was given on: what is called on it elsewhere never ends.
pub struct Sim {
    config: SimConfig,
    clock: Clock,
    journal: Journal,
    net: Arc<Net>,
    // Before the store, so that they are dropped before it.
    machines: BTreeMap<String, Machine>,
    store: StoreMachine,
}

impl Sim {
    /// A cluster without nodes, at the beginning of its time.
    pub fn new(config: SimConfig) -> Sim {
        let clock = Clock::default();
        let journal = Journal::new(clock.clone());
        let dice = dice_for(config.seed, "network", 0);
        let net = Net::new(clock.clone(), journal.clone(), dice, config.network.clone());
        let store = StoreMachine::new(&clock, &journal, config.seed, config.store.clone());
        journal.add(DRIVER, format_args!("begins with seed {}", config.seed));
        Sim { config, clock, journal, net: Arc::new(net), machines: BTreeMap::new(), store }
    }

    /// Declares a node and starts it. `setup` runs whenever it has started: now, and after every crash. A name that is
    /// known gets the new setup from its next start on.
    pub fn node<F, Fut>(&mut self, name: &str, setup: F)
    where
        F: Fn(Node) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let setup: Setup = Arc::new(move |node| Box::pin(setup(node)));
        if let Some(machine) = self.machines.get_mut(name) {
            machine.setup = setup;
            return;
        }
        let keys = MemoryKeys::from_seed(root(self.config.seed), name);
        debug_assert!(
            self.machines.values().all(|other| other.id != keys.node_id()),
            "each name has a key of its own"
        );
        let mut dice = dice_for(self.config.seed, &format!("clock of {name}"), 0);
        let ahead = Duration::from_millis(dice.between(Duration::ZERO, self.config.skew_max));
        let machine = Machine::new(name, keys, ahead, setup, self.net.clone(), self.journal.clone());
        self.machines.insert(name.to_owned(), machine);
        self.start(name);
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// [`SimError::Start`] when a node's setup fails again and again.
    pub fn run_for(&mut self, time: Duration) -> Result<(), SimError> {
        let end = self.now_ms() + millis(time);
        while self.now_ms() < end {
            self.tick()?;
        }
        Ok(())
    }

    /// Lets time pass until something holds, and says whether it did `within` this time.
    ///
    /// # Errors
    /// [`SimError::Start`].
    pub fn run_until(
        &mut self,
        within: Duration,
        mut holds: impl FnMut(&Sim) -> bool,
    ) -> Result<bool, SimError> {
        let end = self.now_ms() + millis(within);
        loop {
            if holds(self) {
                return Ok(true);
            }
            if self.now_ms() >= end {
                return Ok(false);
            }
            self.tick()?;
        }
    }

    /// Runs a future on a node, and lets time pass until it ends. Waits for the node to be up first.
    ///
    /// # Errors
    /// What the future failed with; [`SimError::Hangs`] after [`SimConfig::patience`]; [`SimError::Down`] when the node
    /// is down and nobody restarts it.
    pub fn on<T, F, Fut>(&mut self, name: &str, work: F) -> Result<T, SimError>
    where
        T: Send + 'static,
        F: FnOnce(Node) -> Fut,
        Fut: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let patience = self.config.patience;
        if self.machine(name)?.is_down() || !self.run_until(patience, |sim| sim.running(name).is_some())? {
            return Err(self.machine(name)?.down());
        }
        let begun = self.begin(name, work)?;
        self.wait_for(name, &begun)
    }

    /// Begins a future on a node; it runs while time passes, and is lost when the node crashes.
    ///
    /// # Errors
    /// [`SimError::Down`] when the node is not up now.
    pub fn begin<T, F, Fut>(&mut self, name: &str, work: F) -> Result<Begun<T>, SimError>
    where
        T: Send + 'static,
        F: FnOnce(Node) -> Fut,
        Fut: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let machine = self.machine(name)?;
        let node = machine.node().ok_or_else(|| machine.down())?;
        let (begun, run) = Begun::pair(name, work(node));
        Ok(begun.running_as(machine.spawn(run)?))
    }

    /// Asks the store directly, past all faults: for checks.
    ///
    /// # Errors
    /// What the future failed with; [`SimError::Hangs`].
    pub fn at_store<T, F, Fut>(&mut self, work: F) -> Result<T, SimError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Streams>) -> Fut,
        Fut: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (begun, run) = Begun::pair("store", work(self.store.store.clone()));
        let begun = begun.running_as(self.store.runtime.spawn(run).abort_handle());
        self.wait_for("the store", &begun)
    }

    fn wait_for<T: Send + 'static>(&mut self, name: &str, begun: &Begun<T>) -> Result<T, SimError> {
        let patience = self.config.patience;
        self.run_until(patience, |_| begun.has_ended())?;
        begun.outcome().unwrap_or_else(|| {
            begun.abort();
            Err(SimError::Hangs { name: name.to_owned(), patience })
        })
    }

    /// Takes a node away as `kill -9` would. One that is down stays down.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn crash(&mut self, name: &str) -> Result<(), SimError> {
        self.machine(name)?;
        let crashed = self.machines.get_mut(name).is_some_and(Machine::crash);
        if crashed {
            self.journal.add(name, format_args!("crashes"));
        }
        Ok(())
    }

    /// Stops a node gracefully, and leaves it down.
    ///
    /// # Errors
    /// [`SimError::Hangs`] when it does not stop in time.
    pub fn stop(&mut self, name: &str) -> Result<(), SimError> {
        self.journal.add(name, format_args!("is asked to stop"));
        let stopped = self.on(name, |node| async move {
            node.stop().await;
            Ok(())
        });
        self.crash(name)?;
        match stopped {
            // The end of its machinery may have been noticed first.
            Err(SimError::Lost(_)) => Ok(()),
            other => other,
        }
    }

    /// Starts a node that is down. One that runs goes on.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn restart(&mut self, name: &str) -> Result<(), SimError> {
        if !self.machine(name)?.is_running() {
            self.start(name);
        }
        Ok(())
    }

    /// Cuts all paths between two groups, both ways.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn partition(&mut self, one: &[&str], other: &[&str]) -> Result<(), SimError> {
        self.journal.add(DRIVER, format_args!("parts {} from {}", one.join(" "), other.join(" ")));
        let pairs = one.iter().flat_map(|from| other.iter().map(move |to| (*from, *to)));
        pairs
            .flat_map(|(from, to)| [(from, to), (to, from)])
            .try_for_each(|(from, to)| self.set_cut(from, to, true))
    }

    /// Cuts one path in one direction: what `from` sends does not arrive, what `to` sends does.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn cut(&mut self, from: &str, to: &str) -> Result<(), SimError> {
        self.journal.add(DRIVER, format_args!("cuts {from}>{to}"));
        self.set_cut(from, to, true)
    }

    /// Makes every path whole again: between nodes, and to the store.
    pub fn heal(&mut self) {
        self.journal.add(DRIVER, format_args!("heals"));
        let ids: Vec<_> = self.machines.values().map(|machine| machine.id).collect();
        for from in &ids {
            ids.iter().filter(|to| *to != from).for_each(|to| self.net.cut(*from, *to, false));
        }
        self.store.wire.mend();
    }

    /// Cuts a node from the store, or mends that path.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn cut_from_store(&mut self, name: &str, cut: bool) -> Result<(), SimError> {
        self.machine(name)?;
        self.journal.add(name, format_args!("{} the store", if cut { "loses" } else { "finds" }));
        self.store.wire.cut(name, cut);
        Ok(())
    }

    /// Takes the store away from every node, or gives it back. It forgets nothing.
    pub fn set_store_down(&mut self, down: bool) {
        self.journal.add(DRIVER, format_args!("the store is {}", if down { "down" } else { "back" }));
        self.store.wire.set_down(down);
    }

    /// Changes what happens to frames from now on.
    pub fn set_network(&mut self, network: Network) {
        self.net.set_weather(network);
    }

    /// Changes what happens on the way to the store from now on.
    pub fn set_store_faults(&mut self, faults: StoreFaults) {
        self.store.wire.set_faults(faults);
    }

    /// The node of that name, if it is up: for what can be asked without waiting, as [`Node::accounts`].
    pub fn running(&self, name: &str) -> Option<Node> {
        self.machines.get(name)?.node()
    }

    /// How often a node has been started.
    pub fn lives(&self, name: &str) -> u64 {
        self.machines.get(name).map_or(0, Machine::life)
    }

    /// The names of all nodes, sorted.
    pub fn names(&self) -> Vec<String> {
        self.machines.keys().cloned().collect()
    }

    /// How much virtual time has passed.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.config.seed
    }

    /// Adds a line of one's own to the event log.
    pub fn note(&self, what: impl fmt::Display) {
        self.journal.add(DRIVER, format_args!("{what}"));
    }

    /// The event log: one line an event, with the virtual time, the node, and what happened.
    ///
    /// The last 128 MiB of it; [`log_hash`](Sim::log_hash) is over all.
    pub fn log(&self) -> String {
        self.journal.text()
    }

    /// A hash over the whole event log, the same in every process and on every machine.
    pub fn log_hash(&self) -> u64 {
        self.journal.hash()
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.journal.count()
    }

    fn now_ms(&self) -> u64 {
        self.clock.now()
    }

    /// Lets one tick pass: first what is due arrives, then the store and each node run, in the order of their names.
    fn tick(&mut self) -> Result<(), SimError> {
        let tick = self.config.tick.max(Duration::from_millis(1));
        self.net.advance();
        let (now, rest) = (self.now_ms(), millis(self.config.rest));
        let rested: Vec<String> = self
            .machines
            .values()
            .filter(|machine| machine.has_rested(now))
            .map(|machine| machine.name.clone())
            .collect();
        rested.iter().for_each(|name| self.start(name));
        self.store.step(tick);
        for machine in self.machines.values_mut() {
            machine.step(tick);
        }
        self.clock.advance(millis(tick));
        self.machines.values_mut().try_for_each(|machine| machine.look_after(now, rest))
    }

    fn start(&mut self, name: &str) {
        let Some(machine) = self.machines.get_mut(name) else { return };
        let SimConfig { seed, node: options, .. } = &self.config;
        machine.start(&Surroundings { seed: *seed, clock: &self.clock, store: &self.store, options });
    }

    fn set_cut(&mut self, from: &str, to: &str, cut: bool) -> Result<(), SimError> {
        let (from, to) = (self.machine(from)?.id, self.machine(to)?.id);
        self.net.cut(from, to, cut);
        Ok(())
    }

    fn is_running(&self, name: &str) -> bool {
        self.machines.get(name).is_some_and(Machine::is_running)
    }

    fn machine(&self, name: &str) -> Result<&Machine, SimError> {
        self.machines.get(name).ok_or_else(|| SimError::Unknown(name.to_owned()))
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.names();
        f.debug_struct("Sim")
            .field("seed", &self.seed())
            .field("elapsed", &self.elapsed())
            .field("nodes", &nodes)
            .finish()
    }
}

/// The root of all keys of a simulation. The seed is all the secret there is.
fn root(seed: u64) -> [u8; 32] {
    let mut dice = dice_for(seed, "keys", 0);
    let mut root = [0; 32];
    root.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&dice.roll().to_le_bytes()));
    root
}
