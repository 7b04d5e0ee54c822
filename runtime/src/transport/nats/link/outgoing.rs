//! What was sent over a link and is not yet off the receiver's hands: the window that a slow receiver closes.
//!
//! The receiver tells totals, not differences, so a credit that is lost costs nothing but time.

use std::collections::VecDeque;

use crate::transport::local::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

/// The sender's side. It holds sizes, not frames: what is lost is not sent again.
#[derive(Debug, Default)]
pub(in super::super) struct Outgoing {
    /// Frames sent since the link came up.
    sent: u64,
    /// The sizes of those that the receiver has not told of, the oldest first; at most [`QUEUE_FRAMES_MAX`].
    unread: VecDeque<usize>,
    bytes: usize,
}

impl Outgoing {
    /// Whether a frame may be sent. The one that reaches the bound of bytes is taken, the next one is not.
    pub(in super::super) fn has_room(&self) -> bool {
        self.unread.len() < QUEUE_FRAMES_MAX && self.bytes < QUEUE_BYTES_MAX
    }

    /// Takes up room for a frame. Its number.
    pub(in super::super) fn take(&mut self, size: usize) -> u64 {
        let sequence = self.sent;
        self.sent += 1;
        self.bytes += size;
        self.unread.push_back(size);
        sequence
    }

    /// The receiver has read all frames before this one. Whether that makes room where there was none. What is not true
    /// (a number beyond what was sent, or behind what was told) changes nothing.
    pub(in super::super) fn read(&mut self, before: u64) -> bool {
        if before > self.sent {
            return false;
        }
        let had_room = self.has_room();
        while self.sent - (self.unread.len() as u64) < before
            && let Some(size) = self.unread.pop_front()
        {
            self.bytes -= size;
        }
        !had_room && self.has_room()
    }

    /// Frames sent since the link came up.
    pub(in super::super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Frames that the receiver has not told of.
    pub(in super::super) fn unread(&self) -> usize {
        self.unread.len()
    }
}
