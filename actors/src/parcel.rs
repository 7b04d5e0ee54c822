//! A message in a mailbox: with its answer's way back and what is known of its sender, its type erased.
//!
//! A message between agents of one node travels as the value it is ([`Typed`]); one that came from another node, a
//! stream or a work queue comes encoded ([`Encoded`]) and is decoded by the agent that handles it.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use connectome_codecs::envelope::TraceContext;
use connectome_codecs::message::{Status, Text};
use connectome_codecs::signature::Evidence;
use connectome_codecs::{Address, AgentName, Envelope, Kind, MessageName};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{CallError, HandlerError};
use crate::message::Message;
use crate::task_queue::TaskContext;

/// A parcel, as a mailbox sees it.
pub(crate) trait Parcel: Any + Send {
    /// What is known about the message beside its value.
    fn meta(&self) -> &Meta;
    /// The wire name of its type.
    fn name(&self) -> MessageName;
    /// Bytes that count against the mailbox's bound.
    fn size(&self) -> usize;
    /// Whether the caller has stopped waiting.
    fn is_abandoned(&self) -> bool;
    /// Whether whoever delivered it will deliver it again.
    fn takes_back(&self) -> bool {
        false
    }
    /// Answers with an error instead of handling it.
    fn refuse(self: Box<Self>, error: CallError);
    /// For the agent, which knows the type.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
    /// The same, to look at.
    fn as_any(&self) -> &dyn Any;
}

/// What is known about a message beside its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub(crate) from: Option<Address>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) attempt: u32,
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) trace: Option<Arc<TraceContext>>,
    /// What proves to others who said it.
    pub(crate) evidence: Option<Arc<Evidence>>,
}

/// The agents that wait for a call to end, innermost first: a call to one of them would wait for ever.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) agent: AgentName,
    pub(crate) before: Option<Arc<Chain>>,
}

impl Chain {
    /// Walks from the innermost waiter outwards.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &AgentName> {
        std::iter::successors(Some(self), |link| link.before.as_deref()).map(|link| &link.agent)
    }

    /// Rebuilds a chain from the wire, innermost first.
    pub(crate) fn from_wire(agents: &[AgentName]) -> Option<Arc<Chain>> {
        agents.iter().rev().fold(None, |before, agent| Some(Arc::new(Chain { agent: agent.clone(), before })))
    }
}

/// A message of this node, as the value it is.
pub(crate) struct Typed<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: ReplyTo<M::Reply>,
    /// An `ItemSink<Item>` of a streaming call.
    pub(crate) items: Option<Box<dyn Any + Send>>,
    pub(crate) meta: Meta,
}

impl<M: Message> Parcel for Typed<M> {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn name(&self) -> MessageName {
        Named::<M>::NAME
    }
    fn size(&self) -> usize {
        0
    }
    fn is_abandoned(&self) -> bool {
        self.reply.is_gone()
    }
    fn refuse(self: Box<Self>, error: CallError) {
        self.reply.send(Err(error));
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A message that came encoded.
pub(crate) struct Encoded {
    pub(crate) envelope: Envelope,
    pub(crate) answer: Option<Box<dyn Answer>>,
    pub(crate) meta: Meta,
}

impl Parcel for Encoded {
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn name(&self) -> MessageName {
        message_name(&self.envelope)
    }
    fn size(&self) -> usize {
        self.envelope.body.len()
    }
    fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.is_gone())
    }
    fn takes_back(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.takes_back())
    }
    fn refuse(self: Box<Self>, error: CallError) {
        if let Some(answer) = self.answer {
            answer.give(Err(error), None);
        }
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The wire name of a type of message, checked once, by the compiler.
pub(crate) struct Named<M>(PhantomData<M>);

impl<M: Message> Named<M> {
    pub(crate) const NAME: MessageName = MessageName::from_static(M::NAME);
}

/// The name a message is handled by: its type's, or its kind's for the bodies that the protocol itself defines.
pub(crate) fn message_name(envelope: &Envelope) -> MessageName {
    envelope.name.clone().unwrap_or_else(|| kind_name(envelope.kind))
}

fn kind_name(kind: Kind) -> MessageName {
    MessageName::from_static(match kind {
        Kind::Text => Text::NAME,
        Kind::Task => "task",
        Kind::Response => "response",
        Kind::Status => Status::NAME,
        Kind::Error => "error",
        Kind::Discovery => "discovery",
        Kind::Heartbeat => "heartbeat",
        Kind::Typed => "typed",
        Kind::Control => "control",
        Kind::Unknown(_) => "unknown",
    })
}

/// Where the answer to an encoded message goes: a node that called, a durable lane, a task.
pub(crate) trait Answer: Send + Sync {
    /// Gives the answer, and the agent's saved state where it keeps one. Dropping an `Answer` without giving one
    /// counts as a crash.
    fn give(self: Box<Self>, result: Result<Bytes, CallError>, state: Option<Bytes>);

    /// The agent has begun to handle the message.
    fn begun(&self) {}

    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool {
        false
    }

    /// Ends when nobody waits any more.
    fn gone(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// Where streamed items go, for a caller that asked for them.
    fn items(&self) -> Option<crate::reply::RemoteItems> {
        None
    }

    /// The task that this message is, if it is one.
    fn task(&self) -> Option<TaskContext> {
        None
    }

    /// Whether a crash returns the message to whoever delivered it, who will deliver it again.
    fn takes_back(&self) -> bool {
        false
    }

    /// Whether the agent's state must be saved with this message.
    fn wants_state(&self) -> bool {
        false
    }
}

/// Where the answer to a typed message goes.
pub(crate) enum ReplyTo<R> {
    /// Nowhere: a cast.
    Nobody,
    /// Nowhere; a timer waits until this is dropped before it ticks again.
    Ticker(#[expect(dead_code, reason = "only its end is heard")] oneshot::Sender<()>),
    /// To a caller on this node.
    Caller(oneshot::Sender<Result<R, CallError>>),
}

impl<R> ReplyTo<R> {
    pub(crate) fn send(self, result: Result<R, CallError>) {
        match self {
            ReplyTo::Nobody | ReplyTo::Ticker(_) => {}
            // The caller may have stopped waiting; then the answer has no reader, and that is its choice.
            ReplyTo::Caller(caller) => drop(caller.send(result)),
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        match self {
            ReplyTo::Nobody | ReplyTo::Ticker(_) => false,
            ReplyTo::Caller(caller) => caller.is_closed(),
        }
    }

    pub(crate) async fn gone(&mut self) {
        match self {
            ReplyTo::Nobody | ReplyTo::Ticker(_) => std::future::pending().await,
            ReplyTo::Caller(caller) => caller.closed().await,
        }
    }
}

/// A future whose end is the answer: see `Context::pipe`.
pub(crate) type Pipe<R> = BoxFuture<'static, Result<R, HandlerError>>;
