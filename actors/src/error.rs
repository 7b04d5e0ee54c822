//! What can go wrong between a caller and an agent, and who must act on it.

use std::fmt;
use std::time::Duration;

use connectome_codecs::message::{Blame, Effect};
use connectome_codecs::{Address, AgentName, NodeId};

/// Why a `call` brought no answer.
///
/// Two questions decide what a caller does next, and every variant answers both: [`effect`](CallError::effect) (may
/// the handler have run?) and [`blame`](CallError::blame) (who must act?).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody has that address.
    #[error("no agent answers to {0}: it was never started, has stopped, or its node is gone")]
    NoAgent(Address),
    /// The agent's mailbox is full and its policy is to say so.
    #[error("the mailbox of {agent} is full ({capacity} messages): slow down, or raise its bound")]
    MailboxFull {
        /// Whose mailbox.
        agent: AgentName,
        /// Its bound, in messages.
        capacity: usize,
    },
    /// The agent does not handle this type.
    #[error("{agent} does not handle {message}: add `table.on::<…>()` to its `handles`")]
    NoHandler {
        /// Who was asked.
        agent: AgentName,
        /// The wire name of the message.
        message: String,
    },
    /// The bytes of the message are not what its type says.
    #[error("{message} could not be decoded: {problem}")]
    BadMessage {
        /// The wire name of the message.
        message: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The call would wait for itself.
    #[error("call cycle: {0} is waiting for this very call; use cast or pipe on one of the ways")]
    Cycle(String),
    /// The deadline came while the message was still in the queue.
    #[error("not started within {0:?}: the message was withdrawn from the queue")]
    NotStarted(Duration),
    /// The deadline came while the handler was at work, or no answer came back.
    #[error("no answer within {0:?}: it may have happened")]
    TimedOut(Duration),
    /// The agent crashed while it handled the message.
    #[error("the agent crashed while handling the message: {0}")]
    Crashed(String),
    /// The agent stopped before it came to the message.
    #[error("the agent stopped before it came to the message: {0}")]
    Stopped(String),
    /// The message could not leave this node.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The path to the agent's node broke after the message had left.
    #[error("the path to {0} broke after the message had left")]
    PathLost(NodeId),
    /// The answer could not be understood.
    #[error("the answer could not be understood: {0}")]
    BadReply(String),
    /// A reference that came in a message was never bound to a node.
    #[error(
        "this AgentRef is not bound to a node: take it from a node, a context, or a message that an agent received"
    )]
    Unbound,
    /// The handler said no.
    #[error("{0}")]
    Handler(HandlerError),
    /// The agent's node refused, for a reason that it gives.
    #[error("{message}")]
    Refused {
        /// Its word for it.
        code: String,
        /// Who must act.
        blame: Blame,
        /// Whether it may have happened.
        effect: Effect,
        /// The same in words.
        message: String,
    },
}

impl CallError {
    /// Whether the handler certainly did not run ([`Effect::None`]) or may have ([`Effect::Possible`]).
    pub fn effect(&self) -> Effect {
        match self {
            CallError::NoAgent(_)
            | CallError::MailboxFull { .. }
            | CallError::NoHandler { .. }
            | CallError::BadMessage { .. }
            | CallError::Cycle(_)
            | CallError::NotStarted(_)
            | CallError::Stopped(_)
            | CallError::NotSent(_)
            | CallError::Unbound => Effect::None,
            CallError::TimedOut(_)
            | CallError::Crashed(_)
            | CallError::PathLost(_)
            | CallError::BadReply(_)
            | CallError::Handler(_) => Effect::Possible,
            CallError::Refused { effect, .. } => *effect,
        }
    }

    /// Who must act: the caller, the peer that was called, or the environment between them.
    pub fn blame(&self) -> Blame {
        match self {
            CallError::NoHandler { .. }
            | CallError::BadMessage { .. }
            | CallError::Cycle(_)
            | CallError::NoAgent(_)
            | CallError::Unbound => Blame::Caller,
            CallError::MailboxFull { .. }
            | CallError::Crashed(_)
            | CallError::Stopped(_)
            | CallError::BadReply(_)
            | CallError::NotStarted(_)
            | CallError::TimedOut(_)
            | CallError::Handler(_) => Blame::Peer,
            CallError::NotSent(_) | CallError::PathLost(_) => Blame::Environment,
            CallError::Refused { blame, .. } => *blame,
        }
    }

    /// A stable word for logs, metrics and the wire.
    pub fn code(&self) -> &'static str {
        match self {
            CallError::NoAgent(_) => "no_agent",
            CallError::MailboxFull { .. } => "mailbox_full",
            CallError::NoHandler { .. } => "no_handler",
            CallError::BadMessage { .. } => "bad_message",
            CallError::Cycle(_) => "cycle",
            CallError::NotStarted(_) => "not_started",
            CallError::TimedOut(_) => "timed_out",
            CallError::Crashed(_) => "crashed",
            CallError::Stopped(_) => "stopped",
            CallError::NotSent(_) => "not_sent",
            CallError::PathLost(_) => "path_lost",
            CallError::BadReply(_) => "bad_reply",
            CallError::Unbound => "unbound",
            CallError::Handler(_) => "handler",
            CallError::Refused { .. } => "refused",
        }
    }
}

/// A handler's refusal: what went wrong, in words that reach the caller.
///
/// Any `std::error::Error` becomes one with `?`. For a task it also says whether another attempt makes sense.
///
/// ```
/// use connectome_actors::HandlerError;
///
/// fn parse(text: &str) -> Result<u32, HandlerError> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("twelve").unwrap_err().to_string().contains("invalid digit"));
/// assert!(!HandlerError::rejected("no such account").is_retryable());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerError {
    message: String,
    retryable: bool,
    piped: bool,
}

impl HandlerError {
    /// Something failed that may succeed another time.
    pub fn new(message: impl Into<String>) -> HandlerError {
        HandlerError { message: message.into(), retryable: true, piped: false }
    }

    /// The request itself is wrong: another attempt would fail the same way.
    pub fn rejected(message: impl Into<String>) -> HandlerError {
        HandlerError { retryable: false, ..HandlerError::new(message) }
    }

    /// Whether another attempt makes sense.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Not an error: the answer follows from the future that `Context::pipe` was given.
    pub(crate) fn piped() -> HandlerError {
        HandlerError { piped: true, ..HandlerError::new("the answer follows") }
    }

    pub(crate) fn is_piped(&self) -> bool {
        self.piped
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError::new(error.to_string())
    }
}

/// The text of a panic, whatever it was raised with.
pub(crate) fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "a panic without a text".to_owned(),
        },
    }
}
