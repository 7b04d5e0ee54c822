//! Who speaks, and what they decide.
//!
//! An [`Agent`] is a name with a durable mailbox; what runs is one incarnation of it after another, each a ractor actor
//! below a supervisor. This crate has agents, mailboxes, supervision, the router, and the pure protocols they follow.
//! It opens no socket and no file, asks no clock and rolls no dice: all that comes through the ports.
//!
//! # Where to look
//!
//! 1. [`Agent`], [`Handle`], [`Context`] and [`AgentRef`]: what a user writes and calls.
//! 2. `mailbox.rs`, `cell.rs`, `incarnation.rs`: one agent, from the queue to the handler.
//! 3. `supervisor.rs` over [`protocol::restart`]: who is started again, and when it is given up.
//! 4. `router.rs`, then `remote.rs`, `mail.rs`, `task_queue.rs`, `event_dispatcher.rs`: the ways of a message.
//!    `registration.rs`: how an agent comes to be known.
//! 5. [`port`]: what the outside must provide. [`protocol`]: every decision, without the world.

#[cfg(test)]
extern crate self as connectome;

mod agent;
mod agent_ref;
mod bell;
mod cell;
mod cluster;
mod context;
mod dead_letters;
mod deadline;
mod error;
mod event_dispatcher;
mod identities;
mod incarnation;
mod mail;
mod mailbox;
mod message;
mod message_handler;
mod monitor;
mod ownership;
mod parcel;
mod parts;
mod peers;
#[cfg(feature = "planted-bugs")]
mod planted;
pub mod port;
pub mod protocol;
mod registration;
mod registry;
mod remote;
mod reply;
mod router;
mod scope;
mod sealing;
mod service;
mod spec;
mod streams;
mod supervisor;
mod table;
mod task_queue;
mod tree;

pub use agent::{Agent, Handle, Table};
pub use agent_ref::AgentRef;
pub use connectome_derive::{Agent, Message};
pub use context::{BACKGROUND_MAX, Context, Timer};
pub use dead_letters::{Buried, DEAD_LETTERS_KEPT, DeadLetter, Reason};
pub use error::{CallError, HandlerError};
pub use event_dispatcher::{EventFilter, EventListener, Heard, SYSTEM_EVENTS};
pub use identities::{KeysError, Published};
pub use incarnation::{POST_STOP_MAX, PRE_START_MAX};
pub use mail::{
    AGENT_MESSAGES, AGENT_OUTBOX, OUTBOX_MESSAGES_MAX, OutboxCounts, STATE_MAX, STATES, SendError,
};
pub use mailbox::{
    ARRIVED_BYTES_MAX, ARRIVED_MAX, Accounts, MAILBOX_BYTES, MAILBOX_CAPACITY, MailboxConfig, Overflow,
};
pub use message::{Message, Streaming};
pub use monitor::{Down, DownReason, MonitorId};
pub use ownership::LEASES;
pub use peers::SealCounts;
#[cfg(feature = "planted-bugs")]
pub use planted::Planted;
pub use protocol::ownership::OwnershipCounts;
pub use protocol::restart::{AutoShutdown, Exit, Flags, Intensity, Restart, StopWithin, Strategy};
pub use registration::{AGENT_DISCOVERY, AGENTS, ReadRefusal, RegistrationCounts};
pub use registry::{AGENTS_MAX, NodeState};
pub use remote::CALLS_MAX;
pub use reply::{ItemSink, ItemStream, STREAM_WINDOW};
pub use router::{Ports, Router, RouterConfig, Turnover};
pub use sealing::{KEYS, SealingCounts, Seals, keys_bucket};
pub use service::Service;
pub use spec::AgentSpec;
pub use streams::{CLUSTER, DEAD_LETTERS, StreamLimits};
pub use supervisor::{Branch, BranchState, CHILDREN_SHOWN_MAX, Supervisor, SupervisorError, SupervisorSpec};
pub use task_queue::{
    ATTEMPTS_MAX, Submit, TASK_ROUTING, TASKS, TaskContext, TaskCounts, TaskError, TaskHandle, tasks_bucket,
};
pub use tree::{Tree, TreeError};
