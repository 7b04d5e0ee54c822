//! The promises of the protocols, tried on arbitrary inputs.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod delivery;
mod lease;
mod membership;
mod ownership;
mod registration;
mod restart;
mod routing;
mod task;
