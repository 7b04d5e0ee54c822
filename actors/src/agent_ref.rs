//! [`AgentRef`]: how one speaks to an agent, wherever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::{Address, AgentName, MessageId};
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
    /// # Errors
    /// Why the message was not accepted; it certainly had no effect, and is counted as a dead letter.
    pub async fn cast<M: Message>(&self, message: M) -> Result<(), CallError> {
        let router = self.router()?;
        let meta = scope::outgoing(false);
        if let Some(name) = self.offered(router) {
            let envelope = router.envelope(&self.to, &message, &meta)?;
            return router.cast_owner(&name, envelope, meta).await;
        }
        match self.place_for::<M>(router, &meta)? {
            Place::Here(cell) => {
                let parcel = Typed { message, reply: ReplyTo::Nobody, items: None, meta };
                push(router, &cell, Box::new(parcel), None).await.map(|_ticket| ())
            }
            Place::There(node) => router.cast_to(node, &self.to, message, meta).await,
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
        let (meta, within) = call_meta(within);
        if let Some(name) = self.offered(router) {
            let envelope = router.envelope(&self.to, &message, &meta)?;
            let body = router.call_owner(&name, envelope, meta, within).await?;
            let decoded = scope::binding(router, || connectome_codecs::wire::decode(&body));
            return decoded.map_err(|error| CallError::BadReply(error.to_string()));
        }
        match self.place_for::<M>(router, &meta)? {
            Place::Here(cell) => {
                refuse_cycle(&meta, &cell.name)?;
                call_here(router, &cell, message, meta, within).await
            }
            Place::There(node) => router.call_to(node, &self.to, message, meta, within).await,
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
        let (mut meta, within) = call_meta(within);
        // Its reader may read for as long as it likes: nobody waits inside a handler, so there is no cycle to find.
        meta.chain = None;
        if let Some(name) = self.offered(router) {
            router.owner_until(&name, deadline::after(within), within).await?;
        }
        match self.place_for::<M>(router, &meta)? {
            Place::Here(cell) => {
                let (sink, items) = mpsc::channel(STREAM_WINDOW);
                let (reply, end) = oneshot::channel();
                let items_to =
                    Some(Box::new(ItemSink::<M::Item>::near(sink)) as Box<dyn std::any::Any + Send>);
                let parcel = Typed { message, reply: ReplyTo::Caller(reply), items: items_to, meta };
                let until = deadline::after(within);
                push(router, &cell, Box::new(parcel), Some((until, within))).await?;
                Ok(ItemStream::near(items, end, Limit { until, within }))
            }
            Place::There(node) => router.stream_to(node, &self.to, message, meta, within).await,
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
        match self.place(self.router().ok()?)? {
            Place::Here(cell) => Some(cell),
            Place::There(_) => None,
        }
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

    fn place(&self, router: &Router) -> Option<Place> {
        match &self.near {
            Some(cell) if cell.term().is_none() && !cell.mailbox.is_closed() => {
                Some(Place::Here(cell.clone()))
            }
            Some(_) | None => router.locate(&self.to),
        }
    }

    /// Where a message goes; one that goes nowhere is a dead letter.
    fn place_for<M: Message>(&self, router: &Router, meta: &Meta) -> Result<Place, CallError> {
        self.place(router).ok_or_else(|| router.no_agent(&self.to, meta.from.clone(), Named::<M>::NAME))
    }
}

/// What a call carries, and how long it may take: no longer than the caller's own caller waits.
fn call_meta(within: Duration) -> (Meta, Duration) {
    let (now, own) = (Instant::now(), deadline::after(within));
    let mut meta = scope::outgoing(true);
    let deadline = meta.deadline.map_or(own, |outer| outer.min(own));
    meta.deadline = Some(deadline);
    (meta, deadline.saturating_duration_since(now))
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
    within: Duration,
) -> Result<M::Reply, CallError> {
    let deadline = Instant::now() + within;
    let (reply, answer) = oneshot::channel();
    let parcel = Typed { message, reply: ReplyTo::Caller(reply), items: None, meta };
    let ticket = push(router, cell, Box::new(parcel), Some((deadline, within))).await?;
    match timeout_at(deadline, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CallError::Crashed(format!("{} ended while it was at work", cell.name))),
        Err(_) => match cell.mailbox.withdraw(ticket) {
            Some(parcel) => {
                router.note_dead(&cell.name, &*parcel, Reason::Expired, "its deadline came before its turn");
                Err(CallError::NotStarted(within))
            }
            None => Err(CallError::TimedOut(within)),
        },
    }
}

/// Puts a parcel into a mailbox of this node, waiting for room where the mailbox's policy is to wait.
pub(crate) async fn push(
    router: &Router,
    cell: &Arc<AgentCell>,
    mut parcel: Box<dyn Parcel>,
    until: Option<(Instant, Duration)>,
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
                match until {
                    None => room.await,
                    Some((deadline, within)) => {
                        if timeout_at(deadline, room).await.is_err() {
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
