//! The supervision tree of a node: what is started in which order, and what falls with what.
//!
//! ```text
//! node        one_for_one
//! ├─ ports    one_for_one: what of transport and store must go on: the connection, what reads and writes · meter
//! ├─ core     one_for_one: publisher (events) · identity keeper · message handler · cluster keeper · ownership keeper ·
//! │           registrar · registration keeper · task keeper
//! ├─ agents   dynamic: each agent counted alone; below an agent the children it spawned
//! ├─ offered  the same for agents that several nodes offer, so that a take-over never waits for one of the others
//! └─ streams  one_for_one: lanes, one for each agent that has mail · mail keeper · forwarder, where others have another store
//!    └─ tasks one_for_all: queues, one for each capability that agents here have · task router
//! ```
//!
//! Every part finds its state where a crash can't reach it (the registry, the mailboxes, the store), so no part falls
//! with another: agents in particular outlive any crash of the machinery. Stopping goes the other way round: first
//! nothing new is fetched, then the agents stop, then the machinery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::Fact;
use tokio::sync::{Mutex, mpsc};

use crate::agent::Agent;
use crate::agent_ref::AgentRef;
use crate::cluster::ClusterKeeper;
use crate::event_dispatcher::Publisher;
use crate::identities::IdentityKeeper;
use crate::mail::{Credit, Forwarder, MailKeeper};
use crate::message_handler::MessageHandler;
use crate::ownership::OwnershipKeeper;
use crate::parts;
use crate::port::{KeyStoreError, Part, StreamError};
use crate::protocol::membership::Timing;
use crate::protocol::restart::{ChildSpec, Flags, Intensity, IntensityScope, Strategy};
use crate::registration::{Registrar, RegistrationKeeper};
use crate::router::{MAIL_AGE_MAX, Ports, Router, RouterConfig};
use crate::sealing::Seals;
use crate::service::{Service, ServiceStart};
use crate::spec::AgentSpec;
use crate::streams::{self, StreamLimits};
use crate::supervisor::{Branch, Supervisor, SupervisorError, SupervisorSlot, SupervisorSpec};
use crate::task_queue::{TaskKeeper, TaskRouter};

/// How often branches of the machinery may give up. Each needs up to 10 s for it, with its waits between restarts, so
/// that four ends of the same branch fit a minute, and a node whose machinery is broken for good does end.
const BRANCHES: Intensity =
    Intensity { restarts: 3, period: Duration::from_secs(60), scope: IntensityScope::Supervisor };

/// A node's actors, from the router to the last agent, over the ports it was given.
///
/// This is what a node is, without the world: the `connectome` crate adds configuration and real ports.
#[derive(Clone)]
pub struct Tree {
    router: Router,
    root: Supervisor,
    agents: SupervisorSlot,
}

/// Why a tree could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A stream or bucket could not be made.
    #[error("the store is not as it should be: {0}")]
    Store(#[from] StreamError),
    /// The node's keys could not be used.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// A part of the machinery could not be started.
    #[error("a part of the node could not be started: {0}")]
    Start(#[from] SupervisorError),
}

impl Tree {
    /// Makes the streams where they are missing, and starts everything; `more` are parts beside those of the ports.
    ///
    /// # Errors
    /// [`TreeError`].
    pub async fn start(
        ports: Ports,
        config: RouterConfig,
        timing: Timing,
        limits: &StreamLimits,
        more: Vec<Arc<dyn Part>>,
    ) -> Result<Tree, TreeError> {
        streams::create(&*ports.streams, &config, limits).await?;
        let config = RouterConfig { mail_age: limits.max_age.unwrap_or(MAIL_AGE_MAX), ..config };
        let Ports { keys, world, streams, .. } = ports.clone();
        let seals = Seals::new(keys, world, streams, limits.max_age).enabled(config.sealed);
        let (router, outbox) = Router::new(ports, config, seals)?;
        let (agents, offered) = (SupervisorSlot::default(), SupervisorSlot::default());
        let root = SupervisorSpec::new("node")
            .flags(Flags { intensity: BRANCHES, ..Flags::default() })
            .supervisor(parts::branch(&router, more))
            .supervisor(core(&router, outbox, timing, &offered))
            .supervisor(Supervisor::for_agents("agents").published(&agents))
            .supervisor(Supervisor::for_agents("offered").published(&offered))
            .supervisor(consumers(&router));
        let root = router.start_supervisor(root).await?;
        Ok(Tree { router, root, agents })
    }

    /// The node's router.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Starts an agent, and returns once its `pre_start` has succeeded.
    ///
    /// # Errors
    /// When the name is no name or is taken, the start failed, or the node has stopped.
    pub async fn spawn<A: Agent>(&self, spec: AgentSpec<A>) -> Result<AgentRef, SupervisorError> {
        if self.router.is_draining() {
            return Err(SupervisorError::Stopping);
        }
        self.agents.current()?.spawn(&self.router, spec).await
    }

    /// Offers to run an agent: one of the nodes that offer its name does. Returns at once; the agent is called as soon as
    /// somebody runs it.
    ///
    /// # Errors
    /// When the name is no name or is taken by an agent that is not offered, this node offers it already, or it is
    /// stopping.
    pub fn offer<A: Agent>(&self, spec: AgentSpec<A>) -> Result<AgentRef, SupervisorError> {
        if self.router.is_draining() {
            return Err(SupervisorError::Stopping);
        }
        self.router.offer(spec)
    }

    /// Takes an offer back, and hands the agent over if it runs here. `false`: this node does not offer that name.
    pub fn withdraw(&self, name: &str) -> bool {
        self.router.withdraw(name)
    }

    /// Starts a supervisor with agents of its own.
    ///
    /// # Errors
    /// When the specification contradicts itself, a child could not be started, or the node has stopped.
    pub async fn supervise(&self, spec: SupervisorSpec) -> Result<Supervisor, SupervisorError> {
        if self.router.is_draining() {
            return Err(SupervisorError::Stopping);
        }
        self.agents.current()?.add_supervisor(&self.router, spec).await
    }

    /// Stops an agent that was started with `spawn`, and frees its name.
    ///
    /// # Errors
    /// When there is no such agent.
    pub async fn stop_agent(&self, name: &str) -> Result<(), SupervisorError> {
        self.agents.current()?.terminate(name).await
    }

    /// What runs now, from the root to the agents.
    ///
    /// # Errors
    /// When the tree has ended.
    pub async fn look(&self) -> Result<Branch, SupervisorError> {
        self.root.look().await
    }

    /// Ends a part of the machinery at once, as a crash would: `ports/connection`.
    ///
    /// # Errors
    /// When nothing of that name runs there, or the tree has ended.
    pub async fn kill(&self, path: &str) -> Result<(), SupervisorError> {
        match path.rsplit_once('/') {
            Some((above, name)) => self.root.below(above).await?.kill(name).await,
            None => self.root.kill(path).await,
        }
    }

    /// Stops everything, last started first, each part within its deadline.
    pub async fn stop(&self) {
        self.root.stop().await;
    }

    /// Ends when the tree has ended: because it was stopped, or because its machinery crashed more often than it may.
    pub async fn ended(&self) {
        drop(self.root.ended().await);
    }
}

fn core(
    router: &Router,
    outbox: mpsc::Receiver<Fact>,
    timing: Timing,
    offered: &SupervisorSlot,
) -> SupervisorSpec {
    let waiting = Arc::new(Mutex::new(outbox));
    SupervisorSpec::new("core")
        .service("publisher", {
            let router = router.clone();
            move || Publisher { router: router.clone(), waiting: waiting.clone() }
        })
        .service("identity-keeper", {
            let router = router.clone();
            move || IdentityKeeper { router: router.clone() }
        })
        .service("cluster-keeper", {
            let router = router.clone();
            move || ClusterKeeper { router: router.clone(), timing }
        })
        .service("message-handler", {
            let router = router.clone();
            move || MessageHandler {
                router: router.clone(),
                transport: router.inner().ports.transport.clone(),
            }
        })
        .service("ownership-keeper", {
            let (router, agents) = (router.clone(), offered.clone());
            move || OwnershipKeeper { router: router.clone(), timing, agents: agents.clone() }
        })
        .service("registrar", {
            let router = router.clone();
            move || Registrar { router: router.clone() }
        })
        .service("registration-keeper", {
            let router = router.clone();
            move || RegistrationKeeper { router: router.clone() }
        })
        .service("task-keeper", {
            let router = router.clone();
            move || TaskKeeper { router: router.clone() }
        })
}

fn consumers(router: &Router) -> SupervisorSpec {
    let lanes = SupervisorSlot::default();
    let consumers = mail(router, lanes).supervisor(tasks(router));
    if router.inner().config.store_is_shared {
        return consumers;
    }
    let router = router.clone();
    consumers.service("forwarder", move || Forwarder { router: router.clone() })
}

fn mail(router: &Router, lanes: SupervisorSlot) -> SupervisorSpec {
    SupervisorSpec::new("streams").supervisor(Supervisor::for_agents("lanes").published(&lanes)).service(
        "mail-keeper",
        {
            let router = router.clone();
            let credit = Arc::new(Credit::new(router.inner().config.ack_pending_max));
            move || MailKeeper {
                router: router.clone(),
                lanes: lanes.clone(),
                credit: credit.clone(),
                opened: BTreeMap::new(),
                shards: BTreeSet::new(),
                unseen: None,
            }
        },
    )
}

/// The task router knows the queues that it has opened, so it falls with them, and they with it.
fn tasks(router: &Router) -> SupervisorSpec {
    let (router, queues) = (router.clone(), SupervisorSlot::default());
    SupervisorSpec::new("tasks")
        .strategy(Strategy::OneForAll)
        .supervisor(SupervisorSpec::new("queues").strategy(Strategy::Dynamic).published(&queues))
        .service("task-router", move || TaskRouter { router: router.clone(), queues: queues.clone() })
}

impl SupervisorSpec {
    pub(crate) fn service<S: Service>(
        self,
        name: &str,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let (child, start) = (ChildSpec::worker(name), ServiceStart::shared(make));
        self.child(move |_| Ok((child.clone(), start.clone())))
    }
}
