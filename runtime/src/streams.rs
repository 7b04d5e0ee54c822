//! Where streams and buckets are kept: the implementations of [`connectome_actors::port::Streams`].
//!
//! | module | what |
//! |---|---|
//! | [`embedded`] | in this process, on disk or in memory: the default, nothing to install |
//! | [`jetstream`] | on NATS servers that a cluster shares |
//! | [`served`] | at another node of the cluster, over libp2p |
//! | `checks` | what every store refuses |
//! | `limited` | consumers that take no faster than they may |
//! | `subject` | subjects and filters, shared by every store |
//! | `names` | what streams, consumers, buckets and keys may be called |

pub(crate) mod checks;
pub mod embedded;
#[cfg(feature = "nats")]
pub mod jetstream;
pub(crate) mod limited;
pub(crate) mod names;
#[cfg(feature = "libp2p")]
pub mod served;
pub(crate) mod subject;

pub use embedded::{Embedded, OpenError};
#[cfg(feature = "nats")]
pub use jetstream::{JetStream, JetStreamCounts, JetStreamOptions};
#[cfg(feature = "libp2p")]
pub use served::{ServeError, Served, StoreServer};
