//! [`AgentRef`]: how one speaks to an agent, wherever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::{Address, AgentName, MessageId, NodeId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::cell::AgentCell;
use crate::dead_letters::Reason;
use crate::deadline;
use crate::error::{CallError, HandlerError};
use crate::mail::SendError;
use crate::mailbox::{Overflow, Pushed};
use crate::message::{Message, Streaming};
use crate::monitor::{Down, DownReason, MonitorId, Watched, Watcher};
use crate::parcel::{Meta, Named, Parcel, ReplyTo, Typed};
use crate::registry::Place;
use crate::reply::{ItemSink, ItemStream, Limit, STREAM_WINDOW};
use crate::router::{Router, STOPPING};
use crate::scope;

/// Speaks to an agent by its address: here or on another node, over restarts and moves.
///
/// Cheap to clone. It can be put inside a message: it travels as its address, and the receiver's is bound to the
/// receiver's node.
#[derive(Clone)]
pub struct AgentRef {
    to: Address,
    router: Option<Router>,
    /// Where the agent lived when this was made: spares a lookup for as long as it is true.
    near: Option<Arc<AgentCell>>,
}

impl AgentRef {
    pub(crate) fn near(router: Router, cell: Arc<AgentCell>) -> AgentRef {
        AgentRef { to: Address::Agent(cell.name.clone()), router: Some(router), near: Some(cell) }
    }

    pub(crate) fn to(router: Router, to: Address) -> AgentRef {
        let near = match &to {
            Address::Agent(name) => router.registry().local(name),
            Address::Id(_) | Address::Capability(_) => None,
        };
        AgentRef { to, router: Some(router), near }
    }

    /// Whom this speaks to.
    pub fn address(&self) -> &Address {
        &self.to
    }

    /// Sends one way, at most once, in order with what else this sender sends to this agent. Waits while the mailbox
    /// of an agent on this node is full, unless the mailbox says otherwise.
    ///
    /// For an agent of another node it returns when the message has left, or, among others that follow one another closely, when it
    /// is in line to leave; one that then does not leave is a dead letter here.
    ///
    /// # Errors
    /// Why the message was not accepted; it certainly had no effect, and is counted as a dead letter.
    pub async fn cast<M: Message>(&self, message: M) -> Result<(), CallError> {
        let router = self.router()?;
        let meta = scope::outgoing(false);
        if let Some(name) = self.offered(router) {
            let envelope = router.envelope(&self.to, &message, &meta)?;
            return router.cast_owner(&name, envelope, meta).await;
        }
        match self.find_for::<M>(router, &meta)?.cell() {
            Ok(cell) => {
                let parcel = Typed { message, reply: ReplyTo::Nobody, items: None, meta };
                push(router, cell, Box::new(parcel), None).await.map(|_ticket| ())
            }
            Err(node) => router.cast_to(node, &self.to, message, meta).await,
        }
    }

    /// Asks and waits for the answer, for as long as the node's configuration says (5 s unless it says otherwise).
    ///
    /// # Errors
    /// See [`CallError`]: it tells whether the message may have had an effect, and who must act.
    pub async fn call<M: Message>(&self, message: M) -> Result<M::Reply, CallError> {
        let within = self.router()?.call_timeout();
        self.call_within(within, message).await
    }

    /// Asks and waits for the answer, `within` at the most; inside a handler, no longer than its own caller waits.
    ///
    /// # Errors
    /// As [`call`](AgentRef::call).
    pub async fn call_within<M: Message>(&self, within: Duration, message: M) -> Result<M::Reply, CallError> {
        let router = self.router()?;
        let (meta, limit) = call_meta(within);
        if let Some(name) = self.offered(router) {
            let envelope = router.envelope(&self.to, &message, &meta)?;
            let body = router.call_owner(&name, envelope, meta, limit.within).await?;
            let decoded = scope::binding(router, || connectome_codecs::wire::decode(&body));
            return decoded.map_err(|error| CallError::BadReply(error.to_string()));
        }
        match self.find_for::<M>(router, &meta)?.cell() {
            Ok(cell) => {
                refuse_cycle(&meta, &cell.name)?;
                call_here(router, cell, message, meta, limit).await
            }
            Err(node) => router.call_to(node, &self.to, message, meta, limit.within).await,
        }
    }

    /// Asks for an answer in pieces. The deadline is for the whole answer.
    ///
    /// # Errors
    /// Why the message was not accepted. Later failures come from [`ItemStream::next`].
    pub async fn stream<M: Streaming>(&self, message: M) -> Result<ItemStream<M::Item, M::Reply>, CallError> {
        let within = self.router()?.stream_timeout();
        self.stream_within(within, message).await
    }

    /// The same with a deadline of one's own.
    ///
    /// # Errors
    /// As [`stream`](AgentRef::stream).
    pub async fn stream_within<M: Streaming>(
        &self,
        within: Duration,
        message: M,
    ) -> Result<ItemStream<M::Item, M::Reply>, CallError> {
        let router = self.router()?;
        let (mut meta, limit) = call_meta(within);
        // Its reader may read for as long as it likes: nobody waits inside a handler, so there is no cycle to find.
        meta.chain = None;
        if let Some(name) = self.offered(router) {
            router.owner_until(&name, limit.until, limit.within).await?;
        }
        match self.find_for::<M>(router, &meta)?.cell() {
            Ok(cell) => {
                let (sink, items) = mpsc::channel(STREAM_WINDOW);
                let (reply, end) = oneshot::channel();
                let items_to =
                    Some(Box::new(ItemSink::<M::Item>::near(sink)) as Box<dyn std::any::Any + Send>);
                let parcel = Typed { message, reply: ReplyTo::Caller(reply), items: items_to, meta };
                push(router, cell, Box::new(parcel), Some(limit)).await?;
                Ok(ItemStream::near(items, end, limit))
            }
            Err(node) => router.stream_to(node, &self.to, message, meta, limit.within).await,
        }
    }

    /// Sends durably: returns once the store has it. It is delivered at least once and applied once, in order, also
    /// to an agent that is not running now.
    ///
    /// # Errors
    /// [`SendError`]; where it says that it may have happened, sending the same id again is safe.
    pub async fn send<M: Message>(&self, message: M) -> Result<MessageId, SendError> {
        let router = self.router().map_err(|error| SendError::NotSent(error.to_string()))?;
        router.send_durably(&self.to, router.message_id(), message).await
    }

    /// Sends durably under an id of one's own: the same id again, within the stream's window, is stored once.
    ///
    /// # Errors
    /// As [`send`](AgentRef::send).
    pub async fn send_as<M: Message>(&self, id: MessageId, message: M) -> Result<MessageId, SendError> {
        let router = self.router().map_err(|error| SendError::NotSent(error.to_string()))?;
        router.send_durably(&self.to, id, message).await
    }

    /// Ends when the incarnation that runs now ends, or at once when none does; see also `Context::monitor`.
    ///
    /// # Errors
    /// When this is bound to no node, or names no single agent.
    pub async fn down(&self) -> Result<Down, CallError> {
        let (told, down) = oneshot::channel();
        self.watch(Watcher::Future(told), MonitorId::default()).await.map_err(CallError::Handler)?;
        down.await.map_err(|_| CallError::Stopped("the node has stopped".to_owned()))
    }

    /// Sets a watcher where the agent is.
    pub(crate) async fn watch(&self, watcher: Watcher, monitor: MonitorId) -> Result<Watched, HandlerError> {
        let router = self.router()?;
        let Address::Agent(name) = &self.to else {
            return Err(HandlerError::rejected(format!("{} names no single agent to monitor", self.to)));
        };
        let nobody = |reason| Down { agent: name.clone(), incarnation: 0, reason, monitor };
        let watcher = match router.registry().find(name) {
            Some(Place::Here(cell)) => match cell.watch(watcher) {
                Ok(_incarnation) => return Ok(Watched::Here(Arc::downgrade(&cell))),
                Err(watcher) => watcher,
            },
            Some(Place::There(node)) => {
                return Ok(Watched::There(router.watch_remote(node, name, watcher, monitor).await));
            }
            None => watcher,
        };
        router.tell(watcher, &nobody(DownReason::NoAgent));
        Ok(Watched::Nobody)
    }

    /// The cell of an agent of this node.
    pub(crate) fn cell(&self) -> Option<Arc<AgentCell>> {
        self.find(self.router().ok()?)?.cell().ok().cloned()
    }

    fn router(&self) -> Result<&Router, CallError> {
        self.router.as_ref().ok_or(CallError::Unbound)
    }

    /// The name, where several nodes may offer it. A plain agent of this node is spared the question.
    fn offered(&self, router: &Router) -> Option<AgentName> {
        match &self.near {
            Some(cell) if cell.term().is_none() => None,
            Some(_) | None => router.offered(&self.to),
        }
    }

    fn find(&self, router: &Router) -> Option<Found<'_>> {
        match &self.near {
            Some(cell) if cell.term().is_none() && !cell.mailbox.is_closed() => Some(Found::Near(cell)),
            Some(_) | None => router.locate(&self.to).map(Found::Place),
        }
    }

    /// Where a message goes; one that goes nowhere is a dead letter.
    fn find_for<M: Message>(&self, router: &Router, meta: &Meta) -> Result<Found<'_>, CallError> {
        self.find(router).ok_or_else(|| router.no_agent(&self.to, meta.from.clone(), Named::<M>::NAME))
    }
}

/// Where an agent was found.
enum Found<'a> {
    /// Where it was when the reference was made. Most messages go there, so the cell is not even counted.
    Near(&'a Arc<AgentCell>),
    Place(Place),
}

impl Found<'_> {
    /// Its cell here, or the node where it is.
    fn cell(&self) -> Result<&Arc<AgentCell>, NodeId> {
        match self {
            Found::Near(cell) => Ok(cell),
            Found::Place(Place::Here(cell)) => Ok(cell),
            Found::Place(Place::There(node)) => Err(*node),
        }
    }
}

/// What a call carries, and how long it may take: no longer than the caller's own caller waits.
fn call_meta(within: Duration) -> (Meta, Limit) {
    let now = Instant::now();
    let own = deadline::later(now, within);
    let mut meta = scope::outgoing(true);
    let until = meta.deadline.map_or(own, |outer| outer.min(own));
    meta.deadline = Some(until);
    (meta, Limit { until, within: until.saturating_duration_since(now) })
}

pub(crate) fn refuse_cycle(meta: &Meta, to: &AgentName) -> Result<(), CallError> {
    let Some(chain) = &meta.chain else { return Ok(()) };
    if !chain.agents().any(|waiting| waiting == to) {
        return Ok(());
    }
    let mut way: Vec<_> = chain.agents().map(AgentName::as_str).collect();
    way.reverse();
    Err(CallError::Cycle(format!("{} -> {to}", way.join(" -> "))))
}

async fn call_here<M: Message>(
    router: &Router,
    cell: &Arc<AgentCell>,
    message: M,
    meta: Meta,
    limit: Limit,
) -> Result<M::Reply, CallError> {
    let (reply, answer) = oneshot::channel();
    let parcel = Typed { message, reply: ReplyTo::Caller(reply), items: None, meta };
    let ticket = push(router, cell, Box::new(parcel), Some(limit)).await?;
    match timeout_at(limit.until, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CallError::Crashed(format!("{} ended while it was at work", cell.name))),
        Err(_) => match cell.mailbox.withdraw(ticket) {
            Some(parcel) => {
                router.note_dead(&cell.name, &*parcel, Reason::Expired, "its deadline came before its turn");
                Err(CallError::NotStarted(limit.within))
            }
            None => Err(CallError::TimedOut(limit.within)),
        },
    }
}

/// Puts a parcel into a mailbox of this node, waiting for room where the mailbox's policy is to wait.
pub(crate) async fn push(
    router: &Router,
    cell: &Arc<AgentCell>,
    mut parcel: Box<dyn Parcel>,
    limit: Option<Limit>,
) -> Result<u64, CallError> {
    if router.turns_away(parcel.meta()) {
        router.note_dead(&cell.name, &*parcel, Reason::Stopped, STOPPING);
        return Err(CallError::Stopped(STOPPING.to_owned()));
    }
    loop {
        match cell.push(parcel) {
            Pushed::Queued { ticket, displaced, .. } => {
                bury_displaced(router, cell, displaced);
                return Ok(ticket);
            }
            Pushed::Closed(back, why) => {
                router.note_dead(&cell.name, &*back, Reason::Stopped, &why);
                return Err(CallError::Stopped(why));
            }
            Pushed::Full(back)
                if cell.mailbox.config().overflow == Overflow::Block && !scope::holds_up(&cell.name) =>
            {
                let size = back.size();
                let room = cell.mailbox.wait_for_room(size);
                match limit {
                    None => room.await,
                    Some(Limit { until, within }) => {
                        if timeout_at(until, room).await.is_err() {
                            router.note_dead(
                                &cell.name,
                                &*back,
                                Reason::Expired,
                                "its deadline came before there was room",
                            );
                            return Err(CallError::NotStarted(within));
                        }
                    }
                }
                parcel = back;
            }
            Pushed::Full(back) => return Err(refuse_full(router, cell, &*back)),
        }
    }
}

/// The oldest messages made room: they are dead letters, and whoever waits for their answers is told.
pub(crate) fn bury_displaced(router: &Router, cell: &AgentCell, displaced: Vec<Box<dyn Parcel>>) {
    for oldest in displaced {
        let error =
            CallError::MailboxFull { agent: cell.name.clone(), capacity: cell.mailbox.config().capacity };
        router.dead_letter(&cell.name, oldest, Reason::MailboxFull, error);
    }
}

/// What a full mailbox that does not wait answers.
pub(crate) fn refuse_full(router: &Router, cell: &AgentCell, parcel: &dyn Parcel) -> CallError {
    let error = CallError::MailboxFull { agent: cell.name.clone(), capacity: cell.mailbox.config().capacity };
    router.note_dead(&cell.name, parcel, Reason::MailboxFull, &error.to_string());
    error
}

impl fmt::Debug for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentRef({})", self.to)
    }
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to.fmt(f)
    }
}

/// Two references are equal when they speak to the same address.
impl PartialEq for AgentRef {
    fn eq(&self, other: &AgentRef) -> bool {
        self.to == other.to
    }
}

impl Eq for AgentRef {}

impl Serialize for AgentRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AgentRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AgentRef, D::Error> {
        let to = Address::deserialize(deserializer)?;
        Ok(match scope::bound() {
            Some(router) => AgentRef::to(router, to),
            None => AgentRef { to, router: None, near: None },
        })
    }
}
