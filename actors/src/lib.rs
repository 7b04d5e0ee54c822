//! The actors: for now only their ports.
#![allow(missing_docs)]
pub mod port;
