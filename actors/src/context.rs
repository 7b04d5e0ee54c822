//! What a handler knows and can do while it handles one message.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::envelope::TraceContext;
use connectome_codecs::event::Fact;
use connectome_codecs::{Address, AgentName, MessageId, TaskId};
use futures_util::FutureExt;
use ractor::ActorRef;
use serde::Serialize;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::agent::Agent;
use crate::agent_ref::AgentRef;
use crate::cell::{AgentCell, Wake};
use crate::error::{CallError, HandlerError, panic_text};
use crate::mailbox::Pushed;
use crate::message::{Message, Streaming};
use crate::monitor::{Down, DownReason, MonitorId, Watcher};
use crate::parcel::{Answer, Meta, Pipe, ReplyTo, Typed};
use crate::protocol::restart::Exit;
use crate::reply::{ItemSink, RemoteItems};
use crate::router::Router;
use crate::scope::Place;
use crate::spec::AgentSpec;
use crate::supervisor::Supervisor;
use crate::table::{encode_reply, give};
use crate::task_queue::{Submit, TaskContext, TaskHandle};

/// Futures in pipes and timers that one incarnation may have under way: each holds a task and its memory.
pub const BACKGROUND_MAX: usize = 1_024;

/// A handler's view of the world: who asked, how long there is, and what it may do.
///
/// Everything it starts belongs to this incarnation of the agent and ends with it: children, pipes, timers, monitors.
pub struct Context<'a> {
    core: &'a mut Core,
    meta: &'a Meta,
    gone: &'a (dyn Fn() -> bool + Sync),
    items: Option<Box<dyn Any + Send>>,
    remote_items: Option<RemoteItems>,
    task: Option<TaskContext>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(core: &'a mut Core, meta: &'a Meta, gone: &'a (dyn Fn() -> bool + Sync)) -> Context<'a> {
        Context { core, meta, gone, items: None, remote_items: None, task: None }
    }

    pub(crate) fn with_items(mut self, items: Option<Box<dyn Any + Send>>) -> Self {
        self.items = items;
        self
    }

    pub(crate) fn with_remote(mut self, items: Option<RemoteItems>, task: Option<TaskContext>) -> Self {
        self.remote_items = items;
        self.task = task;
        self
    }

    /// The name of this agent.
    pub fn name(&self) -> &AgentName {
        &self.core.cell.name
    }

    /// A reference to this agent, to hand out.
    pub fn me(&self) -> AgentRef {
        AgentRef::near(self.core.router.clone(), self.core.cell.clone())
    }

    /// Which incarnation this is: 1 is the first, each restart adds one.
    pub fn incarnation(&self) -> u64 {
        self.core.incarnation
    }

    /// Who sent the message: an agent of this node, or the sender that the envelope names. `None` for a sender that
    /// is no agent.
    pub fn sender(&self) -> Option<&Address> {
        self.meta.from.as_ref()
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.meta.deadline
    }

    /// How often this message has been delivered, this time included.
    pub fn attempt(&self) -> u32 {
        self.meta.attempt
    }

    /// The W3C trace this message belongs to.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.meta.trace.as_ref()
    }

    /// Whether the caller has gone away: its deadline passed, or it stopped waiting.
    pub fn is_cancelled(&self) -> bool {
        (self.gone)()
    }

    /// The task that this message is, if it was submitted.
    pub fn task(&self) -> Option<&TaskContext> {
        self.task.as_ref()
    }

    /// A reference to the agent of that name, here or on another node.
    ///
    /// # Errors
    /// When the text is no address.
    pub fn agent(&self, address: &str) -> Result<AgentRef, HandlerError> {
        Ok(self.core.router.agent(address)?)
    }

    /// Publishes an event as this agent; see `Router::emit`.
    ///
    /// # Errors
    /// When the store did not take it.
    pub async fn emit(&self, fact: Fact) -> Result<(), HandlerError> {
        self.core.router.emit_as(Some(&self.core.cell.name), fact).await?;
        Ok(())
    }

    /// Hands over a task; see [`Submit`].
    ///
    /// # Errors
    /// When the store did not take it.
    pub async fn submit<M: Message>(&self, submit: Submit<M>) -> Result<TaskHandle<M>, HandlerError> {
        Ok(self.core.router.submit(submit).await?)
    }

    /// Starts a supervised child of this agent: `parent/name`. It is stopped before this incarnation ends.
    ///
    /// # Errors
    /// When the name is taken or no name, or the child's start failed.
    pub async fn spawn<A: Agent>(
        &mut self,
        name: &str,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Result<AgentRef, HandlerError> {
        self.spawn_with(AgentSpec::new(name, factory)).await
    }

    /// The same with everything that an [`AgentSpec`] can say.
    ///
    /// # Errors
    /// As `spawn`.
    pub async fn spawn_with<A: Agent>(&mut self, spec: AgentSpec<A>) -> Result<AgentRef, HandlerError> {
        let spec = spec.below(&self.core.cell.name)?;
        let router = self.core.router.clone();
        let children = self.core.children().await?;
        Ok(children.spawn(&router, spec).await?)
    }

    /// Goes on in the background and leaves the mailbox live; what the future ends with is the answer.
    ///
    /// Return what this returns. The future is dropped when the caller goes away, and when this incarnation ends.
    ///
    /// ```
    /// # use connectome_actors::{Agent, Context, Handle, HandlerError, Message, Table};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[message(name = "ask", reply = String, crate = connectome_actors)]
    /// # struct Ask(String);
    /// # struct Thinker;
    /// # impl Agent for Thinker { fn handles(table: &mut Table<Self>) { table.on::<Ask>(); } }
    /// # async fn think(question: String) -> Result<String, HandlerError> { Ok(question) }
    /// impl Handle<Ask> for Thinker {
    ///     async fn handle(&mut self, Ask(question): Ask, ctx: &mut Context<'_>) -> Result<String, HandlerError> {
    ///         ctx.pipe(think(question)) // takes minutes; the next message is handled meanwhile
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Always: a marker that the answer follows, or, past [`BACKGROUND_MAX`], that there are too many.
    pub fn pipe<R: Send + 'static>(
        &mut self,
        future: impl Future<Output = Result<R, HandlerError>> + Send + 'static,
    ) -> Result<R, HandlerError> {
        self.core.room_for_background()?;
        let pipe: Pipe<R> = Box::pin(future);
        self.core.pipe = Some(Box::new(pipe));
        Err(HandlerError::piped())
    }

    /// Where the pieces of the answer to a streaming call go. Take it once; move it into a pipe.
    pub fn sink<M: Streaming>(&mut self) -> ItemSink<M::Item> {
        if let Some(items) = self.remote_items.take() {
            return ItemSink::far(items);
        }
        match self.items.take().map(|items| items.downcast::<ItemSink<M::Item>>()) {
            Some(Ok(sink)) => *sink,
            Some(Err(_)) | None => ItemSink::nobody(),
        }
    }

    /// Sends `message` to this agent once, after `delay`.
    ///
    /// # Errors
    /// Past [`BACKGROUND_MAX`] timers and pipes.
    pub fn after<M: Message>(&mut self, delay: Duration, message: M) -> Result<Timer, HandlerError> {
        let cell = self.core.cell.clone();
        self.core.background(async move {
            tokio::time::sleep(delay).await;
            push_to_self(&cell, message).await;
        })
    }

    /// Sends a copy of `message` to this agent every `period`, first after one period. A slow agent is not flooded:
    /// ticks that were missed are left out.
    ///
    /// # Errors
    /// Past [`BACKGROUND_MAX`] timers and pipes, or for a period of zero.
    pub fn every<M: Message + Clone + Sync>(&mut self, period: Duration, message: M) -> Result<Timer, HandlerError> {
        if period.is_zero() {
            return Err(HandlerError::rejected("a period must be longer than zero"));
        }
        let cell = self.core.cell.clone();
        self.core.background(async move {
            let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                push_to_self(&cell, message.clone()).await;
            }
        })
    }

    /// Watches an agent, near or far: `on_down` is called exactly once for the incarnation that runs now, or at once
    /// when none does.
    ///
    /// # Errors
    /// When the reference names no single agent.
    pub async fn monitor(&mut self, agent: &AgentRef) -> Result<MonitorId, HandlerError> {
        self.core.monitors += 1;
        let monitor = MonitorId(self.core.monitors);
        let watcher = Watcher::Agent { cell: Arc::downgrade(&self.core.cell), monitor };
        agent.watch(watcher, monitor).await?;
        Ok(monitor)
    }

    /// Stops watching: after this, `on_down` is not called for it.
    pub fn demonitor(&mut self, agent: &AgentRef, monitor: MonitorId) {
        if let Some(other) = agent.cell() {
            other.unwatch(|watchers| watchers.remove_agent(&self.core.cell, monitor));
        }
    }

    /// Shares the fate of an agent of this node: when one of the two ends abnormally, the other one crashes too,
    /// unless it [traps exits](Context::trap_exits).
    ///
    /// # Errors
    /// When the agent is not on this node: monitor it instead.
    pub fn link(&mut self, agent: &AgentRef) -> Result<(), HandlerError> {
        let Some(other) = agent.cell() else {
            return Err(HandlerError::rejected("links hold within a node; monitor an agent of another node instead"));
        };
        let me = &self.core.cell;
        let there = other.watch(Watcher::Link { cell: Arc::downgrade(me) });
        let here = me.watch(Watcher::Link { cell: Arc::downgrade(&other) });
        match (there, here) {
            (Ok(_), Ok(_)) => Ok(()),
            (Err(_), _) | (_, Err(_)) => Err(HandlerError::new(format!("{} is not running", other.name))),
        }
    }

    /// Takes a link back on both sides.
    pub fn unlink(&mut self, agent: &AgentRef) {
        if let Some(other) = agent.cell() {
            other.unwatch(|watchers| watchers.remove_link(&self.core.cell));
            self.core.cell.unwatch(|watchers| watchers.remove_link(&other));
        }
    }

    /// Whether the end of a linked agent comes to `on_down` instead of ending this agent.
    pub fn trap_exits(&mut self, trap: bool) {
        self.core.traps_exits = trap;
    }

    /// Stops this agent after the present message, normally.
    pub fn stop(&mut self) {
        self.core.stop = Some(Exit::Normal);
    }

    /// A fresh id that sorts by time.
    pub fn message_id(&self) -> MessageId {
        self.core.router.message_id()
    }

    /// A fresh task id.
    pub fn task_id(&self) -> TaskId {
        self.core.router.task_id()
    }
}

/// A timer that an agent started. Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Timer(AbortHandle);

impl Timer {
    /// Stops it: a tick that is not yet in the mailbox does not come any more.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

async fn push_to_self<M: Message>(cell: &Arc<AgentCell>, message: M) {
    let from = Some(Address::Agent(cell.name.clone()));
    let meta = Meta { from, attempt: 1, ..Meta::default() };
    let mut parcel: Box<dyn crate::parcel::Parcel> =
        Box::new(Typed { message, reply: ReplyTo::Nobody, items: None, meta });
    loop {
        match cell.push(parcel) {
            Pushed::Queued { .. } | Pushed::Closed(..) => return,
            Pushed::Full(back) => {
                parcel = back;
                cell.mailbox.wait_for_room(0).await;
            }
        }
    }
}

/// What belongs to one incarnation beside the agent's own value.
pub(crate) struct Core {
    pub(crate) router: Router,
    pub(crate) cell: Arc<AgentCell>,
    pub(crate) incarnation: u64,
    pub(crate) runner: ActorRef<Wake>,
    pub(crate) place: Arc<Place>,
    /// Set by a handler that asked to stop.
    pub(crate) stop: Option<Exit>,
    pub(crate) traps_exits: bool,
    /// The message that crashed the agent goes back to its lane.
    pub(crate) crashed_message_returns: bool,
    monitors: u64,
    pipe: Option<Box<dyn Any + Send>>,
    background: JoinSet<()>,
    children: Option<Supervisor>,
}

impl Core {
    pub(crate) fn new(router: Router, cell: Arc<AgentCell>, incarnation: u64, runner: ActorRef<Wake>) -> Core {
        let place = Arc::new(Place::new(cell.name.clone()));
        Core {
            router,
            cell,
            incarnation,
            runner,
            place,
            stop: None,
            traps_exits: false,
            crashed_message_returns: false,
            monitors: 0,
            pipe: None,
            background: JoinSet::new(),
            children: None,
        }
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn take_pipe<R: 'static>(&mut self) -> Option<Pipe<R>> {
        let pipe = self.pipe.take()?.downcast::<Pipe<R>>().ok()?;
        Some(*pipe)
    }

    pub(crate) fn run_pipe_to_caller<R: Send + 'static>(&mut self, pipe: Pipe<R>, mut reply: ReplyTo<R>) {
        let piped = Piped::begin(&self.cell);
        self.spawn_background(async move {
            let result = tokio::select! {
                biased;
                () = reply.gone() => return,
                result = guarded(pipe) => result,
            };
            reply.send(result);
            piped.handled();
        });
    }

    pub(crate) fn run_pipe_to_answer<R: Serialize + Send + 'static>(
        &mut self,
        pipe: Pipe<R>,
        answer: Option<Box<dyn Answer>>,
    ) {
        let piped = Piped::begin(&self.cell);
        let gone = answer.as_ref().map(|answer| answer.gone());
        self.spawn_background(async move {
            let gone = async {
                match gone {
                    Some(gone) => gone.await,
                    None => std::future::pending().await,
                }
            };
            let result: Result<Bytes, CallError> = tokio::select! {
                biased;
                () = gone => return,
                result = guarded(pipe) => result.and_then(|reply| encode_reply(&reply)),
            };
            give(answer, result, None);
            piped.handled();
        });
    }

    /// The supervisor of this agent's children, made when the first one is spawned.
    async fn children(&mut self) -> Result<Supervisor, HandlerError> {
        if let Some(children) = &self.children {
            return Ok(children.clone());
        }
        let children = Supervisor::start_for_children(&self.router, &self.cell.name, self.runner.get_cell()).await?;
        Ok(self.children.insert(children).clone())
    }

    /// Stops the children, last started first, and everything in the background.
    pub(crate) async fn wind_up(&mut self) {
        if let Some(children) = self.children.take() {
            children.stop().await;
        }
        self.background.shutdown().await;
    }

    fn background(&mut self, work: impl Future<Output = ()> + Send + 'static) -> Result<Timer, HandlerError> {
        self.room_for_background()?;
        Ok(Timer(self.spawn_background(work)))
    }

    fn spawn_background(&mut self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.background.spawn(work)
    }

    fn room_for_background(&mut self) -> Result<(), HandlerError> {
        while self.background.try_join_next().is_some() {}
        if self.background.len() >= BACKGROUND_MAX {
            return Err(HandlerError::new(format!(
                "{} already has {BACKGROUND_MAX} pipes and timers under way",
                self.cell.name
            )));
        }
        Ok(())
    }

    /// What `on_down` is told when a linked agent ended.
    pub(crate) fn link_down(&self, agent: AgentName, exit: Exit) -> Down {
        Down { agent, incarnation: 0, reason: DownReason::Exit(exit), monitor: MonitorId::default() }
    }
}

/// Counts a piped message when its future ends, or is dropped.
struct Piped(Arc<AgentCell>, bool);

impl Piped {
    fn begin(cell: &Arc<AgentCell>) -> Piped {
        cell.mailbox.begin_pipe();
        Piped(cell.clone(), false)
    }

    fn handled(mut self) {
        self.1 = true;
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.0.mailbox.settle_pipe(self.1);
    }
}

/// A panic in a pipe fails its call; the agent, which was busy with something else, goes on.
async fn guarded<R>(pipe: Pipe<R>) -> Result<R, CallError> {
    match std::panic::AssertUnwindSafe(pipe).catch_unwind().await {
        Ok(result) => result.map_err(CallError::Handler),
        Err(panic) => Err(CallError::Crashed(panic_text(panic))),
    }
}
