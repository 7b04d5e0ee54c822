//! Hearing that something arrived in a stream, without reading it.

use async_trait::async_trait;
use connectome_codecs::Sequence;

use super::{Stored, StreamError, Tail};

/// Hears of the messages of a stream.
#[async_trait]
pub trait Arrivals: Send {
    /// Hears from now on of the messages whose subject matches `filter`, beside those it heard of before. It may be told of
    /// others too.
    async fn listen(&mut self, filter: &str) -> Result<(), StreamError>;

    /// The next arrival; waits for it. Dropping the future loses nothing. A message may be told of twice.
    async fn next(&mut self) -> Result<Arrival, StreamError>;
}

/// That something has arrived in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// This message is stored, and can be read.
    Stored {
        /// Its subject.
        subject: String,
        /// Where it stands.
        sequence: Sequence,
    },
    /// Some from this sequence on may not have been told of, or none: look.
    Missed {
        /// The first of them.
        from: Sequence,
    },
    /// The stream was removed and made again: its sequences begin anew.
    Anew,
}

/// Arrivals where the bodies cost nothing: in process.
pub(super) fn by_tail(tail: Box<dyn Tail>) -> Box<dyn Arrivals> {
    Box::new(ByTail(tail))
}

struct ByTail(Box<dyn Tail>);

#[async_trait]
impl Arrivals for ByTail {
    async fn listen(&mut self, _filter: &str) -> Result<(), StreamError> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Arrival, StreamError> {
        loop {
            match self.0.next().await {
                Ok(Stored { subject, sequence, .. }) => return Ok(Arrival::Stored { subject, sequence }),
                // What was removed meanwhile is nobody's any more.
                Err(StreamError::Gap { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
