//! Group commit: everything that was asked for while the disk was busy goes to it in one batch, with one wait.
//!
//! Operations change the core at once and queue their rows here, in the same order and under the same lock. One
//! thread takes the whole queue, writes it as one atomic batch, and tells how far the disk has come. Whoever promised
//! durability waits for that; the lock is not held meanwhile, so reads and further writes go on.
//!
//! A batch that holds something durable is forced to the disk (`fdatasync`); one of acknowledgements only is handed
//! to the operating system, which keeps it over `kill -9`. When a batch fails, nothing more is written: what the
//! failed batch held is answered with [`StreamError::Unknown`], everything later with [`StreamError::Unavailable`].

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::StreamError;

use super::core::effects::{Appended, Effects};
use super::core::record::Write;

/// Rows that may wait for the disk, in bytes; who wants to add more waits for room. Twice what a disk of 100 MB/s
/// takes in the 300 ms of a slow `fdatasync`.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the writer waits for those it has just answered, who are about to ask again: a fraction of what the disk
/// takes. Without it, the first one back would go to the disk alone and all others would wait for it.
pub(crate) const GATHER: Duration = Duration::from_micros(200);

/// How far the disk must come for an operation to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What an operation asks of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// To survive the loss of power, once the ticket is settled.
    Durable,
    /// To survive `kill -9`, once the ticket is settled.
    Written,
}

/// Rows on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    batch: Batch,
    weight: usize,
    issued: u64,
    /// Operations in the batch that someone waits for.
    awaited: usize,
    /// How many it was lately.
    expected: usize,
}

/// What the disk is given at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<Write>,
    pub(crate) appended: Vec<Appended>,
    pub(crate) durable: bool,
}

/// How far the disk has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    settled: u64,
    failure: Option<Failure>,
}

/// Why the disk goes no further.
#[derive(Debug, Clone)]
struct Failure {
    /// The last operation whose rows may be on the disk.
    attempted: u64,
    cause: Arc<str>,
}

impl Queue {
    /// Adds what an operation wants written. Without rows, its ticket is that of what came before it.
    pub(crate) fn push(&mut self, effects: &mut Effects, urgency: Urgency) -> Ticket {
        if !effects.writes.is_empty() {
            self.issued += 1;
            self.weight += effects.writes.iter().map(Write::weight).sum::<usize>();
            self.batch.writes.append(&mut effects.writes);
            self.batch.appended.append(&mut effects.appended);
            let is_awaited = urgency == Urgency::Durable;
            self.batch.durable |= is_awaited;
            self.awaited += usize::from(is_awaited);
        }
        Ticket(self.issued)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.writes.is_empty()
    }

    /// Whether more may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.weight < QUEUE_BYTES_MAX
    }

    /// Whether as many wait as lately did, so that waiting for more is not worth it.
    pub(crate) fn is_gathered(&self) -> bool {
        !self.batch.durable || self.awaited >= self.expected
    }

    /// Everything that waits, and the ticket it settles.
    pub(crate) fn take(&mut self) -> (Batch, Ticket) {
        self.weight = 0;
        if self.batch.durable {
            self.expected = self.awaited.max(self.expected - self.expected.div_ceil(8));
        }
        self.awaited = 0;
        (std::mem::take(&mut self.batch), Ticket(self.issued))
    }

    /// The ticket of the newest operation.
    pub(crate) fn newest(&self) -> Ticket {
        Ticket(self.issued)
    }
}

impl Progress {
    /// The disk has come up to here.
    pub(crate) fn settle(&mut self, ticket: Ticket) {
        self.settled = self.settled.max(ticket.0);
    }

    /// The disk goes no further; `attempted` was the last it was given.
    pub(crate) fn fail(&mut self, attempted: Ticket, cause: &str) {
        self.failure.get_or_insert_with(|| Failure { attempted: attempted.0, cause: cause.into() });
    }

    /// Whether more can be written.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] with the cause.
    pub(crate) fn check(&self) -> Result<(), StreamError> {
        match &self.failure {
            Some(failure) => Err(StreamError::Unavailable(failure.cause.to_string())),
            None => Ok(()),
        }
    }

    /// What became of an operation: `None` while the disk is at it.
    pub(crate) fn outcome(&self, ticket: Ticket) -> Option<Result<(), StreamError>> {
        if ticket.0 <= self.settled {
            return Some(Ok(()));
        }
        let failure = self.failure.as_ref()?;
        let cause = failure.cause.to_string();
        let attempted = ticket.0 <= failure.attempted;
        Some(Err(if attempted { StreamError::Unknown(cause) } else { StreamError::Unavailable(cause) }))
    }
}
