//! Agents on one node and on several: messages, crashes, deadlines, pipes, streams, monitors.

mod probe;
mod support;

mod calls;
mod crashes;
mod deadlines;
mod errors;
mod mailbox;
mod references;
