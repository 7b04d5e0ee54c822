//! Facts in the past tense, as they are kept in the event stream.
//!
//! On the wire an event is a MessagePack map: `id`, `at`, `source`, `correlation`, `type`, and `body`, which is bin and
//! holds the MessagePack map of the fact. So a type that this version does not know keeps its body byte for byte.
//!
//! | family | types |
//! |---|---|
//! | `agent` | `AGENT_REGISTERED`, `AGENT_UNREGISTERED`, `AGENT_STATUS_UPDATED` |
//! | `task` | `TASK_CREATED`, `TASK_ASSIGNED`, `TASK_COMPLETED`, `TASK_FAILED` |
//! | `message` | `MESSAGE_RECEIVED` |
//! | `system` | `SYSTEM_READY`, `SYSTEM_SHUTDOWN`, `ERROR_OCCURRED`, `RESOURCE_LOW` |

mod agent;
mod message;
mod system;
mod task;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use agent::{AgentRegistered, AgentStatusUpdated, AgentUnregistered};
pub use message::MessageReceived;
pub use system::{ErrorOccurred, ResourceLow, SystemReady, SystemShutdown};
pub use task::{TaskAssigned, TaskCompleted, TaskCreated, TaskFailed};

use crate::address::AgentName;
use crate::id::{CorrelationId, EventId, NodeId, UnixMillis};
use crate::message::Invalid;
use crate::text::open_enum;
use crate::wire::{self, DecodeError, EncodeError};

/// Something that happened.
///
/// ```
/// use connectome_codecs::event::{Event, EventSource, EventType, Fact, SystemReady};
/// use connectome_codecs::{EventId, NodeId, UnixMillis};
///
/// let (now, node) = (UnixMillis(1_000), NodeId([7; 32]));
/// let event = Event {
///     id: EventId::from_parts(now, 1),
///     at: now,
///     source: EventSource::Node(node),
///     correlation: None,
///     fact: Fact::SystemReady(SystemReady { node, incarnation: 1, version: "0.1.0".into() }),
/// };
/// assert_eq!(event.fact.event_type(), EventType::SystemReady);
/// assert_eq!(Event::decode(&event.encode()?)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Names this event.
    pub id: EventId,
    /// When it happened, by the source's clock.
    pub at: UnixMillis,
    /// Who says so.
    pub source: EventSource,
    /// What it belongs to.
    pub correlation: Option<CorrelationId>,
    /// What happened.
    pub fact: Fact,
}

/// Who says that something happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// A node.
    Node(NodeId),
    /// An agent.
    Agent(AgentName),
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => fmt::Display::fmt(node, f),
            Self::Agent(name) => fmt::Display::fmt(name, f),
        }
    }
}

open_enum! {
    /// The type of an event, as it stands in subjects and in the stream.
    EventType, "event type", {
        /// An agent can be reached.
        AgentRegistered = "AGENT_REGISTERED",
        /// An agent cannot be reached any more.
        AgentUnregistered = "AGENT_UNREGISTERED",
        /// An agent does something else than before.
        AgentStatusUpdated = "AGENT_STATUS_UPDATED",
        /// A task was submitted.
        TaskCreated = "TASK_CREATED",
        /// A worker has a task.
        TaskAssigned = "TASK_ASSIGNED",
        /// A task is done.
        TaskCompleted = "TASK_COMPLETED",
        /// An attempt at a task failed.
        TaskFailed = "TASK_FAILED",
        /// A message reached its agent.
        MessageReceived = "MESSAGE_RECEIVED",
        /// A node has started.
        SystemReady = "SYSTEM_READY",
        /// A node stops.
        SystemShutdown = "SYSTEM_SHUTDOWN",
        /// Something went wrong.
        ErrorOccurred = "ERROR_OCCURRED",
        /// Something runs out.
        ResourceLow = "RESOURCE_LOW",
    }
}

/// Makes [`Fact`] and its three tables: the type of a fact, its bytes, and a fact from both.
macro_rules! facts {
    ($($name:ident),+) => {
        /// What happened: the type of an event with its body.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact {
            $(#[doc = concat!("See [`EventType::", stringify!($name), "`].")] $name($name),)+
            /// A type that this version does not know, kept byte for byte.
            Unknown {
                /// Its type.
                r#type: EventType,
                /// Its body.
                body: Bytes,
            },
        }

        impl Fact {
            /// The type of the event.
            pub fn event_type(&self) -> EventType {
                match self {
                    $(Self::$name(_) => EventType::$name,)+
                    Self::Unknown { r#type, .. } => r#type.clone(),
                }
            }

            fn encode(&self) -> Result<Bytes, EncodeError> {
                match self {
                    $(Self::$name(fact) => fact.validate().map_err(EncodeError::from).and_then(|()| wire::encode(fact)),)+
                    Self::Unknown { body, .. } => Ok(body.clone()),
                }
            }

            fn decode(r#type: EventType, body: &[u8]) -> Result<Self, DecodeError> {
                match r#type {
                    $(EventType::$name => {
                        let fact: $name = wire::decode(body)?;
                        fact.validate()?;
                        Ok(Self::$name(fact))
                    })+
                    EventType::Unknown(_) => Ok(Self::Unknown { r#type, body: Bytes::copy_from_slice(body) }),
                }
            }
        }
    };
}

facts! {
    AgentRegistered, AgentUnregistered, AgentStatusUpdated,
    TaskCreated, TaskAssigned, TaskCompleted, TaskFailed,
    MessageReceived,
    SystemReady, SystemShutdown, ErrorOccurred, ResourceLow
}

impl Event {
    /// Writes the event.
    ///
    /// # Errors
    /// When the fact is not valid, or too large for a frame.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let body = self.fact.encode()?;
        let r#type = self.fact.event_type();
        let Self { id, at, ref source, correlation, fact: _ } = *self;
        wire::encode(&Wire { id, at, source: source.clone(), correlation, r#type, body: Slice(&body) })
    }

    /// Reads an event that anyone may have written.
    ///
    /// # Errors
    /// When the bytes are not an event, or its fact is not valid.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Wire { id, at, source, correlation, r#type, body } = wire::decode_borrowed(bytes)?;
        let fact = Fact::decode(r#type, body.0)?;
        Ok(Self { id, at, source, correlation, fact })
    }
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    id: EventId,
    at: UnixMillis,
    source: EventSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<CorrelationId>,
    r#type: EventType,
    #[serde(borrow)]
    body: Slice<'a>,
}

/// A slice of the event's bytes, as bin.
struct Slice<'a>(&'a [u8]);

impl Serialize for Slice<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Slice<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self)
    }
}

/// A fact that its types already make valid.
macro_rules! always_valid {
    ($($name:ident),+) => {
        $(impl $name {
            pub(super) fn validate(&self) -> Result<(), $crate::message::Invalid> {
                Ok(())
            }
        })+
    };
}

use always_valid;

/// Something that is said in a word or two, and not empty.
fn label(field: &'static str, text: &str) -> Result<(), Invalid> {
    crate::message::label(field, Some(text), crate::limits::LABEL_MAX)
}
