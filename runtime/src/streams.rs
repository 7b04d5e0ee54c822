//! Where streams and buckets are kept: the implementations of [`connectome_actors::port::Streams`].
//!
//! | module | what |
//! |---|---|
//! | [`embedded`] | in this process, on disk or in memory: the default, nothing to install |
//! | `subject` | subjects and filters, shared by every store |
//! | `names` | what streams, consumers, buckets and keys may be called |

pub mod embedded;
pub(crate) mod names;
pub(crate) mod subject;

pub use embedded::{Embedded, OpenError};
