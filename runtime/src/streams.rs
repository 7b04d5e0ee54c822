//! Where streams and buckets are kept: the implementations of [`connectome_actors::port::Streams`].
//!
//! | module | what |
//! |---|---|
//! | [`embedded`] | in this process, on disk or in memory: the default, nothing to install |
//! | [`jetstream`] | on NATS servers that a cluster shares |
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
pub(crate) mod subject;

pub use embedded::{Embedded, OpenError};
#[cfg(feature = "nats")]
pub use jetstream::{JetStream, JetStreamCounts, JetStreamOptions};
