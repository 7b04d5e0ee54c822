//! What was sent and perhaps not read: kept for as long as its way may turn out to have been cut.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Frames that are kept for one peer: as many as libp2p has under way to a peer that does not read.
const FRAMES_MAX: usize = 4_096;

/// Their bytes: as many as libp2p has under way.
const BYTES_MAX: usize = 5 * 1024 * 1024;

/// How long one is kept: a cut is noticed within 6 s.
const KEPT_FOR: Duration = Duration::from_secs(8);

/// The last frames of a stint.
#[derive(Debug, Default)]
pub(super) struct Kept {
    frames: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// Frames of this stint, those that are not kept included.
    sent: u64,
}

impl Kept {
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn add(&mut self, frame: Bytes, now: Instant) {
        self.sent += 1;
        self.bytes += frame.len();
        self.frames.push_back((now, frame));
        while self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX {
            self.forget_one();
        }
        self.tend(now);
    }

    /// Forgets what is too old.
    pub(super) fn tend(&mut self, now: Instant) {
        while self.frames.front().is_some_and(|(sent, _)| now.duration_since(*sent) > KEPT_FOR) {
            self.forget_one();
        }
    }

    /// Forgets the frames, and not how many there were.
    pub(super) fn forget(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// Ends the stint: the frames behind the first `read`, the oldest first, and how many of them are not kept any more.
    pub(super) fn unread(&mut self, read: u64) -> (VecDeque<Bytes>, u64) {
        let before = self.sent - self.frames.len() as u64;
        let known = read.saturating_sub(before).min(self.frames.len() as u64) as usize;
        let unread = self.frames.drain(known..).map(|(_, frame)| frame).collect();
        *self = Kept::default();
        (unread, before.saturating_sub(read))
    }

    fn forget_one(&mut self) {
        if let Some((_, frame)) = self.frames.pop_front() {
            self.bytes -= frame.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(frames: u64) -> Kept {
        let mut kept = Kept::default();
        (0..frames).for_each(|at| kept.add(Bytes::copy_from_slice(&at.to_be_bytes()), Instant::now()));
        kept
    }

    /// What was not read comes back, and what is gone is told.
    #[tokio::test(start_paused = true)]
    async fn the_unread_come_back_in_order() {
        assert_eq!(kept(10).unread(10), (VecDeque::new(), 0));
        let (unread, missing) = kept(10).unread(7);
        assert_eq!((unread[0].as_ref(), unread.len(), missing), (&7_u64.to_be_bytes()[..], 3, 0));
        let (unread, missing) = kept(FRAMES_MAX as u64 + 5).unread(2);
        assert_eq!((unread.len(), missing), (FRAMES_MAX, 3));
    }

    /// Nothing is kept for longer than a cut may take to be noticed.
    #[tokio::test(start_paused = true)]
    async fn the_old_are_forgotten() {
        let mut kept = kept(3);
        tokio::time::advance(KEPT_FOR * 2).await;
        kept.tend(Instant::now());
        assert_eq!((kept.unread(1), kept.bytes), ((VecDeque::new(), 2), 0));
    }
}
