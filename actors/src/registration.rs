//! Registration: a signed record of each agent in the bucket `agents`, checked before it stands and whenever it is read.
//!
//! ```text
//!   <ns>.discovery.registered.<agent>    an agent is there         published by its node, or by a program of any language
//!   <ns>.discovery.heartbeat.<agent>     it still is               by agents that live on no node
//!   <ns>.discovery.unregistered.<agent>  it is not any more        by the same
//!   <ns>.discovery.refused.<agent>       no, and why               by the registrar; the entry itself is the yes
//! ```
//!
//! The registrars of all nodes share one durable consumer, so whichever node lives decides (`registrar.rs`); every node
//! keeps its own part of the bucket right and a checked copy of the rest (`keeper.rs`). What is decided is in
//! `protocol/registration`. A node refreshes and removes its entries itself, by compare-and-set: that is one write, and the
//! store's own order says who was first.
//!
//! Whom a call reaches is not decided here: that a node lives, and which agents it has this moment, is said by the node
//! itself twice a second (`cluster.rs`).

mod counts;
mod keeper;
mod registrar;
mod signing;
mod store;
mod table;

pub use counts::{ReadRefusal, RegistrationCounts};
pub(crate) use keeper::RegistrationKeeper;
pub(crate) use registrar::Registrar;
pub(crate) use table::Registrations;

/// The stream of registrations, heartbeats and ends.
pub const AGENT_DISCOVERY: &str = "AGENT_DISCOVERY";

/// The bucket of signed records, by agent.
pub const AGENTS: &str = "agents";
