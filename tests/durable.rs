//! Durable messages and tasks on a local cluster: what survives crashes, kills and impatience.

mod mail;
mod tasks;
