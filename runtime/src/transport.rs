//! The ways from node to node. Each carries opaque frames and knows neither keys nor messages.
//!
//! | file | what |
//! |---|---|
//! | `local` | between the nodes of one process |
//! | `nats` | between the nodes of a cluster, by a NATS server; also the connection that streams share |
//!
//! All of them pass one suite, unmodified: `tests/conformance/transport.rs`.

pub mod local;
#[cfg(feature = "nats")]
pub mod nats;
