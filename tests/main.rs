//! What Connectome promises, tested through the door that users have: one binary, one module a concern.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agents;
mod chaos;
mod conformance;
mod durable;
mod kill_nine;
mod libp2p;
mod main_job;
mod metrics;
mod nats;
mod ownership;
mod registration;
mod sealed;
mod simulation;
mod supervision;
mod support;
mod tidy;
