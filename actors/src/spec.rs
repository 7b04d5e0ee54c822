//! How an agent is to be started: [`AgentSpec`], and the starter that a supervisor keeps of it.

use std::sync::Arc;

use async_trait::async_trait;
use connectome_codecs::{Address, AgentName, Capability, ParseError, Term};
use parking_lot::Mutex;
use ractor::ActorCell;

use crate::agent::{Agent, Table};
use crate::agent_ref::AgentRef;
use crate::cell::AgentCell;
use crate::incarnation::{self, Setup};
use crate::mail::Kept;
use crate::mailbox::MailboxConfig;
use crate::protocol::restart::{ChildSpec, Exit, Restart, StopWithin};
use crate::router::Router;
use crate::supervisor::{Start, Started};

/// Everything that can be said about an agent before it starts; only a name and a factory must be.
///
/// ```
/// # use connectome_actors::{Agent, AgentSpec, Table};
/// # #[derive(Default)] struct Summariser;
/// # impl Agent for Summariser { fn handles(_: &mut Table<Self>) {} }
/// use connectome_actors::{MailboxConfig, Overflow, Restart};
///
/// let spec = AgentSpec::new("summariser-1", Summariser::default)
///     .capability("summarise")
///     .restart(Restart::Transient)
///     .mailbox(MailboxConfig { capacity: 64, overflow: Overflow::Fail, ..MailboxConfig::default() });
/// ```
pub struct AgentSpec<A> {
    name: String,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    capabilities: Vec<String>,
    role: Option<String>,
    version: String,
    restart: Restart,
    significant: bool,
    stop_within: StopWithin,
    mailbox: Option<MailboxConfig>,
    term: Option<Term>,
    inherited: Option<Kept>,
}

impl<A: Agent> AgentSpec<A> {
    /// An agent of this name, made by this factory: once now, and again after each crash.
    pub fn new(name: &str, factory: impl Fn() -> A + Send + Sync + 'static) -> AgentSpec<A> {
        AgentSpec {
            name: name.to_owned(),
            factory: Arc::new(factory),
            capabilities: Vec::new(),
            role: None,
            version: "0".to_owned(),
            restart: Restart::Permanent,
            significant: false,
            stop_within: StopWithin::Time(std::time::Duration::from_secs(5)),
            mailbox: None,
            term: None,
            inherited: None,
        }
    }

    /// The same once more: a name may be started here, lost and started again.
    pub(crate) fn again(&self) -> AgentSpec<A> {
        AgentSpec {
            name: self.name.clone(),
            factory: self.factory.clone(),
            capabilities: self.capabilities.clone(),
            role: self.role.clone(),
            version: self.version.clone(),
            restart: self.restart,
            significant: false,
            stop_within: self.stop_within,
            mailbox: self.mailbox,
            term: None,
            inherited: None,
        }
    }

    /// Runs under this term, and only while its node owns the name under it.
    pub(crate) fn under(self, term: Term) -> Self {
        AgentSpec { term: Some(term), ..self }
    }

    /// Begins with what the agent had kept.
    pub(crate) fn inherits(self, kept: Kept) -> Self {
        AgentSpec { inherited: Some(kept), ..self }
    }

    pub(crate) fn name(&self) -> Result<AgentName, ParseError> {
        self.name.parse()
    }

    /// Checks all words, and says the name.
    pub(crate) fn check(&self) -> Result<AgentName, ParseError> {
        self.capabilities.iter().try_for_each(|c| c.parse::<Capability>().map(|_capability| ()))?;
        self.name()
    }

    /// Adds something it can do: it is found, and given tasks, by that.
    pub fn capability(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// Its role, for people who look at a cluster.
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// The version of its code, for people who look at a cluster; `0` unless said.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// When it is restarted; permanent unless said.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Its end may shut down its supervisor (`Flags::auto_shutdown`); it must not be permanent.
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// How long it may take to stop before it is killed; 5 s unless said.
    pub fn stop_within(mut self, stop_within: StopWithin) -> Self {
        self.stop_within = stop_within;
        self
    }

    /// The bounds of its mailbox; the node's unless said.
    pub fn mailbox(mut self, mailbox: MailboxConfig) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    /// The same agent as a child: `parent/name`.
    pub(crate) fn below(mut self, parent: &AgentName) -> Result<Self, ParseError> {
        let name: AgentName = self.name.parse()?;
        self.name = format!("{parent}/{name}");
        Ok(self)
    }

    /// Checks the words, and makes what a supervisor needs.
    pub(crate) fn prepare(self, router: &Router) -> Result<(ChildSpec, Arc<AgentStart<A>>), ParseError> {
        let name: AgentName = self.name.parse()?;
        let capabilities = self.capabilities.iter().map(|c| c.parse()).collect::<Result<Vec<_>, _>>()?;
        let mut child = ChildSpec::worker(name.as_str()).restart(self.restart).stop_within(self.stop_within);
        child.significant = self.significant;
        let start = AgentStart {
            router: router.clone(),
            name,
            capabilities,
            role: self.role,
            version: self.version,
            mailbox: self.mailbox.unwrap_or(router.inner().config.mailbox),
            factory: self.factory,
            table: Arc::new(Table::of()),
            cell: Mutex::default(),
            term: self.term,
            inherited: Mutex::new(self.inherited),
        };
        Ok((child, Arc::new(start)))
    }
}

/// Starts one incarnation of an agent after the other, all behind one cell.
pub(crate) struct AgentStart<A> {
    router: Router,
    name: AgentName,
    capabilities: Vec<Capability>,
    role: Option<String>,
    version: String,
    mailbox: MailboxConfig,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    table: Arc<Table<A>>,
    cell: Mutex<Option<Arc<AgentCell>>>,
    term: Option<Term>,
    inherited: Mutex<Option<Kept>>,
}

impl<A: Agent> AgentStart<A> {
    /// A reference to the agent that was started.
    pub(crate) fn reference(&self, router: &Router) -> AgentRef {
        match &*self.cell.lock() {
            Some(cell) => AgentRef::near(router.clone(), cell.clone()),
            None => AgentRef::to(router.clone(), Address::Agent(self.name.clone())),
        }
    }

    /// Registers the name the first time.
    fn claim(&self) -> Result<Arc<AgentCell>, String> {
        let mut slot = self.cell.lock();
        if let Some(cell) = &*slot {
            return Ok(cell.clone());
        }
        let cell = AgentCell::new(
            self.name.clone(),
            self.role.clone(),
            self.version.clone(),
            self.capabilities.clone(),
            self.mailbox,
        );
        let cell = Arc::new(cell.owned(self.term, self.inherited.lock().take()));
        self.router.registry().claim(&cell)?;
        Ok(slot.insert(cell).clone())
    }
}

#[async_trait]
impl<A: Agent> Start for AgentStart<A> {
    async fn start(&self, parent: ActorCell) -> Result<Started, String> {
        if self.term.is_some_and(|term| !self.router.offers().may_run(&self.name, term)) {
            return Ok(Started::Declined);
        }
        let cell = self.claim()?;
        let setup = Setup {
            router: self.router.clone(),
            cell: cell.clone(),
            factory: self.factory.clone(),
            table: self.table.clone(),
        };
        let started = incarnation::start(setup, parent).await?;
        match &started {
            Started::Running(_) => self.router.registered(&cell).await,
            Started::Declined => {}
        }
        Ok(started)
    }

    async fn forget(&self, exit: &Exit) {
        let cell = self.cell.lock().take();
        if let Some(cell) = cell {
            self.router.retire(&cell, exit).await;
        }
    }
}
