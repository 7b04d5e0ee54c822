//! The promises of the protocols, tried on arbitrary inputs.

mod delivery;
mod lease;
mod membership;
mod restart;
mod routing;
mod task;
