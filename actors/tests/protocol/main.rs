//! The promises of the protocols, tried on arbitrary inputs.

mod membership;
mod restart;
mod task;
