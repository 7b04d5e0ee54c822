//! What a node does, in figures, and whether it is well: plain data, collected here and shown elsewhere.
//!
//! Streams and buckets are measured where the node uses them (`measured.rs`): two looks at the clock and a few atomic additions
//! for each message that goes through the store. A message between agents of one node is not measured at all. Rates and
//! latencies are of the last minute (`window.rs`, `histogram.rs`). A snapshot also asks the store how much it holds. Nothing
//! here serves anything: the command shows a [`Status`], and a node on NATS answers with one.
//!
//! Memory is bounded: 12 KB for each stream, 6 KB for each bucket, and a minute of totals.

mod collect;
mod health;
mod histogram;
mod measured;
mod meter;
mod show;
mod snapshot;
mod window;

pub use health::{Cause, Health, HealthState, Weight, Who};
pub(crate) use measured::Measured;
pub(crate) use meter::Meter;
pub use snapshot::{
    AgentMetrics, BucketMetrics, CONSUMERS_SHOWN_MAX, ConnectionMetrics, ConsumerMetrics, Counted, Kept,
    Latency, Metrics, OwnershipMetrics, SealingMetrics, Status, StreamMetrics, TaskMetrics,
};
