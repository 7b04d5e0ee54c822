//! The router: every message of a node passes here once, on its way to a mailbox, to another node, or to the store.
//!
//! It is a table that everyone reads and no one waits for, so it is shared, not an actor. What it does with other
//! nodes is in `remote.rs`, with the store in `mail.rs`, `event_dispatcher.rs` and `task_queue.rs`.

mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use connectome_codecs::session::Policy;
use connectome_codecs::{
    Address, AgentName, Capability, EventId, Fact, MessageId, MessageName, NodeId, ParseError, TaskId,
    TraceContext, UnixMillis,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::config::MAIL_AGE_MAX;
pub use self::config::RouterConfig;
use crate::agent::Agent;
use crate::agent_ref::AgentRef;
use crate::cell::AgentCell;
use crate::dead_letters::{DeadLetter, DeadLetters, Reason, address_of};
use crate::error::CallError;
use crate::event_dispatcher::Events;
use crate::mail::{KeyTable, Outbox, OutgoingMail, States};
use crate::mailbox::Accounts;
use crate::monitor::{Down, DownReason, MonitorId, Signal, Watcher};
use crate::ownership::Offers;
use crate::parcel::{Meta, Parcel};
use crate::peers::{Peers, SealCounts};
use crate::port::{
    ConnectionFigures, KeyStore, KeyStoreError, StreamError, StreamInfo, Streams, Transport, World,
};
use crate::protocol::restart::Exit;
use crate::protocol::routing::{self, Candidate};
use crate::registration::Registrations;
use crate::registry::{NodeState, Place, Registry};
use crate::remote::Remote;
use crate::sealing::Seals;
use crate::spec::AgentSpec;
use crate::supervisor::{Supervisor, SupervisorError, SupervisorSpec};
use crate::task_queue::Tasks;

/// Events that wait to be published at the most: a second's worth of a busy store. Then whoever emits waits.
pub(crate) const EVENTS_WAITING_MAX: usize = 8_192;

/// Why a node that stops refuses what is new.
pub(crate) const STOPPING: &str = "its node is stopping";

/// What a router needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// Time and chance.
    pub world: Arc<dyn World>,
    /// Who this node is.
    pub keys: Arc<dyn KeyStore>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// What remembers.
    pub streams: Arc<dyn Streams>,
}

/// Agents that a node has made known since it started, and those that it has said are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Made known.
    pub registered: u64,
    /// Gone.
    pub unregistered: u64,
}

/// A node's routing table and its ports. Cheap to clone; all clones are the same router.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

/// A router that does not keep its node.
pub(crate) struct WeakRouter(Weak<Inner>);

impl WeakRouter {
    pub(crate) fn upgrade(&self) -> Option<Router> {
        self.0.upgrade().map(Router)
    }
}

pub(crate) struct Inner {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) ports: Ports,
    pub(crate) config: RouterConfig,
    pub(crate) registry: Registry,
    pub(crate) letters: DeadLetters,
    pub(crate) remote: Remote,
    pub(crate) peers: Arc<Peers>,
    pub(crate) outgoing_mail: OutgoingMail,
    pub(crate) outbox: Outbox,
    pub(crate) mail_keys: KeyTable,
    pub(crate) events: Events,
    pub(crate) tasks: Tasks,
    pub(crate) offers: Offers,
    pub(crate) registrations: Registrations,
    /// Agents that appeared or went: what the membership keeper must announce.
    pub(crate) announce: Changes,
    /// The same for the mail keeper, which attends to their durable messages.
    pub(crate) mail: Changes,
    /// What the agents keep.
    pub(crate) states: States,
    /// What seals it, and what else the store keeps.
    pub(crate) seals: Seals,
    /// What the agents that are gone have handled.
    retired: Mutex<Accounts>,
    turnover: Mutex<Turnover>,
    draining: AtomicBool,
}

impl Router {
    /// A router without agents. `events` receives what it wants published; see `Services`.
    pub(crate) fn new(
        ports: Ports,
        config: RouterConfig,
        seals: Seals,
    ) -> Result<(Router, mpsc::Receiver<Fact>), KeyStoreError> {
        let (events, outbox) = Events::new(EVENTS_WAITING_MAX);
        let Ports { keys, world, transport, .. } = ports.clone();
        let peers = Peers::new(
            keys,
            world,
            transport,
            (config.sealing.clone(), config.accept.clone()),
            !config.sealed,
        )?;
        seals.identities().set_acceptance(config.accept.clone(), ports.keys.organisation_id());
        let router = Router(Arc::new(Inner {
            node: ports.keys.node_id(),
            incarnation: ports.world.now().0,
            ports,
            config,
            registry: Registry::default(),
            letters: DeadLetters::default(),
            remote: Remote::default(),
            peers,
            outgoing_mail: OutgoingMail::default(),
            outbox: Outbox::default(),
            mail_keys: KeyTable::default(),
            events,
            tasks: Tasks::default(),
            offers: Offers::default(),
            registrations: Registrations::default(),
            announce: Changes::default(),
            mail: Changes::default(),
            states: States::default(),
            seals,
            retired: Mutex::default(),
            turnover: Mutex::default(),
            draining: AtomicBool::new(false),
        }));
        Ok((router, outbox))
    }

    pub(crate) fn downgrade(&self) -> WeakRouter {
        WeakRouter(Arc::downgrade(&self.0))
    }

    /// A router of nobody, for a tool that sends durable messages and is no node.
    ///
    /// # Errors
    /// When the keys can't be used.
    pub fn detached(ports: Ports, config: RouterConfig) -> Result<Router, KeyStoreError> {
        let Ports { keys, world, streams, .. } = ports.clone();
        let seals = Seals::new(keys, world, streams, Some(config.mail_age)).enabled(config.sealed);
        Router::new(ports, config, seals).map(|(router, _)| router)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.0.ports.transport
    }

    pub(crate) fn streams(&self) -> &dyn Streams {
        &*self.0.ports.streams
    }

    /// The public key that names this node.
    pub fn node_id(&self) -> NodeId {
        self.0.node
    }

    /// The time, as this node's world tells it.
    pub fn now(&self) -> UnixMillis {
        self.0.ports.world.now()
    }

    /// What this node has sealed for others, opened of theirs, and refused.
    pub fn seal_counts(&self) -> SealCounts {
        self.0.peers.counts()
    }

    /// A fresh message id.
    pub fn message_id(&self) -> MessageId {
        MessageId::from_parts(self.now(), self.0.ports.world.random())
    }

    /// A fresh task id.
    pub fn task_id(&self) -> TaskId {
        TaskId::from_parts(self.now(), self.0.ports.world.random())
    }

    pub(crate) fn event_id(&self) -> EventId {
        EventId::from_parts(self.now(), self.0.ports.world.random())
    }

    /// 64 random bits.
    pub(crate) fn dice(&self) -> u64 {
        self.0.ports.world.random() as u64
    }

    /// A subject of this cluster.
    pub(crate) fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.0.config.namespace)
    }

    pub(crate) fn mail_age(&self) -> Duration {
        self.0.config.mail_age
    }

    /// What is asked for of durable messages: the same as of others, over the age that they can reach.
    pub(crate) fn mail_policy(&self) -> Policy {
        Policy { retention: self.mail_age(), ..self.0.config.sealing.clone() }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.0.config.call_timeout
    }

    pub(crate) fn stream_timeout(&self) -> Duration {
        self.0.config.stream_timeout
    }

    /// A reference to whoever has that address: `greeter`, `did:key:…` or `can:summarise`.
    ///
    /// # Errors
    /// When the text is no address; nobody needs to be there yet.
    pub fn agent(&self, address: &str) -> Result<AgentRef, ParseError> {
        Ok(AgentRef::to(self.clone(), address.parse()?))
    }

    /// A reference to whoever has that address, once this node knows of somebody there: here, or on another node.
    /// However long that takes; put it into a timeout where nobody may come.
    ///
    /// # Errors
    /// When the text is no address.
    pub async fn wait_for(&self, address: &str) -> Result<AgentRef, ParseError> {
        let to: Address = address.parse()?;
        loop {
            // Listened to before the registry is asked, so that no arrival falls in between.
            let arrival = self.0.registry.arrival();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if self.0.registry.knows(&to) {
                return Ok(AgentRef::to(self.clone(), to));
            }
            arrival.await;
        }
    }

    /// Starts an agent below a supervisor, and returns once it runs.
    ///
    /// # Errors
    /// When the name is no name or is taken, the start failed, or this node is stopping.
    pub async fn spawn_below<A: Agent>(
        &self,
        supervisor: &Supervisor,
        spec: AgentSpec<A>,
    ) -> Result<AgentRef, SupervisorError> {
        supervisor.spawn(self, spec).await
    }

    /// Starts a supervisor with its children below nobody.
    ///
    /// # Errors
    /// When the specification contradicts itself, or a child could not be started.
    pub async fn start_supervisor(&self, spec: SupervisorSpec) -> Result<Supervisor, SupervisorError> {
        Supervisor::start(spec, self, None).await
    }

    /// Where an address leads now.
    pub(crate) fn locate(&self, to: &Address) -> Option<Place> {
        match to {
            Address::Agent(name) => self.0.registry.find(name),
            Address::Id(id) => self.0.registry.name_of(id).and_then(|name| self.0.registry.find(&name)),
            Address::Capability(capability) => self.choose(&self.0.registry.able(capability)),
        }
    }

    /// Where a message from another node leads, which has chosen this one: what is for a capability stays here.
    pub(crate) fn locate_here(&self, to: &Address) -> Option<Place> {
        let Address::Capability(capability) = to else { return self.locate(to) };
        let mut able = self.0.registry.able(capability);
        able.retain(|(_, node)| node.is_none());
        self.choose(&able)
    }

    /// A message for whom nobody is there.
    pub(crate) fn no_agent(&self, to: &Address, from: Option<Address>, message: MessageName) -> CallError {
        self.letter(to.clone(), from, message, Reason::NoAgent, "nobody answers to this address");
        CallError::NoAgent(to.clone())
    }

    /// One of those who can do it: the less busy of two, this node's first.
    fn choose(&self, able: &[(AgentName, Option<NodeId>)]) -> Option<Place> {
        let candidates: Vec<_> = able.iter().map(|(name, node)| self.candidate(name, *node)).collect();
        let chosen = routing::pick(&candidates, self.dice())?;
        self.0.registry.find(&able.get(chosen)?.0)
    }

    fn candidate(&self, name: &AgentName, node: Option<NodeId>) -> Candidate {
        match node {
            None => {
                let in_flight = self.0.registry.local(name).map_or(0, |cell| cell.mailbox.pending());
                Candidate { local: true, suspected: false, in_flight, latency: Duration::ZERO }
            }
            Some(node) => Candidate {
                local: false,
                suspected: self.0.registry.is_suspected(node),
                in_flight: self.0.remote.in_flight(node),
                latency: self.0.remote.latency(node),
            },
        }
    }

    /// An agent's first incarnation runs, or another one does.
    pub(crate) async fn registered(&self, cell: &Arc<AgentCell>) {
        if cell.make_known() {
            self.0.announce.add(&cell.name);
            self.0.tasks.workers_changed();
            self.0.turnover.lock().registered += 1;
            self.note_registered(cell).await;
        }
        self.0.mail.add(&cell.name);
    }

    /// An agent has stopped for good: its name is free, and what waited for it is given up.
    pub(crate) async fn retire(&self, cell: &Arc<AgentCell>, exit: &Exit) {
        let why = exit.to_string();
        for parcel in cell.mailbox.close(&why) {
            let error = CallError::Stopped(why.clone());
            self.letter_for(&cell.name, &*parcel, Reason::Stopped, &why);
            parcel.refuse(error);
        }
        // Whatever is not settled now never will be.
        cell.mailbox.abandon();
        if self.0.registry.release(cell) {
            self.0.announce.add(&cell.name);
            self.0.mail.add(&cell.name);
            self.0.tasks.workers_changed();
            *self.0.retired.lock() += cell.mailbox.accounts();
            self.owned_ended(cell);
            if cell.is_known() {
                self.0.turnover.lock().unregistered += 1;
                self.note_unregistered(cell, exit).await;
            }
        }
    }

    /// Gives a parcel up: answers its caller, counts it, keeps it to look at.
    pub(crate) fn dead_letter(
        &self,
        agent: &AgentName,
        parcel: Box<dyn Parcel>,
        reason: Reason,
        error: CallError,
    ) {
        self.letter_for(agent, &*parcel, reason, &error.to_string());
        parcel.refuse(error);
    }

    /// The same for a parcel whose caller is answered elsewhere.
    pub(crate) fn note_dead(&self, agent: &AgentName, parcel: &dyn Parcel, reason: Reason, cause: &str) {
        self.letter_for(agent, parcel, reason, cause);
    }

    /// A message crashed the agent that handled it, and will not be delivered again.
    pub(crate) fn crashed(
        &self,
        agent: &AgentName,
        from: Option<Address>,
        message: &MessageName,
        cause: &str,
    ) {
        self.letter(address_of(agent), from, message.clone(), Reason::Crashed, cause);
    }

    /// What went on in a pipe was given up: its caller went away, or the agent ended.
    pub(crate) fn pipe_dropped(&self, agent: &AgentName, message: &MessageName) {
        let cause = "its pipe was dropped: the caller stopped waiting, or the agent ended";
        self.letter(address_of(agent), None, message.clone(), Reason::Abandoned, cause);
    }

    fn letter_for(&self, agent: &AgentName, parcel: &dyn Parcel, reason: Reason, cause: &str) {
        self.letter(address_of(agent), parcel.meta().from.clone(), parcel.name(), reason, cause);
    }

    pub(crate) fn letter(
        &self,
        to: Address,
        from: Option<Address>,
        message: MessageName,
        reason: Reason,
        cause: &str,
    ) {
        let at = self.now();
        self.0.letters.add(DeadLetter {
            at,
            to,
            from,
            message: message.to_string(),
            reason,
            cause: cause.to_owned(),
        });
    }

    /// The last messages that were given up, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.letters.last()
    }

    /// How many messages were given up since the node started, by reason.
    pub fn dead_letter_counts(&self) -> BTreeMap<Reason, u64> {
        self.0.letters.counts()
    }

    /// What became of every message that any agent of this node ever accepted.
    pub fn accounts(&self) -> Accounts {
        // Retired first: an agent that retires in between is missed once at the most, and never counted twice.
        let retired = *self.0.retired.lock();
        self.0.registry.fold_cells(retired, |mut sum, cell| {
            sum += cell.mailbox.accounts();
            sum
        })
    }

    /// How many agents this node has made known, and of how many it has said that they are gone.
    pub fn turnover(&self) -> Turnover {
        *self.0.turnover.lock()
    }

    /// Where the connection to the broker stands. `None`: neither transport nor store needs one.
    pub fn connection(&self) -> Option<ConnectionFigures> {
        self.transport().connection().or_else(|| self.streams().connection())
    }

    /// What a stream of the node's store holds.
    ///
    /// # Errors
    /// The store's.
    pub async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        self.streams().stream_info(stream).await
    }

    /// The names of this node's agents, sorted.
    pub fn local_agents(&self) -> Vec<AgentName> {
        self.0.registry.cells().into_iter().map(|cell| cell.name.clone()).collect()
    }

    /// The first names of this node's agents, at most so many: without sorting all of them.
    pub fn first_local_agents(&self, max: usize) -> BTreeSet<AgentName> {
        self.0.registry.fold_cells(BTreeSet::new(), |mut first: BTreeSet<AgentName>, cell| {
            first.insert(cell.name.clone());
            if first.len() > max {
                first.pop_last();
            }
            first
        })
    }

    /// What agents of this node can do.
    pub fn local_capabilities(&self) -> BTreeSet<Capability> {
        self.0.registry.capabilities_here()
    }

    /// The names of other nodes' agents and where they are, sorted.
    pub fn remote_agents(&self) -> Vec<(AgentName, NodeId)> {
        self.0
            .registry
            .remote_records()
            .into_iter()
            .map(|(node, record)| (record.name.clone(), node))
            .collect()
    }

    /// The other nodes of the cluster.
    pub fn nodes(&self) -> Vec<(NodeId, NodeState)> {
        self.0.registry.nodes()
    }

    /// Whether this node has begun to stop.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// From now on no new work is fetched from the store; what is in hand goes on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.tasks.workers_changed();
    }

    /// Whether a node that stops refuses this message. What its own agents have to say, and the calls that they wait
    /// for, are work in hand.
    pub(crate) fn turns_away(&self, meta: &Meta) -> bool {
        let is_mine = |agent: &AgentName| self.0.registry.local(agent).is_some();
        let mine = || match &meta.from {
            Some(Address::Agent(agent)) if is_mine(agent) => true,
            _ => meta.chain.as_ref().is_some_and(|chain| chain.agents().any(is_mine)),
        };
        self.is_draining() && !mine()
    }

    /// Ends when no agent of this node has anything pending.
    pub async fn quiet(&self) {
        while self.accounts().pending > 0 {
            for cell in self.0.registry.cells() {
                cell.mailbox.idle().await;
            }
        }
    }

    /// Which life of this node this is: the time of its start, in milliseconds since 1970.
    pub fn incarnation(&self) -> u64 {
        self.0.incarnation
    }

    /// Tells everyone who watched an incarnation how it ended.
    pub(crate) fn tell_watchers(
        &self,
        cell: &AgentCell,
        incarnation: u64,
        exit: &Exit,
        watchers: Vec<Watcher>,
    ) {
        for watcher in watchers {
            match watcher {
                Watcher::Link(linked) => {
                    linked.unlink(cell, incarnation);
                    linked.signal(Signal::LinkDown { agent: cell.name.clone(), exit: exit.clone() });
                }
                Watcher::Agent { .. } | Watcher::Future(_) | Watcher::Remote { .. } => {
                    let reason = DownReason::Exit(exit.clone());
                    let down =
                        Down { agent: cell.name.clone(), incarnation, reason, monitor: MonitorId::default() };
                    self.tell(watcher, &down);
                }
            }
        }
    }

    /// Tells one watcher.
    pub(crate) fn tell(&self, watcher: Watcher, down: &Down) {
        match watcher {
            Watcher::Agent { who, monitor } => who.signal(Signal::Down(Down { monitor, ..down.clone() })),
            // Whoever waited may have gone away.
            Watcher::Future(told) => drop(told.send(down.clone())),
            Watcher::Remote { node, watcher } => self.tell_remote(node, watcher, down),
            Watcher::Link(_) => {}
        }
    }

    /// The trace of a message that leaves this node: its sender's, or a new one, with this hop as the parent of the
    /// next (W3C Trace Context, section 3.2.2.4).
    pub(crate) fn trace_of(&self, meta: &Meta) -> Option<TraceContext> {
        let random = self.0.ports.world.random();
        let (mut hop, fresh) = ([0; 8], self.0.ports.world.random().to_be_bytes());
        hop.copy_from_slice(&random.to_be_bytes()[..8]);
        let (trace, flags, state) = match &meta.trace {
            Some(trace) => (trace.trace_id(), trace.flags, trace.state.clone()),
            None => (fresh, TraceContext::SAMPLED, None),
        };
        // Only an id of nothing but zeros is refused, which is as likely as it is harmless.
        let mut next = TraceContext::new(trace, hop, flags).ok()?;
        next.state = state;
        Some(next)
    }
}

/// A set of names that changed, for one keeper to look at. Bounded by the number of agents: a name stands in it once.
#[derive(Default)]
pub(crate) struct Changes {
    names: Mutex<BTreeSet<AgentName>>,
    some: Notify,
}

impl Changes {
    pub(crate) fn add(&self, name: &AgentName) {
        self.names.lock().insert(name.clone());
        self.some.notify_one();
    }

    /// Waits until something changed, and takes it.
    pub(crate) async fn take(&self) -> BTreeSet<AgentName> {
        loop {
            let names = std::mem::take(&mut *self.names.lock());
            if !names.is_empty() {
                return names;
            }
            self.some.notified().await;
        }
    }
}
