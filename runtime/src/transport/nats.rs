//! The NATS connection of a node, shared by its transport and its streams.

mod connection;
mod options;

pub use connection::{ConnectionCounts, NatsConnection};
pub use options::{NatsError, NatsOptions};
