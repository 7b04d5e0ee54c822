//! The promises of the protocols, tried on arbitrary inputs.

mod delivery;
mod membership;
mod restart;
mod routing;
mod task;
