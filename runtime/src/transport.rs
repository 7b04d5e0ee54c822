//! The ways from node to node. Each carries opaque frames and knows neither keys nor messages.
//!
//! | file | what |
//! |---|---|
//! | `local` | between the nodes of one process |
//!
//! All of them pass one suite, unmodified: `tests/conformance/transport.rs`.

pub mod local;
#[cfg(feature = "nats")]
pub mod nats;
