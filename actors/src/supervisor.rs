//! Supervisors: ractor actors that do what `protocol/restart` decides.
//!
//! The protocol says which child is started or stopped, in which order and when; this file does it, one action after
//! the other, and reports what came of it. How a child is made is behind [`Start`]: an agent, a piece of machinery
//! (`service.rs`), or a supervisor again. Looking at what runs is in `supervisor/look.rs`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_codecs::AgentName;
use futures_util::future::join_all;
use parking_lot::Mutex;
use ractor::{ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::agent_ref::AgentRef;
use crate::incarnation::POST_STOP_MAX;
use crate::protocol::Now;
use crate::protocol::restart::{
    Action, Answer, ChildId, ChildSpec, ChildState, Counts, Done, Exit, Flags, Incarnation, Input,
    IntensityScope, Refusal, Request, RequestId, Restart, SpecError, Stop, StopWithin, Strategy, Supervision,
    TimerToken,
};
use crate::router::Router;
use crate::spec::AgentSpec;

mod look;

use look::View;
pub use look::{Branch, BranchState, CHILDREN_SHOWN_MAX};

/// How a kind of child is started, again and again.
#[async_trait]
pub(crate) trait Start: Send + Sync {
    /// Starts one incarnation, linked below `parent`.
    async fn start(&self, parent: ActorCell) -> Result<Started, String>;

    /// The child does not run and will not be restarted by itself.
    async fn forget(&self, exit: &Exit) {
        let _ = exit;
    }
}

/// What came of a start that did not fail.
pub(crate) enum Started {
    /// The child runs.
    Running(Running),
    /// The child has nothing to do, which is no failure.
    Declined,
}

/// A child that runs.
pub(crate) struct Running {
    pub(crate) actor: ActorCell,
    pub(crate) exit: ExitSlot,
    pub(crate) orders: Arc<dyn Orders>,
}

/// How a child is told to end.
pub(crate) trait Orders: Send + Sync {
    /// Politely: after what it does now.
    fn stop(&self);
    /// At once.
    fn kill(&self);
    /// Whether it ends when its children have, each of which has a deadline of its own.
    fn has_children(&self) -> bool {
        false
    }
    /// The child itself, where it is a supervisor.
    fn supervisor(&self) -> Option<Supervisor> {
        None
    }
    /// It did not even end when it was killed: whoever waits for it is told that it is gone.
    fn abandon(&self) {}
}

/// Where an incarnation writes how it ended, for its supervisor to read.
#[derive(Clone, Default)]
pub(crate) struct ExitSlot(Arc<Mutex<Option<Exit>>>);

impl ExitSlot {
    pub(crate) fn set(&self, exit: Exit) {
        self.0.lock().get_or_insert(exit);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.lock().is_some()
    }

    /// An actor that ended without a word was killed.
    fn get(&self) -> Exit {
        self.0.lock().clone().unwrap_or(Exit::Killed)
    }
}

/// A supervisor and its children, before they start: Erlang's `init` result.
///
/// ```
/// # use connectome_actors::{Agent, AgentSpec, Strategy, SupervisorSpec, Table};
/// # #[derive(Default)] struct Reader;
/// # impl Agent for Reader { fn handles(_: &mut Table<Self>) {} }
/// # #[derive(Default)] struct Writer;
/// # impl Agent for Writer { fn handles(_: &mut Table<Self>) {} }
/// let pipeline = SupervisorSpec::new("pipeline")
///     .strategy(Strategy::RestForOne)
///     .agent(AgentSpec::new("reader", Reader::default))
///     .agent(AgentSpec::new("writer", Writer::default));
/// ```
pub struct SupervisorSpec {
    child: ChildSpec,
    pub(crate) flags: Flags,
    children: Vec<Unprepared>,
    slot: SupervisorSlot,
}

/// Where the running incarnation of a supervisor can be found.
#[derive(Clone, Default)]
pub(crate) struct SupervisorSlot(Arc<Mutex<Option<Supervisor>>>);

impl SupervisorSlot {
    pub(crate) fn current(&self) -> Result<Supervisor, SupervisorError> {
        self.0.lock().clone().ok_or_else(|| SupervisorError::Ended("the supervisor of the agents".to_owned()))
    }
}

type Prepared = (ChildSpec, Arc<dyn Start>);
type Unprepared = Box<dyn Fn(&Router) -> Result<Prepared, String> + Send + Sync>;

impl SupervisorSpec {
    /// A one-for-one supervisor with OTP's meaning of everything and no children yet.
    pub fn new(name: &str) -> SupervisorSpec {
        SupervisorSpec {
            child: ChildSpec::supervisor(name),
            flags: Flags::default(),
            children: Vec::new(),
            slot: SupervisorSlot::default(),
        }
    }

    /// Says where its running incarnation can be found.
    pub(crate) fn published(mut self, slot: &SupervisorSlot) -> Self {
        self.slot = slot.clone();
        self
    }

    /// Which siblings are restarted with a child.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.flags.strategy = strategy;
        self
    }

    /// All flags at once: intensity, period, back-off, automatic shutdown.
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// When it is restarted, where it is a child itself; permanent unless said.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.child = self.child.restart(restart);
        self
    }

    /// Its end may shut down the supervisor above it ([`Flags::auto_shutdown`]).
    pub fn significant(mut self) -> Self {
        self.child = self.child.significant();
        self
    }

    /// How long it may take to stop, with all its children, before they are killed; as long as they need unless said.
    pub fn stop_within(mut self, stop_within: StopWithin) -> Self {
        self.child = self.child.stop_within(stop_within);
        self
    }

    /// Adds an agent. Children start in the order they are added, and stop in reverse.
    pub fn agent<A: Agent>(self, spec: AgentSpec<A>) -> Self {
        let slot = Mutex::new(Some(spec));
        self.child(move |router| {
            let spec = slot.lock().take().ok_or("an agent's specification is used once")?;
            let (child, start) = spec.prepare(router).map_err(|error| error.to_string())?;
            Ok((child, start as Arc<dyn Start>))
        })
    }

    /// Adds a supervisor with children of its own.
    pub fn supervisor(self, spec: SupervisorSpec) -> Self {
        let slot = Mutex::new(Some(spec));
        self.child(move |router| {
            let spec = slot.lock().take().ok_or("a supervisor's specification is used once")?;
            let child = spec.child.clone();
            Ok((child, Arc::new(SupervisorStart::prepare(spec, router)?) as Arc<dyn Start>))
        })
    }

    pub(crate) fn child(
        mut self,
        prepare: impl Fn(&Router) -> Result<Prepared, String> + Send + Sync + 'static,
    ) -> Self {
        self.children.push(Box::new(prepare));
        self
    }
}

/// A running supervisor. Clones are handles to the same one.
#[derive(Clone)]
pub struct Supervisor {
    name: ChildId,
    actor: ActorRef<Ask>,
    exit: ExitSlot,
    /// Cancelled: there is no more time to stop politely.
    hurry: CancellationToken,
}

/// Why a supervisor did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The words of a specification do not fit.
    #[error("{0}")]
    Invalid(String),
    /// OTP's answers.
    #[error("{name}: {refusal}")]
    Refused {
        /// The child that was meant.
        name: String,
        /// Why not.
        refusal: Refusal,
    },
    /// The agent declined to start: `pre_start` stopped it.
    #[error("{0} declined to start")]
    Declined(String),
    /// The node is stopping.
    #[error("this node is stopping: start it on another one")]
    Stopping,
    /// The supervisor has ended.
    #[error("the supervisor {0} has ended")]
    Ended(String),
}

impl Supervisor {
    /// Starts a supervisor and its children, in order, linked below `parent` where there is one.
    pub(crate) async fn start(
        spec: SupervisorSpec,
        router: &Router,
        parent: Option<ActorCell>,
    ) -> Result<Supervisor, SupervisorError> {
        let start = SupervisorStart::prepare(spec, router).map_err(SupervisorError::Invalid)?;
        start.launch(parent).await.map_err(SupervisorError::Invalid)
    }

    /// The supervisor of an agent's children: they come and go, and too many crashes among them are the agent's crash.
    pub(crate) async fn start_for_children(
        router: &Router,
        agent: &AgentName,
        parent: ActorCell,
    ) -> Result<Supervisor, SupervisorError> {
        let spec = SupervisorSpec::new(agent.as_str()).strategy(Strategy::Dynamic);
        Supervisor::start(spec, router, Some(parent)).await
    }

    /// A supervisor for agents that have nothing to do with each other: each one's crashes are counted alone.
    pub fn for_agents(name: &str) -> SupervisorSpec {
        let mut spec = SupervisorSpec::new(name).strategy(Strategy::Dynamic);
        spec.flags.intensity.scope = IntensityScope::Child;
        spec
    }

    /// Starts an agent below this supervisor and returns once its `pre_start` has succeeded.
    ///
    /// # Errors
    /// When the name is no name or is taken, or the start failed.
    pub(crate) async fn spawn<A: Agent>(
        &self,
        router: &Router,
        spec: AgentSpec<A>,
    ) -> Result<AgentRef, SupervisorError> {
        let (child, start) =
            spec.prepare(router).map_err(|error| SupervisorError::Invalid(error.to_string()))?;
        let name = child.id.to_string();
        match self.request(Request::Add(child), Some(start.clone())).await? {
            Done::Ignored => Err(SupervisorError::Declined(name)),
            // It may have ended again already: then the reference finds whoever has the name next.
            Done::Started(_) | Done::Terminated | Done::Deleted => Ok(start.reference(router)),
        }
    }

    /// Stops a child and forgets it where the supervisor is dynamic or the child temporary.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn terminate(&self, child: &str) -> Result<(), SupervisorError> {
        self.request(Request::Terminate(child.into()), None).await.map(|_done| ())
    }

    /// Starts a child that was terminated again.
    ///
    /// # Errors
    /// OTP's: it runs, it is about to be restarted, it is not known, it could not be started.
    pub async fn restart(&self, child: &str) -> Result<(), SupervisorError> {
        self.request(Request::Restart(child.into()), None).await.map(|_done| ())
    }

    /// Forgets a child that was terminated.
    ///
    /// # Errors
    /// OTP's: it runs, it is about to be restarted, it is not known.
    pub async fn delete(&self, child: &str) -> Result<(), SupervisorError> {
        self.request(Request::Delete(child.into()), None).await.map(|_done| ())
    }

    /// The children in start order, and what each is doing.
    ///
    /// # Errors
    /// When the supervisor has ended.
    pub async fn children(&self) -> Result<Vec<(ChildSpec, ChildState)>, SupervisorError> {
        self.ask(Ask::Which).await
    }

    /// How many children there are.
    ///
    /// # Errors
    /// When the supervisor has ended.
    pub async fn count(&self) -> Result<Counts, SupervisorError> {
        self.ask(Ask::Count).await
    }

    /// Stops the children in reverse start order, each within its deadline, and then the supervisor.
    pub async fn stop(&self) {
        // Where it has ended already there is nothing to stop.
        if self.actor.send_message(Ask::Shutdown).is_ok() {
            drop(self.ended().await);
        }
    }

    /// The same; once `hurry` ends, what is left is killed.
    pub(crate) async fn stop_unless(&self, hurry: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.stop() => {}
            () = hurry => {
                Orders::kill(self);
                drop(self.ended().await);
            }
        }
    }

    /// Ends when the supervisor has ended, of itself or because it was stopped, and says how.
    pub async fn ended(&self) -> Exit {
        drop(self.actor.wait(None).await);
        self.exit.get()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.actor.get_status() == ActorStatus::Stopped
    }

    /// Starts another supervisor below this one.
    pub(crate) async fn add_supervisor(
        &self,
        router: &Router,
        spec: SupervisorSpec,
    ) -> Result<Supervisor, SupervisorError> {
        let (slot, child) = (spec.slot.clone(), spec.child.clone());
        let start = SupervisorStart::prepare(spec, router).map_err(SupervisorError::Invalid)?;
        self.add(child, Arc::new(start)).await?;
        slot.current()
    }

    pub(crate) async fn add(&self, child: ChildSpec, start: Arc<dyn Start>) -> Result<(), SupervisorError> {
        self.request(Request::Add(child), Some(start)).await.map(|_done| ())
    }

    async fn request(
        &self,
        request: Request,
        start: Option<Arc<dyn Start>>,
    ) -> Result<Done, SupervisorError> {
        let name = match &request {
            Request::Add(child) => child.id.to_string(),
            Request::Terminate(id) | Request::Restart(id) | Request::Delete(id) => id.to_string(),
        };
        let answer = self.ask(|reply| Ask::Request { request, start, reply }).await?;
        answer.map_err(|refusal| SupervisorError::Refused { name, refusal })
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, SupervisorError> {
        let ended = || SupervisorError::Ended(self.name.to_string());
        let (reply, answer) = oneshot::channel();
        self.actor.send_message(ask(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

/// What a supervisor's actor is told.
pub(crate) enum Ask {
    Begin,
    Request { request: Request, start: Option<Arc<dyn Start>>, reply: oneshot::Sender<Answer> },
    Which(oneshot::Sender<Vec<(ChildSpec, ChildState)>>),
    Count(oneshot::Sender<Counts>),
    Look(oneshot::Sender<View>),
    Kill(ChildId, oneshot::Sender<bool>),
    Timer(TimerToken),
    Shutdown,
}

/// Starts one supervisor after the other from the same specification.
pub(crate) struct SupervisorStart {
    name: ChildId,
    flags: Flags,
    children: Vec<Prepared>,
    seed: u64,
    slot: SupervisorSlot,
}

impl SupervisorStart {
    pub(crate) fn prepare(spec: SupervisorSpec, router: &Router) -> Result<SupervisorStart, String> {
        let children = spec.children.iter().map(|prepare| prepare(router)).collect::<Result<Vec<_>, _>>()?;
        // A contradiction is better told now than by a supervisor that can't start.
        Supervision::new(spec.flags, children.iter().map(|(child, _)| child.clone()), 0)
            .map_err(|error| error.to_string())?;
        let (name, slot) = (spec.child.id, spec.slot);
        Ok(SupervisorStart { name, flags: spec.flags, children, seed: router.dice(), slot })
    }

    async fn launch(&self, parent: Option<ActorCell>) -> Result<Supervisor, String> {
        let (ready, started) = oneshot::channel();
        let (exit, hurry) = (ExitSlot::default(), CancellationToken::new());
        let state =
            State::new(self, ready, exit.clone(), hurry.clone()).map_err(|error| error.to_string())?;
        let spawned = match parent {
            Some(parent) => ractor::Actor::spawn_linked(None, Shell, state, parent).await,
            None => ractor::Actor::spawn(None, Shell, state).await,
        };
        let (actor, _task) = spawned.map_err(|error| error.to_string())?;
        drop(actor.send_message(Ask::Begin));
        match started.await {
            Ok(()) => {
                let supervisor = Supervisor { name: self.name.clone(), actor, exit, hurry };
                *self.slot.0.lock() = Some(supervisor.clone());
                Ok(supervisor)
            }
            Err(_) => {
                // Its own supervisor must not hear of an end of what never started.
                drop(actor.wait(None).await);
                Err(exit.get().to_string())
            }
        }
    }
}

#[async_trait]
impl Start for SupervisorStart {
    async fn start(&self, parent: ActorCell) -> Result<Started, String> {
        let supervisor = self.launch(Some(parent)).await?;
        let (actor, exit) = (supervisor.actor.get_cell(), supervisor.exit.clone());
        Ok(Started::Running(Running { actor, exit, orders: Arc::new(supervisor) }))
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Supervisor({})", self.name)
    }
}

impl Orders for Supervisor {
    fn stop(&self) {
        drop(self.actor.send_message(Ask::Shutdown));
    }
    fn kill(&self) {
        // Its children are killed, and it ends after them: a supervisor that vanished would leave them behind.
        self.hurry.cancel();
        Orders::stop(self);
    }
    fn has_children(&self) -> bool {
        true
    }
    fn supervisor(&self) -> Option<Supervisor> {
        Some(self.clone())
    }
}

/// The ractor side of a supervisor.
struct Shell;

struct State {
    name: ChildId,
    supervision: Supervision,
    flags: Flags,
    starts: BTreeMap<ChildId, Arc<dyn Start>>,
    running: HashMap<ChildId, (Incarnation, Running)>,
    /// How often each child was started, where children stay.
    started: BTreeMap<ChildId, u64>,
    actors: HashMap<ActorId, (ChildId, Incarnation)>,
    asked: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    requests: u64,
    timers: JoinSet<()>,
    began: Instant,
    ready: Option<oneshot::Sender<()>>,
    exit: ExitSlot,
    hurry: CancellationToken,
    /// Children that do not run, and how they ended; those that stay so are forgotten by their starters.
    stopped: BTreeMap<ChildId, Exit>,
    /// Those of them that ended, or whose fate may have changed, since they were looked at.
    touched: Vec<ChildId>,
    ended: bool,
}

impl ractor::Actor for Shell {
    type Msg = Ask;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Ask>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Ask>,
        ask: Ask,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match ask {
            Ask::Begin => state.drive(Input::StartAll, &myself).await,
            Ask::Request { request, start, reply } => state.request(request, start, reply, &myself).await,
            Ask::Which(reply) => {
                let children = state.supervision.children().map(|(spec, now)| (spec.clone(), now)).collect();
                // Whoever asked may have gone away.
                drop(reply.send(children));
            }
            Ask::Count(reply) => drop(reply.send(state.supervision.counts())),
            Ask::Look(reply) => state.look(reply),
            Ask::Kill(child, reply) => state.kill(&child, reply),
            Ask::Timer(token) => state.drive(Input::Timer { token }, &myself).await,
            Ask::Shutdown => state.drive(Input::Shutdown, &myself).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Ask>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(actor, ..) | SupervisionEvent::ActorFailed(actor, _) => {
                state.exited(actor.get_id(), &myself).await;
            }
            _ => {}
        }
        Ok(())
    }
}

impl State {
    fn new(
        start: &SupervisorStart,
        ready: oneshot::Sender<()>,
        exit: ExitSlot,
        hurry: CancellationToken,
    ) -> Result<State, SpecError> {
        let specs = start.children.iter().map(|(child, _)| child.clone());
        Ok(State {
            name: start.name.clone(),
            supervision: Supervision::new(start.flags, specs, start.seed)?,
            flags: start.flags,
            starts: start.children.iter().map(|(child, start)| (child.id.clone(), start.clone())).collect(),
            running: HashMap::new(),
            started: BTreeMap::new(),
            actors: HashMap::new(),
            asked: BTreeMap::new(),
            requests: 0,
            timers: JoinSet::new(),
            began: Instant::now(),
            ready: Some(ready),
            exit,
            hurry,
            stopped: BTreeMap::new(),
            touched: Vec::new(),
            ended: false,
        })
    }

    async fn request(
        &mut self,
        request: Request,
        start: Option<Arc<dyn Start>>,
        reply: oneshot::Sender<Answer>,
        myself: &ActorRef<Ask>,
    ) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.asked.insert(id, reply);
        if let (Request::Add(child), Some(start)) = (&request, start)
            // A child of that name is known already: then the protocol refuses, and its starter stays.
            && self.supervision.state(&child.id).is_none()
        {
            self.starts.insert(child.id.clone(), start);
        }
        if let Request::Terminate(_) = &request {
            // Siblings may have waited to be restarted with this child.
            self.touched.extend(self.stopped.keys().cloned());
        }
        self.drive(Input::Request { id, request }, myself).await;
    }

    async fn exited(&mut self, actor: ActorId, myself: &ActorRef<Ask>) {
        let Some((child, incarnation)) = self.actors.remove(&actor) else { return };
        let Some((_, running)) = self.running.remove(&child) else { return };
        let exit = running.exit.get();
        if exit.is_abnormal() {
            tracing::warn!(supervisor = %self.name, %child, %exit, "a child ended");
        }
        self.note_stopped(child.clone(), exit.clone());
        self.drive(Input::Exited { child, incarnation, exit }, myself).await;
    }

    /// Asks the protocol, does what it says, tells it what came of it, until it has nothing more to say.
    async fn drive(&mut self, input: Input, myself: &ActorRef<Ask>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Now::new(self.began.elapsed());
            let actions: Vec<Action> = self.supervision.handle(now, input).collect();
            for action in actions {
                inputs.extend(self.perform(action, myself).await);
            }
        }
        self.forget_the_stopped().await;
    }

    async fn perform(&mut self, action: Action, myself: &ActorRef<Ask>) -> Option<Input> {
        match action {
            Action::Start { child, incarnation } => {
                return Some(self.start(child, incarnation, myself).await);
            }
            Action::Stop(stop) => self.stop(vec![stop]).await,
            Action::StopTogether(stops) => self.stop(stops).await,
            Action::SetTimer { token, after } => self.set_timer(token, after, myself),
            Action::GiveUp { child, exit } => {
                tracing::error!(supervisor = %self.name, %child, %exit, "too many restarts: given up");
                self.note_stopped(child, Exit::GaveUp);
            }
            Action::Removed { child } => {
                if let Some(start) = self.starts.remove(&child) {
                    start.forget(&self.stopped.remove(&child).unwrap_or(Exit::Shutdown)).await;
                }
            }
            Action::Reply { id, answer } => {
                if let Some(reply) = self.asked.remove(&id) {
                    // Whoever asked may have gone away.
                    drop(reply.send(answer));
                }
            }
            Action::Ready => {
                // Whoever started it may have gone away.
                self.ready.take().map(|ready| ready.send(()));
            }
            Action::Finish { exit } => self.finish(exit, myself),
        }
        None
    }

    async fn start(&mut self, child: ChildId, incarnation: Incarnation, myself: &ActorRef<Ask>) -> Input {
        let Some(start) = self.starts.get(&child).cloned() else {
            return Input::StartFailed {
                incarnation,
                reason: "nothing is known of how to start it".to_owned(),
            };
        };
        match start.start(myself.get_cell()).await {
            Ok(Started::Running(running)) => {
                self.stopped.remove(&child);
                self.note_started(&child);
                self.actors.insert(running.actor.get_id(), (child.clone(), incarnation));
                self.running.insert(child, (incarnation, running));
                Input::Started { incarnation }
            }
            Ok(Started::Declined) => {
                self.note_stopped(child, Exit::Normal);
                Input::Ignored { incarnation }
            }
            Err(reason) => {
                self.note_stopped(child.clone(), Exit::StartFailed { child, reason: reason.clone() });
                Input::StartFailed { incarnation, reason }
            }
        }
    }

    async fn stop(&mut self, stops: Vec<Stop>) {
        let mut leaving = Vec::new();
        for stop in stops {
            let Some((incarnation, running)) = self.running.remove(&stop.child) else { continue };
            debug_assert_eq!(incarnation, stop.incarnation, "one life of a child at a time");
            self.actors.remove(&running.actor.get_id());
            self.note_stopped(stop.child, Exit::Shutdown);
            leaving.push(stop_one(running, stop.within, self.hurry.clone()));
        }
        join_all(leaving).await;
    }

    fn set_timer(&mut self, token: TimerToken, after: Duration, myself: &ActorRef<Ask>) {
        while self.timers.try_join_next().is_some() {}
        let supervisor = myself.clone();
        self.timers.spawn(async move {
            sleep(after).await;
            // A supervisor that has ended needs no timer.
            drop(supervisor.send_message(Ask::Timer(token)));
        });
    }

    fn finish(&mut self, exit: Exit, myself: &ActorRef<Ask>) {
        self.ended = true;
        self.exit.set(exit);
        self.ready = None;
        self.timers.abort_all();
        self.touched.extend(self.stopped.keys().cloned());
        myself.stop(None);
    }

    fn note_stopped(&mut self, child: ChildId, exit: Exit) {
        self.touched.push(child.clone());
        self.stopped.insert(child, exit);
    }

    /// Whatever was stopped and is neither running again nor about to be has lost its name.
    async fn forget_the_stopped(&mut self) {
        for child in std::mem::take(&mut self.touched) {
            if !self.comes_back(&child)
                && let (Some(exit), Some(start)) = (self.stopped.remove(&child), self.starts.get(&child))
            {
                start.forget(&exit).await;
            }
        }
    }

    /// Whether a child runs, or waits to be started again: because it crashed, or together with one that did.
    fn comes_back(&self, child: &ChildId) -> bool {
        if self.ended {
            return false;
        }
        match self.supervision.state(child) {
            Some(ChildState::Starting(_) | ChildState::Running(_) | ChildState::Restarting(_)) => true,
            Some(ChildState::Stopped) => self.waits_with_another(child),
            None => false,
        }
    }

    fn waits_with_another(&self, child: &ChildId) -> bool {
        let mut children = self.supervision.children();
        let waits = |(_, state): (&ChildSpec, ChildState)| matches!(state, ChildState::Restarting(_));
        match self.flags.strategy {
            Strategy::OneForAll => children.any(waits),
            Strategy::RestForOne => children.take_while(|(spec, _)| spec.id != *child).any(waits),
            Strategy::OneForOne | Strategy::Dynamic => false,
        }
    }
}

/// Asks, waits, kills. After a kill the child still has the time of its `post_stop`; then its actor is taken away.
async fn stop_one(child: Running, within: StopWithin, hurry: CancellationToken) {
    let polite = match within {
        StopWithin::Kill => Some(Duration::ZERO),
        StopWithin::Time(time) => Some(time),
        StopWithin::Forever => None,
    };
    if polite == Some(Duration::ZERO) {
        child.orders.kill();
    } else {
        child.orders.stop();
        tokio::select! {
            biased;
            ended = child.actor.wait(polite) => if ended.is_ok() { return },
            () = hurry.cancelled() => {}
        }
        child.orders.kill();
    }
    let grace = if child.orders.has_children() { None } else { Some(POST_STOP_MAX + Duration::from_secs(1)) };
    if child.actor.wait(grace).await.is_err() {
        // Only code that never yields gets here; its thread can't be taken away, but nobody waits for it any more.
        child.actor.kill();
        child.orders.abandon();
    }
}
