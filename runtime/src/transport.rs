//! The ways from node to node. Each carries opaque frames and knows neither keys nor messages.
//!
//! | file | what |
//! |---|---|
//! | `local` | between the nodes of one process |
//! | `libp2p` | from node to node, with no one between |
//! | `nats` | between the nodes of a cluster, by a NATS server; also the connection that streams share |
//! | `routed` | two of them as one: direct where that can be, by the broker where it can't |
//! | `looped` | a loop that a supervisor runs, or a task of its own where there is none |
//!
//! All of them pass one suite, unmodified: `tests/conformance/transport.rs`.

#[cfg(feature = "libp2p")]
pub mod libp2p;
pub mod local;
#[cfg(any(feature = "libp2p", feature = "nats"))]
pub(crate) mod looped;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(all(feature = "libp2p", feature = "nats"))]
pub mod routed;
