//! Durable messages and tasks: what survives crashes, kills and impatience, on a local cluster, and between nodes that share no
//! store.

mod apart;
pub(crate) mod mail;
mod tasks;
