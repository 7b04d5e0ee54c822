//! What the outside must provide. The actors know the world only through these traits.
//!
//! * [`World`]: what time it is, and randomness.
//! * [`Transport`]: frames to other nodes, at most once.
//! * [`Streams`]: durable streams, consumers and key-value buckets.
//! * [`KeyStore`]: who this node and its agents are.
//!
//! What of a port must go on by itself is its [`Part`]s, which the node supervises.
//!
//! Nothing behind [`Transport`] or [`Streams`] ever sees a key. An implementation of a port passes the
//! conformance suite of that port, unmodified; the suites are in the `tests` package.

mod arrivals;
mod keystore;
mod part;
mod streams;
mod transport;
mod world;

pub use arrivals::{Arrival, Arrivals};
pub use keystore::{KeyStore, KeyStoreError, Whose};
pub use part::{ConnectionFigures, Notice, Notices, Part};
pub use streams::{
    Bucket, BucketConfig, Consumer, ConsumerConfig, ConsumerInfo, Delivery, DeliveryTag, Discard, Entry,
    Expect, Publish, Published, Retention, Start, Storage, Stored, StreamConfig, StreamError, StreamInfo,
    Streams, Tail, Watch,
};
pub use transport::{Inbound, Transport, TransportError};
pub use world::World;
