//! What a handler knows and can do while it handles one message.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::envelope::TraceContext;
use connectome_codecs::event::Fact;
use connectome_codecs::signature::Evidence;
use connectome_codecs::{Address, AgentName, Envelope, MessageId, MessageName, TaskId, Term};
use futures_util::FutureExt;
use ractor::ActorRef;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::agent::Agent;
use crate::agent_ref::{AgentRef, push};
use crate::cell::AgentCell;
use crate::dead_letters::{Reason, address_of};
use crate::deadline;
use crate::error::{CallError, HandlerError, panic_text};
use crate::incarnation::Begin;
use crate::message::{Message, Streaming};
use crate::monitor::{Down, DownReason, Life, MonitorId, Watched, Watcher};
use crate::parcel::{Answer, Meta, Pipe, ReplyTo, Typed, message_name};
use crate::protocol::restart::Exit;
use crate::reply::{ItemSink, RemoteItems};
use crate::router::Router;
use crate::scope::{self, Place};
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
    pub(crate) fn new(
        core: &'a mut Core,
        meta: &'a Meta,
        gone: &'a (dyn Fn() -> bool + Sync),
    ) -> Context<'a> {
        Context { core, meta, gone, items: None, remote_items: None, task: None }
    }

    pub(crate) fn set_items(&mut self, items: Option<Box<dyn Any + Send>>) {
        self.items = items;
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

    /// The term under which this node owns the agent, where several nodes [offer](crate::Tree::offer) it: a fencing token.
    /// Show it wherever this agent has an effect outside of its own state, and let that place refuse an older one after a
    /// newer one: see [`Fence`](crate::protocol::lease::Fence).
    pub fn term(&self) -> Option<Term> {
        self.core.cell.term()
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
        self.meta.trace.as_deref()
    }

    /// What proves who said this message to somebody who was not there: see [`Evidence::verify`], and `connectome message
    /// verify` for its [bytes](Evidence::encode). A durable message is proved to be its sender's, agent or node; one from
    /// another node to be that node's. `None` for a message of this node, and where messages are not signed one by one.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.meta.evidence.as_deref()
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
        let (router, cell) = (self.core.router.clone(), self.core.cell.clone());
        self.core.background(async move {
            tokio::time::sleep(delay).await;
            push_to_self(&router, &cell, message, ReplyTo::Nobody).await;
        })
    }

    /// Sends a copy of `message` to this agent every `period`, first after one period. A slow agent is not flooded:
    /// no tick is sent before the one before it has been handled, and those that were missed are left out.
    ///
    /// # Errors
    /// Past [`BACKGROUND_MAX`] timers and pipes, or for a period of zero.
    pub fn every<M: Message + Clone + Sync>(
        &mut self,
        period: Duration,
        message: M,
    ) -> Result<Timer, HandlerError> {
        if period.is_zero() {
            return Err(HandlerError::rejected("a period must be longer than zero"));
        }
        let (router, cell) = (self.core.router.clone(), self.core.cell.clone());
        self.core.background(async move {
            let period = period.min(deadline::FAR);
            let mut due = deadline::after(period);
            loop {
                tokio::time::sleep_until(due).await;
                let (tick, handled) = oneshot::channel();
                push_to_self(&router, &cell, message.clone(), ReplyTo::Ticker(tick)).await;
                // It ends by being dropped, whatever became of the tick.
                drop(handled.await);
                due = deadline::following(due, period);
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
        let watched = agent.watch(Watcher::Agent { who: self.core.life(), monitor }, monitor).await?;
        self.core.watched.insert(monitor, watched);
        Ok(monitor)
    }

    /// Stops watching: after this, `on_down` is not called for it.
    pub fn demonitor(&mut self, monitor: MonitorId) {
        self.core.demonitor(monitor);
        self.core.cell.unheard(monitor);
    }

    /// Shares the fate of an agent of this node: when one of the two ends abnormally, the other one crashes too,
    /// unless it [traps exits](Context::trap_exits).
    ///
    /// # Errors
    /// When the agent is not on this node: monitor it instead.
    pub fn link(&mut self, agent: &AgentRef) -> Result<(), HandlerError> {
        let Some(other) = agent.cell() else {
            return Err(HandlerError::rejected(
                "links hold within a node; monitor an agent of another node instead",
            ));
        };
        // Two links between the same two are one.
        self.unlink(agent);
        let not_running = |_| HandlerError::new(format!("{} is not running", other.name));
        let incarnation = other.watch(Watcher::Link(self.core.life())).map_err(not_running)?;
        self.core.cell.watch(Watcher::Link(Life::new(&other, incarnation))).map_err(not_running)?;
        Ok(())
    }

    /// Takes a link back on both sides.
    pub fn unlink(&mut self, agent: &AgentRef) {
        if let Some(other) = agent.cell() {
            let (me, incarnation) = (&self.core.cell, self.core.incarnation);
            other.unwatch(|watchers| watchers.remove_link(me, incarnation));
            me.unwatch(|watchers| watchers.remove_link(&other, other.incarnation()));
        }
    }

    /// Whether the end of a linked agent comes to `on_down` instead of ending this agent.
    pub fn trap_exits(&mut self, trap: bool) {
        self.core.traps_exits = trap;
    }

    /// Stops this agent after the present message, normally: a permanent agent is started again, others are not.
    ///
    /// In `pre_start` it declines the start, which is no failure: nothing runs, and it is not tried again.
    pub fn stop(&mut self) {
        self.stop_as(Exit::Normal);
    }

    /// Stops this agent after the present message, and tells its supervisor and its watchers that it ended like this.
    pub fn stop_as(&mut self, exit: Exit) {
        self.core.stop = Some(exit);
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

/// What can't be queued is a dead letter: a timer has nobody to tell.
async fn push_to_self<M: Message>(
    router: &Router,
    cell: &Arc<AgentCell>,
    message: M,
    reply: ReplyTo<M::Reply>,
) {
    let from = Some(Address::Agent(cell.name.clone()));
    let meta = Meta { from, attempt: 1, ..Meta::default() };
    drop(push(router, cell, Box::new(Typed { message, reply, items: None, meta }), None).await);
}

/// What belongs to one incarnation beside the agent's own value.
pub(crate) struct Core {
    pub(crate) router: Router,
    pub(crate) cell: Arc<AgentCell>,
    pub(crate) incarnation: u64,
    pub(crate) runner: ActorRef<Begin>,
    pub(crate) place: Arc<Place>,
    /// Set by a handler that asked to stop.
    pub(crate) stop: Option<Exit>,
    pub(crate) traps_exits: bool,
    monitors: u64,
    /// The monitors that have not told their end yet.
    watched: BTreeMap<MonitorId, Watched>,
    pipe: Option<Box<dyn Any + Send>>,
    background: JoinSet<()>,
    children: Option<Supervisor>,
}

impl Core {
    pub(crate) fn new(
        router: Router,
        cell: Arc<AgentCell>,
        incarnation: u64,
        runner: ActorRef<Begin>,
    ) -> Core {
        let place = Arc::new(Place::new(cell.name.clone()));
        Core {
            router,
            cell,
            incarnation,
            runner,
            place,
            stop: None,
            traps_exits: false,
            monitors: 0,
            watched: BTreeMap::new(),
            pipe: None,
            background: JoinSet::new(),
            children: None,
        }
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// A message came whose bytes are not what its type says.
    pub(crate) fn malformed(&self, envelope: &Envelope, error: &CallError) {
        let (to, name) = (address_of(&self.cell.name), message_name(envelope));
        self.router.letter(to, envelope.from.clone(), name, Reason::Malformed, &error.to_string());
    }

    pub(crate) fn take_pipe<R: 'static>(&mut self) -> Option<Pipe<R>> {
        let pipe = self.pipe.take()?.downcast::<Pipe<R>>().ok()?;
        Some(*pipe)
    }

    pub(crate) fn run_pipe_to_caller<R: Send + 'static>(
        &mut self,
        message: MessageName,
        pipe: Pipe<R>,
        mut reply: ReplyTo<R>,
    ) {
        let piped = Piped::begin(self, message);
        let (pipe, late) = (self.beside(pipe), self.late());
        self.spawn_background(async move {
            let result = tokio::select! {
                biased;
                () = reply.gone() => return,
                within = late => return reply.send(Err(CallError::TimedOut(within))),
                result = pipe => result,
            };
            reply.send(result);
            piped.handled();
        });
    }

    /// The pipe at its place: what it sends and calls is for the same caller.
    fn beside<R>(&self, pipe: Pipe<R>) -> impl Future<Output = Result<R, CallError>> + use<R> {
        scope::at(self.place.beside(), guarded(pipe))
    }

    /// Ends when the caller of the present message stops waiting, and says how long that was from now.
    fn late(&self) -> impl Future<Output = Duration> + use<> {
        let (began, deadline) = (Instant::now(), self.place.deadline());
        async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
            began.elapsed()
        }
    }

    pub(crate) fn run_pipe_to_answer<R: Serialize + Send + 'static>(
        &mut self,
        message: MessageName,
        pipe: Pipe<R>,
        answer: Option<Box<dyn Answer>>,
    ) {
        let piped = Piped::begin(self, message);
        let (pipe, late) = (self.beside(pipe), self.late());
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
                within = late => return give(answer, Err(CallError::TimedOut(within)), None),
                result = pipe => result.and_then(|reply| encode_reply(&reply)),
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
        let children =
            Supervisor::start_for_children(&self.router, &self.cell.name, self.runner.get_cell()).await?;
        Ok(self.children.insert(children).clone())
    }

    /// Waits until there may be something to do.
    pub(crate) async fn idle(&mut self) {
        let Some(children) = &self.children else { return self.cell.woken().await };
        tokio::select! {
            biased;
            () = self.cell.woken() => {}
            _gave_up = children.ended() => {}
        }
    }

    /// Whether the supervisor of the children has given up.
    pub(crate) fn has_lost_its_children(&self) -> bool {
        self.children.as_ref().is_some_and(Supervisor::has_ended)
    }

    /// This incarnation, as a watcher.
    fn life(&self) -> Life {
        Life::new(&self.cell, self.incarnation)
    }

    /// A monitor has told its end.
    pub(crate) fn heard(&mut self, monitor: MonitorId) {
        self.watched.remove(&monitor);
    }

    fn demonitor(&mut self, monitor: MonitorId) {
        match self.watched.remove(&monitor) {
            Some(Watched::Here(other)) => {
                if let Some(other) = other.upgrade() {
                    other.unwatch(|watchers| watchers.remove_agent(&self.cell, self.incarnation, monitor));
                }
            }
            Some(Watched::There(number)) => self.router.unwatch_remote(number),
            Some(Watched::Nobody) | None => {}
        }
    }

    /// Stops the children, last started first, and everything in the background; nothing is watched any more.
    pub(crate) async fn wind_up(&mut self) {
        while let Some((&monitor, _)) = self.watched.first_key_value() {
            self.demonitor(monitor);
        }
        if let Some(children) = self.children.take() {
            children.stop_unless(self.cell.killed()).await;
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

/// Counts a piped message when its future ends; one whose future is dropped is a dead letter.
struct Piped {
    router: Router,
    cell: Arc<AgentCell>,
    message: MessageName,
    handled: bool,
}

impl Piped {
    fn begin(core: &Core, message: MessageName) -> Piped {
        core.cell.mailbox.begin_pipe();
        Piped { router: core.router.clone(), cell: core.cell.clone(), message, handled: false }
    }

    fn handled(mut self) {
        self.handled = true;
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        if !self.handled {
            self.router.pipe_dropped(&self.cell.name, &self.message);
        }
        self.cell.mailbox.settle_pipe(self.handled);
    }
}

/// A panic in a pipe fails its call; the agent, which was busy with something else, goes on.
async fn guarded<R>(pipe: Pipe<R>) -> Result<R, CallError> {
    match std::panic::AssertUnwindSafe(pipe).catch_unwind().await {
        Ok(result) => result.map_err(CallError::Handler),
        Err(panic) => Err(CallError::Crashed(panic_text(panic))),
    }
}
