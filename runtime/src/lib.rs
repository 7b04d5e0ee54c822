//! Connectome: the decentralised nervous system of an ecosystem of AI agents.
//!
//! Write an agent as an actor; it then simply *is* somewhere in a cluster. It is found by name or by what it can do, given
//! messages and work that survive crashes, and supervised without anyone writing recovery code.
//!
//! This crate is the outside of it: the [`Node`], its configuration, its transports and its stores. What agents are and
//! what they decide is in `connectome-actors`; what is said, in `connectome-codecs`.
//!
//! # Where to look
//!
//! 1. [`Node`] and [`Config`]: starting one. [`prelude`]: everything an agent needs.
//! 2. [`LocalCluster`]: several in one process. `sim` (a feature): a cluster on virtual time, from a seed.
//! 3. [`metrics`]: what a node does, and whether it is well.
//! 4. `transport/` and `streams/`: the ports, made real.

mod cluster;
pub mod config;
pub mod keystore;
pub mod metrics;
mod node;
pub mod prelude;
#[cfg(feature = "sim")]
pub mod sim;
pub mod streams;
pub mod telemetry;
pub mod transport;
pub mod world;

pub use bytes::Bytes;
pub use cluster::{ClusterError, LocalCluster};
pub use config::Config;
#[cfg(feature = "planted-bugs")]
pub use connectome_actors::Planted;
pub use connectome_actors::{
    AGENT_DISCOVERY, AGENT_MESSAGES, AGENT_OUTBOX, AGENTS, Accounts, Agent, AgentRef, AgentSpec,
    AutoShutdown, Branch, BranchState, Buried, CallError, Context, DEAD_LETTERS, DeadLetter, Down,
    DownReason, EventFilter, EventListener, Exit, Flags, Handle, HandlerError, Heard, Intensity, ItemSink,
    ItemStream, KeysError, MailboxConfig, Message, MonitorId, NodeState, OutboxCounts, Overflow,
    OwnershipCounts, Ports, Published, Reason, RegistrationCounts, Restart, Router, RouterConfig,
    SYSTEM_EVENTS, SealingCounts, Seals, SendError, StopWithin, Strategy, StreamLimits, Streaming, Submit,
    Supervisor, SupervisorError, SupervisorSpec, TASK_ROUTING, TASKS, Table, TaskContext, TaskCounts,
    TaskError, TaskHandle, Timer, keys_bucket, port, protocol, tasks_bucket,
};
pub use connectome_codecs as codecs;
pub use node::{Drain, Node, NodeError, NodeOptions, StopTimeout};
