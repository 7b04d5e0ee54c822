//! Which bodies are held in memory though the disk has them: the newest, up to a bound.
//!
//! Most messages are taken right after they were published; these never cost a read.

use std::collections::VecDeque;

use super::effects::Appended;

/// Bodies held in memory, in bytes: a second of traffic of 256 B at 100,000 a second. Bodies that were removed
/// meanwhile are counted until their turn comes, so what is really held is less.
pub(crate) const RECENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bodies held in memory by number, so that empty ones don't pile up in the queue.
pub(crate) const RECENT_MAX: usize = 64 * 1024;

/// The queue of held bodies, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    queue: VecDeque<Appended>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn hold(&mut self, body: Appended) {
        self.bytes += body.size;
        self.queue.push_back(body);
    }

    /// One that is too many, if there is one.
    pub(crate) fn let_go(&mut self) -> Option<Appended> {
        if self.bytes <= RECENT_BYTES_MAX && self.queue.len() <= RECENT_MAX {
            return None;
        }
        let body = self.queue.pop_front()?;
        self.bytes -= body.size;
        Some(body)
    }
}
