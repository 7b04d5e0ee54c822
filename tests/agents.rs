//! Agents on one node and on several: messages, crashes, deadlines, pipes, streams, monitors.

mod support;

mod calls;
mod crashes;
