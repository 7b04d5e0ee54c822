//! Durable messages and tasks: what survives crashes, kills and impatience, on a local cluster, and between nodes that share no
//! store.

mod apart;
mod mail;
mod tasks;
