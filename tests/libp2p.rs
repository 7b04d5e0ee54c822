//! Nodes that speak to each other directly: clusters without a broker, ends that are noticed, strangers that are held off.
//!
//! What every transport promises is in `conformance/transport.rs`.

mod admission;
mod announcer;
mod both_ways;
mod foreign;
mod hostile;
pub(crate) mod networks;
mod nodes;
mod process;
mod reach;
mod relays;
mod served;
mod stranger;
mod streams;
mod support;
mod topics;
mod wide;
