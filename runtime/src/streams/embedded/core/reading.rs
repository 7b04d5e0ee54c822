//! A message as it leaves the core: its body is in hand, or still to be read from the disk.

use bytes::Bytes;
use connectome_actors::port::Stored;
use connectome_codecs::Sequence;

use super::record::{MessageHead, Place};

/// Bodies that one call may bring into memory, in bytes: eight of the largest. One message is always allowed.
pub(crate) const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A message that was looked up.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) sequence: u64,
    pub(crate) head: MessageHead,
    /// `None`: the disk has it.
    pub(crate) body: Option<Bytes>,
}

impl Seen {
    /// The message as the port gives it.
    pub(crate) fn with_body(self, body: Bytes) -> Stored {
        let MessageHead { subject, id, at, size: _ } = self.head;
        Stored { sequence: Sequence(self.sequence), subject: subject.as_ref().to_owned(), id, at, body }
    }
}
