//! One life of an agent: a ractor actor that empties the mailbox, one message at a time.
//!
//! It begins with the factory and ends in `post_stop`, whatever ends it. What outlives it (the mailbox, the watchers)
//! is in `cell.rs`; what decides whether another one follows is in `supervisor.rs`.

use std::future::ready;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::{Address, MessageName, Sequence};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ractor::{ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::agent::{Agent, Table};
use crate::cell::{AgentCell, Order};
use crate::context::{Context, Core};
use crate::dead_letters::Reason;
use crate::error::{CallError, panic_text};
use crate::mail::Word;
use crate::mailbox::Settled;
use crate::monitor::Signal;
use crate::parcel::{Encoded, Meta, Parcel};
use crate::protocol::restart::Exit;
use crate::router::Router;
use crate::scope;
use crate::supervisor::{ExitSlot, Orders, Running, Started};
use crate::table::Outcome;

/// Messages handled in one turn before others on this thread get theirs: enough that a turn's overhead vanishes, few
/// enough that nobody waits for long.
const TURN: usize = 64;

/// How long `pre_start` may take: a start that hangs would hang its supervisor and all siblings.
pub const PRE_START_MAX: Duration = Duration::from_secs(30);

/// How long `post_stop` may take: it runs also where a supervisor waits to restart the agent.
pub const POST_STOP_MAX: Duration = Duration::from_secs(5);

/// What an incarnation is made from.
pub(crate) struct Setup<A> {
    pub(crate) router: Router,
    pub(crate) cell: Arc<AgentCell>,
    pub(crate) factory: Arc<dyn Fn() -> A + Send + Sync>,
    pub(crate) table: Arc<Table<A>>,
}

/// Starts an incarnation below `parent`, and returns once `pre_start` has succeeded.
pub(crate) async fn start<A: Agent>(setup: Setup<A>, parent: ActorCell) -> Result<Started, String> {
    let exit = ExitSlot::default();
    let orders = Arc::new(CellOrders { router: setup.router.clone(), cell: setup.cell.clone() });
    let started = ractor::Actor::spawn_linked(None, Runner(PhantomData), (setup, exit.clone()), parent);
    match started.await {
        Ok((actor, _task)) => Ok(Started::Running(Running { actor: actor.get_cell(), exit, orders })),
        Err(_) if exit.is_set() => Ok(Started::Declined),
        Err(SpawnErr::StartupFailed(why)) => Err(why.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

struct CellOrders {
    router: Router,
    cell: Arc<AgentCell>,
}

impl Orders for CellOrders {
    fn stop(&self) {
        self.cell.stop(Exit::Shutdown);
    }
    fn kill(&self) {
        self.cell.kill();
    }
    fn abandon(&self) {
        let (cell, number) = (&self.cell, self.cell.incarnation());
        if cell.mailbox.abandon() > 0 {
            self.router.crashed(&cell.name, None, &HUNG, "its handler blocked its thread and was left there");
        }
        self.router.tell_watchers(cell, number, &Exit::Killed, cell.end(number));
    }
}

/// Whatever it was that the handler was busy with.
const HUNG: MessageName = MessageName::from_static("-");

/// The one message of the ractor actor that runs an incarnation: its life begins, and is all that ractor ever handles.
///
/// What the agent is sent waits in its mailbox, and rings the bell of its cell. Through ractor's own queue each message
/// would be queued, woken for and selected twice.
pub(crate) struct Begin;

/// The ractor side of an incarnation.
struct Runner<A>(PhantomData<fn() -> A>);

impl<A: Agent> ractor::Actor for Runner<A> {
    type Msg = Begin;
    type State = Incarnation<A>;
    type Arguments = (Setup<A>, ExitSlot);

    async fn pre_start(
        &self,
        myself: ActorRef<Begin>,
        (setup, exit): Self::Arguments,
    ) -> Result<Incarnation<A>, ActorProcessingErr> {
        Ok(Incarnation::begin(setup, exit, myself).await?)
    }

    async fn handle(
        &self,
        myself: ActorRef<Begin>,
        _: Begin,
        state: &mut Incarnation<A>,
    ) -> Result<(), ActorProcessingErr> {
        // Boxed: ractor moves what it polls through several futures, and each of them would have room for all of it.
        Box::pin(state.live(&myself)).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Begin>,
        _: SupervisionEvent,
        _: &mut Incarnation<A>,
    ) -> Result<(), ActorProcessingErr> {
        // Ractor would stop here; what the end of the children's supervisor means is decided in `urgent`.
        Ok(())
    }
}

/// How a turn ended.
enum Turn {
    /// There was nothing more to handle.
    Emptied,
    /// It was as long as it may be.
    Full,
}

struct Incarnation<A> {
    agent: A,
    table: Arc<Table<A>>,
    core: Core,
    /// The core's; here too, to be seen while a handler has the core.
    cell: Arc<AgentCell>,
    exit: ExitSlot,
}

impl<A: Agent> Incarnation<A> {
    async fn begin(setup: Setup<A>, exit: ExitSlot, myself: ActorRef<Begin>) -> Result<Self, String> {
        let Setup { router, cell, factory, table } = setup;
        let mut agent = factory();
        let cursor = restore(&mut agent, &router, &cell).await?;
        let number = cell.begin();
        let core = Core::new(router, cell.clone(), number, myself.clone());
        let mut life = Incarnation { agent, table, core, cell, exit };
        if let Err(problem) = life.pre_start().await {
            return Err(life.not_started(Exit::Crashed(problem.clone()), problem).await);
        }
        if let Some(exit) = life.core.stop.take() {
            if !exit.is_abnormal() {
                life.exit.set(exit.clone());
            }
            return Err(life.not_started(exit.clone(), exit.to_string()).await);
        }
        life.core.cell.tell_lane(Word::Started { incarnation: number, cursor }).await;
        life.core.cell.mailbox.begin();
        myself.send_message(Begin).map_err(|error| error.to_string())?;
        Ok(life)
    }

    /// Whatever `pre_start` began ends again.
    async fn not_started(mut self, exit: Exit, why: String) -> String {
        self.core.wind_up().await;
        self.end_of_watch(&exit);
        why
    }

    async fn pre_start(&mut self) -> Result<(), String> {
        let place = self.core.place.clone();
        let meta = Meta::default();
        let mut ctx = Context::new(&mut self.core, &meta, &never);
        let start = scope::at(place, self.agent.pre_start(&mut ctx));
        match timeout(PRE_START_MAX, AssertUnwindSafe(start).catch_unwind()).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(panic)) => Err(panic_text(panic)),
            Err(_) => Err(format!("pre_start took longer than {PRE_START_MAX:?}")),
        }
    }

    /// Handles what comes, until there is a reason to end.
    async fn live(&mut self, myself: &ActorRef<Begin>) {
        let place = self.core.place.clone();
        let life = AssertUnwindSafe(scope::at(place, self.messages())).catch_unwind().await;
        let exit = life.unwrap_or_else(|panic| self.panicked(panic_text(panic)));
        Box::pin(self.finish(exit, myself)).await;
    }

    /// Something of the agent panicked beside its handlers: a decoder, an encoder, a destructor.
    fn panicked(&self, cause: String) -> Exit {
        let cell = &self.core.cell;
        if cell.mailbox.in_hand() > 0 {
            self.core.router.crashed(&cell.name, None, &HUNG, &cause);
            cell.mailbox.settle(Settled::Dead);
        }
        Exit::Crashed(cause)
    }

    async fn messages(&mut self) -> Exit {
        loop {
            match self.turn().await {
                Ok(Turn::Full) => yield_now().await,
                Ok(Turn::Emptied) => self.core.idle().await,
                Err(exit) => return exit,
            }
        }
    }

    /// Handles up to [`TURN`] messages, and whatever is more urgent before each.
    async fn turn(&mut self) -> Result<Turn, Exit> {
        let mut settled = None;
        for _ in 0..TURN {
            if let Some(exit) = self.urgent().await {
                self.settle(settled);
                return Err(exit);
            }
            let Some(parcel) = self.core.cell.mailbox.next(settled.take()) else { return Ok(Turn::Emptied) };
            settled = Some(self.handle(parcel).await?);
        }
        self.settle(settled);
        Ok(Turn::Full)
    }

    fn settle(&self, settled: Option<Settled>) {
        if let Some(settled) = settled {
            self.core.cell.mailbox.settle(settled);
        }
    }

    /// Orders and signals go before messages.
    async fn urgent(&mut self) -> Option<Exit> {
        loop {
            if self.core.cell.incarnation() != self.core.incarnation {
                // It hung, was given up, and came back after its successor had begun.
                return Some(Exit::Killed);
            }
            if let Some(exit) = self.core.stop.take() {
                return Some(exit);
            }
            match self.core.cell.next_order() {
                Some(Order::Stop(exit)) => return Some(exit),
                Some(Order::Hear(signal)) => {
                    // Boxed, as is what follows the last message: both are rare, and every idle agent would have room for them.
                    if let Err(exit) = Box::pin(self.signal(signal)).await {
                        return Some(exit);
                    }
                }
                None if self.core.has_lost_its_children() => {
                    return Some(Exit::Crashed("the supervisor of its children gave up".to_owned()));
                }
                None => return None,
            }
        }
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), Exit> {
        let down = match signal {
            Signal::Down(down) => {
                self.core.heard(down.monitor);
                down
            }
            Signal::LinkDown { agent, exit } if self.core.traps_exits => self.core.link_down(agent, exit),
            Signal::LinkDown { agent, exit } if exit.is_abnormal() => {
                return Err(Exit::Crashed(format!("linked to {agent}, which ended: {exit}")));
            }
            Signal::LinkDown { .. } => return Ok(()),
        };
        let cell = self.core.cell.clone();
        let meta = Meta::default();
        self.core.place.enter(&meta);
        let mut ctx = Context::new(&mut self.core, &meta, &never);
        let told = AssertUnwindSafe(self.agent.on_down(down, &mut ctx)).catch_unwind();
        match unless_killed(&cell, told).await {
            Some(Ok(())) => Ok(()),
            Some(Err(panic)) => Err(Exit::Crashed(panic_text(panic))),
            None => Err(Exit::Killed),
        }
    }

    /// Handles one message. `Err`: this incarnation is over, and the message is settled.
    async fn handle(&mut self, parcel: Box<dyn Parcel>) -> Result<Settled, Exit> {
        if let Some((reason, error)) = self.refuse_late(&*parcel) {
            if parcel.takes_back() {
                return Ok(Settled::Returned);
            }
            self.core.router.dead_letter(&self.core.cell.name, parcel, reason, error);
            return Ok(Settled::Dead);
        }
        self.core.place.enter(parcel.meta());
        let span = tracing::info_span!(
            "handle",
            agent = %self.core.cell.name,
            message = %parcel.name(),
            trace = parcel.meta().trace.as_ref().map(tracing::field::display),
        );
        let (name, returns) = (parcel.name(), parcel.takes_back());
        let work = dispatch(&mut self.agent, &self.table, &mut self.core, parcel);
        let outcome = unless_killed(&self.cell, work.instrument(span)).await;
        self.concluded(outcome, &name, returns)
    }

    /// A message whose caller no longer waits is not started.
    fn refuse_late(&self, parcel: &dyn Parcel) -> Option<(Reason, CallError)> {
        if parcel.is_abandoned() {
            return Some((Reason::Abandoned, CallError::NotStarted(Duration::ZERO)));
        }
        let late = parcel.meta().deadline.is_some_and(|deadline| deadline <= Instant::now());
        late.then_some((Reason::Expired, CallError::NotStarted(Duration::ZERO)))
    }

    fn concluded(
        &mut self,
        outcome: Option<Outcome>,
        message: &MessageName,
        returns: bool,
    ) -> Result<Settled, Exit> {
        match outcome {
            Some(Outcome::Settled(settled)) => Ok(settled),
            Some(Outcome::Crashed { cause, from }) => {
                self.fatal(from, message, &cause, returns);
                Err(Exit::Crashed(cause))
            }
            None => {
                self.fatal(None, message, "killed", returns);
                Err(Exit::Killed)
            }
        }
    }

    /// The message that ended this incarnation: a dead letter, unless its lane takes it back.
    fn fatal(&self, from: Option<Address>, message: &MessageName, cause: &str, returns: bool) {
        if returns {
            self.core.cell.mailbox.settle(Settled::Returned);
        } else {
            self.core.router.crashed(&self.core.cell.name, from, message, cause);
            self.core.cell.mailbox.settle(Settled::Dead);
        }
    }

    /// Ends this incarnation: children, background work, `post_stop`, watchers, and then the actor itself.
    async fn finish(&mut self, exit: Exit, myself: &ActorRef<Begin>) {
        self.core.wind_up().await;
        self.post_stop(&exit).await;
        self.end_of_watch(&exit);
        let (incarnation, cause) = (self.core.incarnation, exit.to_string());
        self.core.cell.tell_lane(Word::Ended { incarnation, cause }).await;
        self.exit.set(exit);
        myself.stop(None);
    }

    async fn post_stop(&mut self, exit: &Exit) {
        let place = self.core.place.clone();
        let meta = Meta::default();
        let agent = self.core.cell.name.clone();
        place.enter(&meta);
        let mut ctx = Context::new(&mut self.core, &meta, &never);
        let stop = scope::at(place, self.agent.post_stop(exit, &mut ctx));
        match timeout(POST_STOP_MAX, AssertUnwindSafe(stop).catch_unwind()).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => tracing::warn!(%agent, panic = panic_text(panic), "post_stop panicked"),
            Err(_) => tracing::warn!(%agent, "post_stop took longer than {POST_STOP_MAX:?} and was left"),
        }
        // Whatever post_stop itself started ends here too.
        self.core.wind_up().await;
    }

    fn end_of_watch(&self, exit: &Exit) {
        let watchers = self.core.cell.end(self.core.incarnation);
        self.core.router.tell_watchers(&self.core.cell, self.core.incarnation, exit, watchers);
    }
}

/// Finds the handler of a message. What it returns is boxed already, so that nothing long is moved on its way.
fn dispatch<'a, A: Agent>(
    agent: &'a mut A,
    table: &Table<A>,
    core: &'a mut Core,
    parcel: Box<dyn Parcel>,
) -> BoxFuture<'a, Outcome> {
    if let Some(entry) = table.typed(parcel.as_any().type_id()) {
        return (entry.run_typed)(agent, parcel.into_any(), core);
    }
    let name = parcel.name();
    match (table.named(name.as_str()), parcel.as_any().is::<Encoded>()) {
        (Some(entry), true) => {
            let encoded = parcel.into_any().downcast::<Encoded>().expect("its type was just looked at");
            (entry.run_encoded)(agent, encoded, core)
        }
        (Some(_) | None, _) => {
            let agent = core.cell.name.clone();
            let error = CallError::NoHandler { agent: agent.clone(), message: name.to_string() };
            core.router.dead_letter(&agent, parcel, Reason::NoHandler, error);
            Box::pin(ready(Outcome::Settled(Settled::Dead)))
        }
    }
}

/// Gives an agent that keeps state the state it saved, and says how far its durable messages are in it.
async fn restore<A: Agent>(
    agent: &mut A,
    router: &Router,
    cell: &AgentCell,
) -> Result<Option<Sequence>, String> {
    if !A::KEEPS_STATE {
        return Ok(None);
    }
    let (state, cursor) = router.restore(cell).await?;
    if let Some(state) = state {
        agent.restore(&state).map_err(|error| format!("its kept state was refused: {error}"))?;
    }
    Ok(Some(cursor))
}

fn never() -> bool {
    false
}

/// Runs a future unless the agent is killed meanwhile; then the future is dropped where it stands.
async fn unless_killed<F: Future>(cell: &AgentCell, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = cell.killed() => None,
    }
}
