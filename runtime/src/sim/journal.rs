//! The event log: one line for everything that happens, the same bytes for the same seed.
//!
//! A line has the virtual time in seconds, the node, and what happened. It never holds what differs from one process
//! to the next: no memory address, no id of an actor, no order of a hash table.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::world::{Clock, FNV_BASIS, fnv};

/// Bytes of text that are kept: some two million events. Older lines are let go then; the hash goes on over all.
const TEXT_MAX: usize = 128 * 1024 * 1024;

/// Who writes when it is no node.
pub(super) const DRIVER: &str = "sim";

/// Where every part of a simulation writes.
#[derive(Clone)]
pub(super) struct Journal {
    clock: Clock,
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    text: String,
    hash: u64,
    count: u64,
}

impl Journal {
    pub(super) fn new(clock: Clock) -> Journal {
        Journal {
            clock,
            lines: Arc::new(Mutex::new(Lines { text: String::new(), hash: FNV_BASIS, count: 0 })),
        }
    }

    /// Adds a line. What is written must not contain a line break; those of users are replaced.
    pub(super) fn add(&self, who: &str, what: fmt::Arguments<'_>) {
        let now = self.clock.now();
        let line = format!("{:>5}.{:03} {who:<6} {what}", now / 1_000, now % 1_000).replace('\n', " / ");
        let mut lines = self.lines.lock();
        lines.hash = fnv(fnv(lines.hash, line.as_bytes()), b"\n");
        lines.count += 1;
        if lines.text.len() + line.len() >= TEXT_MAX {
            lines.forget_half();
        }
        lines.text.push_str(&line);
        lines.text.push('\n');
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().text.clone()
    }

    pub(super) fn hash(&self) -> u64 {
        self.lines.lock().hash
    }

    pub(super) fn count(&self) -> u64 {
        self.lines.lock().count
    }
}

impl Lines {
    fn forget_half(&mut self) {
        let half = self.text.floor_char_boundary(self.text.len() / 2);
        let end = self.text[half..].find('\n').map_or(self.text.len(), |at| half + at + 1);
        self.text.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line is stamped, and no text of a user's can make two of one.
    #[test]
    fn one_line_an_event() {
        let clock = Clock::default();
        let journal = Journal::new(clock.clone());
        clock.advance(1_234);
        journal.add("a", format_args!("said {}", "one\ntwo"));
        assert_eq!(journal.text(), "    1.234 a      said one / two\n");
        assert_eq!(journal.count(), 1);
    }
}
