//! A node: one running Connectome, with its agents, its way to others and its store.

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::{Part, Start, StreamError, Streams};
use connectome_actors::{
    Agent, AgentRef, AgentSpec, EventFilter, EventListener, Heard, Message, OwnershipCounts, Ports, Router,
    SealingCounts, SendError, Submit, Supervisor, SupervisorError, SupervisorSpec, TaskHandle, Tree,
};
use connectome_codecs::event::{SystemReady, SystemShutdown};
use connectome_codecs::registration::Refusal;
use connectome_codecs::{AgentName, Fact, ParseError, Registration, Sequence, TaskId};
#[cfg(feature = "nats")]
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::metrics::{Measured, Meter};
#[cfg(feature = "libp2p")]
use crate::streams::StoreServer;
#[cfg(feature = "libp2p")]
use crate::transport::libp2p::Libp2pTransport;
#[cfg(feature = "nats")]
use crate::transport::nats::{self, Attended, NatsConnection};
#[cfg(all(feature = "libp2p", feature = "nats"))]
use crate::transport::routed::{RouteCounts, Routed};

mod error;
mod look;
#[cfg(feature = "nats")]
mod losses;
mod options;
mod ports;
#[cfg(feature = "libp2p")]
mod wide;

pub use error::NodeError;
pub use options::{Drain, NodeOptions, StopTimeout};

/// One running Connectome. Cheap to clone; all clones are the same node.
///
/// ```
/// use connectome::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(name = "greet", reply = String)]
/// struct Greet { name: String }
///
/// #[derive(Default)]
/// struct Greeter;
///
/// impl Agent for Greeter {
///     fn handles(table: &mut Table<Self>) { table.on::<Greet>(); }
/// }
///
/// impl Handle<Greet> for Greeter {
///     async fn handle(&mut self, greet: Greet, ctx: &mut Context<'_>) -> Result<String, HandlerError> {
///         Ok(format!("hello {}, from {}", greet.name, ctx.name()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::start(Config::in_memory()).await?;
/// node.spawn("greeter", Greeter::default).await?;
/// let reply = node.agent("greeter")?.call(Greet { name: "Ada".into() }).await?;
/// assert_eq!(reply, "hello Ada, from greeter");
/// node.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Node {
    tree: Tree,
    meter: Arc<Meter>,
    ports: Ports,
    drain: Duration,
    stop: Duration,
    /// Closed last, when the node has one; and what says over it how the node is.
    #[cfg(feature = "nats")]
    nats: Option<Arc<(NatsConnection, Attended)>>,
    /// What the transport can do beside frames, when it is this one.
    #[cfg(feature = "libp2p")]
    libp2p: Option<Arc<Libp2pTransport>>,
    /// Serves this node's store to the others, where it is the cluster's; for as long as the node is held.
    #[cfg(feature = "libp2p")]
    #[expect(dead_code, reason = "it is held, and does the rest by itself")]
    server: Option<Arc<StoreServer>>,
    /// The same with a broker beside it.
    #[cfg(all(feature = "libp2p", feature = "nats"))]
    routed: Option<Arc<Routed>>,
}

/// What measures a node, and its store as it is measured.
struct Measure {
    meter: Arc<Meter>,
    streams: Arc<dyn Streams>,
}

impl Measure {
    fn of(ports: &Ports, options: &NodeOptions) -> Measure {
        let streams = Measured::new(ports.streams.clone(), ports.world.clone(), options.consumer_rate);
        let meter = Meter::new(options.name.clone(), streams.gauges(), options.log_status_every);
        Measure { meter, streams: Arc::new(streams) }
    }
}

impl Node {
    /// Starts a node as it is configured: with NATS servers, one of a cluster; without, over an embedded store, its own or that of
    /// the node that serves one.
    ///
    /// # Errors
    /// [`NodeError`]: the text names what was wrong and what would be right.
    pub async fn start(config: Config) -> Result<Node, NodeError> {
        config.check()?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let made = ports::make(&config).await?;
        #[cfg(feature = "nats")]
        if let Some(connection) = made.connection {
            let node = Node::on_nats(made.ports, connection, &config).await?;
            #[cfg(feature = "libp2p")]
            let node = Node { libp2p: made.libp2p, routed: made.routed, ..node };
            #[cfg(feature = "libp2p")]
            node.announce_agents();
            if let Some(losses) = made.losses {
                tokio::spawn(losses::tell(node.clone(), losses));
            }
            return Ok(node);
        }
        #[cfg(feature = "libp2p")]
        if let Some(libp2p) = made.libp2p {
            return Node::directly(made.ports, libp2p, made.server, config.node_options()).await;
        }
        Node::start_with(made.ports, config.node_options()).await
    }

    /// A node that reaches others directly, and may serve its store to them.
    #[cfg(feature = "libp2p")]
    async fn directly(
        ports: Ports,
        libp2p: Arc<Libp2pTransport>,
        server: Option<StoreServer>,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let (measure, parts) =
            (Measure::of(&ports, &options), server.iter().map(StoreServer::part).collect());
        let node = Node::assemble(ports, options, measure, parts).await?;
        let node = Node { libp2p: Some(libp2p), server: server.map(Arc::new), ..node };
        node.announce_agents();
        Ok(node)
    }

    /// A node that also says over NATS how it is.
    #[cfg(feature = "nats")]
    async fn on_nats(ports: Ports, connection: NatsConnection, config: &Config) -> Result<Node, NodeError> {
        let measure = Measure::of(&ports, &config.node_options());
        let meter = measure.meter.clone();
        let status =
            nats::answering(&connection, &config.namespace, move || meter.clone().encoded().boxed())?;
        let node = Node::assemble(ports, config.node_options(), measure, vec![status.part()]).await?;
        Ok(Node { nats: Some(Arc::new((connection, status))), ..node })
    }

    /// Starts a node over ports of one's own: a shared store, a hub, a simulated world.
    ///
    /// # Errors
    /// [`NodeError::Tree`].
    pub async fn start_with(ports: Ports, options: NodeOptions) -> Result<Node, NodeError> {
        let measure = Measure::of(&ports, &options);
        Node::assemble(ports, options, measure, Vec::new()).await
    }

    async fn assemble(
        ports: Ports,
        options: NodeOptions,
        measure: Measure,
        mut parts: Vec<Arc<dyn Part>>,
    ) -> Result<Node, NodeError> {
        let Measure { meter, streams } = measure;
        parts.push(meter.clone());
        let measured = Ports { streams, ..ports.clone() };
        let tree = Tree::start(measured, options.router, options.timing, &options.streams, parts).await?;
        meter.watch(&tree);
        let node = Node {
            tree,
            meter,
            ports,
            drain: options.drain.0,
            stop: options.stop.0,
            #[cfg(feature = "nats")]
            nats: None,
            #[cfg(feature = "libp2p")]
            libp2p: None,
            #[cfg(feature = "libp2p")]
            server: None,
            #[cfg(all(feature = "libp2p", feature = "nats"))]
            routed: None,
        };
        node.announce(node.ready_fact()).await;
        Ok(node)
    }

    /// Starts an agent and returns once it runs. The factory makes it again after a crash.
    ///
    /// # Errors
    /// When the name is no name or is taken, or its `pre_start` failed.
    pub async fn spawn<A: Agent>(
        &self,
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Result<AgentRef, SupervisorError> {
        self.spawn_with(AgentSpec::new(name, factory)).await
    }

    /// Starts an agent with everything that an [`AgentSpec`] can say.
    ///
    /// # Errors
    /// As [`spawn`](Node::spawn).
    pub async fn spawn_with<A: Agent>(&self, spec: AgentSpec<A>) -> Result<AgentRef, SupervisorError> {
        self.tree.spawn(spec).await
    }

    /// Offers to run an agent: of the nodes that offer a name exactly one runs it, under a lease with a rising term, and
    /// when that node dies, hangs or leaves, another one does. Returns at once; calls wait for whoever runs it.
    ///
    /// ```
    /// # use connectome::prelude::*;
    /// # use connectome::{LocalCluster, NodeOptions};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[message(name = "where", reply = Option<u64>)]
    /// # struct Under;
    /// # #[derive(Agent)]
    /// # #[agent(handles(Under))]
    /// # struct Billing;
    /// # impl Handle<Under> for Billing {
    /// #     async fn handle(&mut self, _: Under, ctx: &mut Context<'_>) -> Result<Option<u64>, HandlerError> {
    /// #         Ok(ctx.term().map(|term| term.0))
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = LocalCluster::in_memory(NodeOptions::default())?;
    /// for name in ["one", "two", "three"] {
    ///     cluster.start(name).await?.offer("billing", || Billing).await?;
    /// }
    /// let billing = cluster.nodes()[0].1.agent("billing")?;
    /// assert_eq!(billing.call(Under).await?, Some(1));
    /// # cluster.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the name is no name, or is taken by an agent of this node, or this node offers it already or is stopping.
    pub async fn offer<A: Agent>(
        &self,
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Result<AgentRef, SupervisorError> {
        self.offer_with(AgentSpec::new(name, factory)).await
    }

    /// Offers to run an agent, with everything that an [`AgentSpec`] can say.
    ///
    /// # Errors
    /// As [`offer`](Node::offer).
    pub async fn offer_with<A: Agent>(&self, spec: AgentSpec<A>) -> Result<AgentRef, SupervisorError> {
        self.tree.offer(spec)
    }

    /// Takes an offer back. An agent that runs here finishes what it has begun and goes to another node that offers it.
    /// `false`: this node does not offer that name.
    pub fn withdraw(&self, name: &str) -> bool {
        self.tree.withdraw(name)
    }

    /// What has happened to the names that this node offers, since it started.
    pub fn ownership_counts(&self) -> OwnershipCounts {
        self.router().ownership_counts()
    }

    /// What of the store this node has not believed, since it started: another root has sealed it, or it is older than what
    /// was seen.
    pub fn sealing_counts(&self) -> SealingCounts {
        self.router().sealing_counts()
    }

    /// Starts a supervisor with agents of its own.
    ///
    /// # Errors
    /// When the specification contradicts itself, or a child could not be started.
    pub async fn supervise(&self, spec: SupervisorSpec) -> Result<Supervisor, SupervisorError> {
        self.tree.supervise(spec).await
    }

    /// Stops an agent that was spawned on this node, and frees its name.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn stop_agent(&self, name: &str) -> Result<(), SupervisorError> {
        self.tree.stop_agent(name).await
    }

    /// Whoever has this address, here or on another node: `greeter`, `did:key:…`, or `can:summarise`.
    ///
    /// # Errors
    /// When the text is no address. Whether somebody is there shows when it is spoken to.
    pub fn agent(&self, address: &str) -> Result<AgentRef, ParseError> {
        self.router().agent(address)
    }

    /// Whoever has this address, once this node knows of somebody there: an agent of another node is known a moment
    /// after it has started. However long that takes; put it into a timeout where nobody may come.
    ///
    /// ```
    /// # use connectome::prelude::*;
    /// # use connectome::{LocalCluster, NodeOptions};
    /// # #[derive(Agent)]
    /// # #[agent(handles())]
    /// # struct Greeter;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cluster = LocalCluster::in_memory(NodeOptions::default())?;
    /// let (one, two) = (cluster.start("one").await?, cluster.start("two").await?);
    /// one.spawn("greeter", || Greeter).await?;
    /// let greeter = two.wait_for("greeter").await?;
    /// # cluster.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the text is no address.
    pub async fn wait_for(&self, address: &str) -> Result<AgentRef, ParseError> {
        self.router().wait_for(address).await
    }

    /// Waits until an agent is registered, on this node or another one, and says what stands. An agent is there, and is
    /// called, before it is registered: that takes a moment more.
    ///
    /// ```
    /// # use connectome::prelude::*;
    /// # #[derive(Agent)]
    /// # #[agent(handles())]
    /// # struct Greeter;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::start(Config::in_memory()).await?;
    /// node.spawn("greeter", || Greeter).await?;
    /// assert_eq!(node.registered(&"greeter".parse()?).await.map(|stands| stands.node), Ok(node.id()));
    /// # node.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// For an agent of this node: why it was refused, and who has the name. It is asked for again after a while.
    pub async fn registered(&self, name: &AgentName) -> Result<Arc<Registration>, Refusal> {
        self.router().wait_registered(name).await
    }

    /// Hands over a task to whoever has the capability.
    ///
    /// # Errors
    /// [`SendError`]; where it says that it may have happened, submitting the same id again is safe.
    pub async fn submit<M: Message>(&self, submit: Submit<M>) -> Result<TaskHandle<M>, SendError> {
        self.router().submit(submit).await
    }

    /// A handle to a task that was submitted before, by anyone.
    pub fn task<M: Message>(&self, id: TaskId) -> TaskHandle<M> {
        self.router().task(id)
    }

    /// Publishes an event as this node.
    ///
    /// # Errors
    /// The store's.
    pub async fn emit(&self, fact: Fact) -> Result<Sequence, StreamError> {
        self.router().emit(fact).await
    }

    /// Listens to the cluster's events, live or from a place in the past.
    ///
    /// # Errors
    /// The store's.
    pub async fn listen(&self, filter: EventFilter, start: Start) -> Result<EventListener, StreamError> {
        self.router().listen(filter, start).await
    }

    /// Up to `max` kept events that the filter wants, from a sequence on, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn event_history(
        &self,
        filter: &EventFilter,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Heard>, StreamError> {
        self.router().event_history(filter, from, max).await
    }

    /// Everything that routes: for those who build on it.
    pub fn router(&self) -> &Router {
        self.tree.router()
    }

    /// The ports that the node was started with.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The node's links to others, where it reaches them directly: their addresses and ends, and streams beside them.
    #[cfg(feature = "libp2p")]
    pub fn libp2p(&self) -> Option<&Libp2pTransport> {
        self.libp2p.as_deref()
    }

    /// Which ways this node's frames went, where it reaches others both directly and by NATS.
    #[cfg(all(feature = "libp2p", feature = "nats"))]
    pub fn route_counts(&self) -> Option<RouteCounts> {
        self.routed.as_ref().map(|routed| routed.counts())
    }

    /// Stops gracefully: fetches nothing new, lets work in hand finish until the drain deadline, then stops the agents
    /// and the machinery in reverse start order, each within its own deadline.
    pub async fn stop(&self) {
        self.router().drain();
        self.announce(self.shutdown_fact("stopped")).await;
        let deadline = Instant::now() + self.drain;
        // What is still pending then is told why it was not handled.
        drop(timeout_at(deadline, self.router().hand_over()).await);
        drop(timeout_at(deadline, self.router().quiet()).await);
        if timeout_at(deadline + self.stop, self.tree.stop()).await.is_err() {
            tracing::error!("some actors did not stop within {:?} and are left behind", self.stop);
        }
        self.ports.transport.close().await;
        #[cfg(feature = "nats")]
        if let Some((connection, status)) = self.nats.as_deref() {
            status.end();
            connection.close().await;
        }
    }

    /// Ends when the node has stopped: because it was asked to, or because its machinery crashed more often than it may.
    pub async fn ended(&self) {
        self.tree.ended().await;
    }

    /// An event about the node itself: without a store to hear it, the log still does.
    async fn announce(&self, fact: Fact) {
        if let Err(error) = self.emit(fact).await {
            tracing::warn!(%error, "an event about this node could not be published");
        }
    }

    fn ready_fact(&self) -> Fact {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Fact::SystemReady(SystemReady { node: self.id(), incarnation: self.router().incarnation(), version })
    }

    fn shutdown_fact(&self, reason: &str) -> Fact {
        let (node, incarnation) = (self.id(), self.router().incarnation());
        Fact::SystemShutdown(SystemShutdown { node, incarnation, reason: reason.to_owned() })
    }
}
