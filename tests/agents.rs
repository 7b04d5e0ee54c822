//! Agents on one node and on several: messages, crashes, deadlines, pipes, streams, monitors.

pub(crate) mod probe;
pub(crate) mod support;

mod accounts;
mod arrivals;
mod calls;
mod children;
mod crashes;
mod deadlines;
mod errors;
mod lifecycle;
mod mailbox;
mod monitors;
mod pipes;
mod references;
mod shutdown;
mod streaming;
mod timers;
