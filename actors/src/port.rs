//! What the outside must provide. The actors know the world only through these traits.
//!
//! * [`World`]: what time it is, and randomness.
//! * [`Transport`]: frames to other nodes, at most once.
//! * [`Streams`]: durable streams, consumers and key-value buckets.
//! * [`KeyStore`]: who this node and its agents are.
//!
//! Nothing behind [`Transport`] or [`Streams`] ever sees a key. An implementation of a port passes the
//! conformance suite of that port, unmodified; the suites are in the `tests` package.

mod keystore;
mod streams;
mod transport;
mod world;

pub use keystore::{KeyStore, KeyStoreError};
pub use streams::{
    Arrival, Arrivals, Bucket, BucketConfig, Consumer, ConsumerConfig, ConsumerInfo, Delivery, DeliveryTag,
    Discard, Entry, Expect, Publish, Published, Retention, Start, Storage, Stored, StreamConfig, StreamError,
    StreamInfo, Streams, Tail, Watch,
};
pub use transport::{Inbound, Transport, TransportError};
pub use world::World;
