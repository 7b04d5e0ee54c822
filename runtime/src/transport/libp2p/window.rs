//! How much may be under way to a peer, pure: what was sent and is not yet off the receiver's hands.
//!
//! Frames count, and bytes, small frames apart from large ones: while large ones have used up their bytes, small ones still
//! go, and what goes before them is never more than the large ones' share. The receiver tells totals.

use std::collections::VecDeque;

use connectome_codecs::limits::FRAME_MAX;

use super::wire::Hello;

/// Frames under way to one peer, at the most: at a million a second this is 4 ms, about as long as a busy scheduler lets a
/// reader wait. Every credit is then for 1,024 frames.
pub const WINDOW_FRAMES_MAX: usize = 4_096;

/// Bytes of large frames under way to one peer, and as many of small ones. Two of the largest frames: a link is never idle
/// while the next one is made, and what goes before a small frame takes some 6 ms at 300 MB a second. The frame that
/// reaches the bound is taken, the next one is not.
pub const WINDOW_BYTES_MAX: usize = 2 * FRAME_MAX;

/// A frame up to this size is small: a call and its answer are, a document is not.
pub const SMALL_FRAME_MAX: usize = 16 * 1024;

/// What a receiver lets a sender have under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Bounds {
    /// Ours, or the peer's where that is less. `None`: it lets us send nothing at all.
    pub(super) fn with(hello: &Hello) -> Option<Bounds> {
        let frames = WINDOW_FRAMES_MAX.min(hello.window_frames as usize);
        let bytes = WINDOW_BYTES_MAX.min(hello.window_bytes as usize);
        (frames > 0 && bytes > 0).then_some(Bounds { frames, bytes })
    }
}

/// The sender's side of one link.
#[derive(Debug)]
pub(super) struct Sending {
    bounds: Bounds,
    sent: u64,
    /// The sizes of frames that the receiver has not told of, the oldest first.
    unread: VecDeque<usize>,
    small_bytes: usize,
    large_bytes: usize,
}

impl Sending {
    pub(super) fn new(bounds: Bounds) -> Sending {
        Sending { bounds, sent: 0, unread: VecDeque::new(), small_bytes: 0, large_bytes: 0 }
    }

    /// Whether a frame of this size may be sent.
    pub(super) fn has_room_for(&self, size: usize) -> bool {
        let bytes = if size <= SMALL_FRAME_MAX { self.small_bytes } else { self.large_bytes };
        self.unread.len() < self.bounds.frames && bytes < self.bounds.bytes
    }

    /// Whether a frame of any size may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(0) && self.has_room_for(FRAME_MAX)
    }

    /// Takes up room for a frame.
    pub(super) fn take(&mut self, size: usize) {
        self.sent += 1;
        self.unread.push_back(size);
        *self.bytes_of(size) += size;
    }

    /// The receiver has read so many frames since the link came up. Whether that makes room where there was none. What is
    /// not true (more than was sent, less than was told) changes nothing.
    pub(super) fn read(&mut self, total: u64) -> bool {
        if total > self.sent {
            return false;
        }
        let had_room = self.has_room();
        while self.sent - (self.unread.len() as u64) < total
            && let Some(size) = self.unread.pop_front()
        {
            *self.bytes_of(size) -= size;
        }
        !had_room && self.has_room()
    }

    /// Frames that may be under way.
    pub(super) fn bound(&self) -> usize {
        self.bounds.frames
    }

    fn bytes_of(&mut self, size: usize) -> &mut usize {
        if size <= SMALL_FRAME_MAX { &mut self.small_bytes } else { &mut self.large_bytes }
    }
}

/// Whether a sender has more under way than a receiver with the bounds above lets it have.
pub(super) fn is_overrun(frames: u64, bytes: u64) -> bool {
    frames > WINDOW_FRAMES_MAX as u64 || bytes > (2 * (WINDOW_BYTES_MAX + FRAME_MAX)) as u64
}

/// Whether the sender should hear of what was read since it last did: after a quarter of the window, so that one who is kept
/// supplied never waits.
pub(super) fn is_telling_due(frames: u64, bytes: u64) -> bool {
    frames >= WINDOW_FRAMES_MAX as u64 / 4 || bytes >= WINDOW_BYTES_MAX as u64 / 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sending() -> Sending {
        Sending::new(Bounds { frames: WINDOW_FRAMES_MAX, bytes: WINDOW_BYTES_MAX })
    }

    #[test]
    fn large_frames_leave_room_for_small_ones() {
        let mut sending = sending();
        for _ in 0..2 {
            assert!(sending.has_room_for(FRAME_MAX));
            sending.take(FRAME_MAX);
        }
        assert!(!sending.has_room_for(FRAME_MAX) && !sending.has_room() && sending.has_room_for(64));
        assert!(sending.read(1) && sending.has_room_for(FRAME_MAX));
    }

    #[test]
    fn a_receiver_that_says_what_is_not_so_changes_nothing() {
        let mut sending = sending();
        (0..WINDOW_FRAMES_MAX).for_each(|_| sending.take(1));
        assert!(!sending.read(WINDOW_FRAMES_MAX as u64 + 1) && !sending.has_room());
        assert!(sending.read(10) && !sending.read(5));
        assert_eq!(sending.unread.len(), WINDOW_FRAMES_MAX - 10);
    }

    proptest! {
        /// Whoever keeps to the sender's side is no overrun at the receiver's, and all room comes back.
        #[test]
        fn both_sides_agree(sizes in proptest::collection::vec(0..=FRAME_MAX, 1..400)) {
            let mut sending = sending();
            let (mut frames, mut bytes) = (0, 0);
            for size in sizes {
                if sending.has_room_for(size) {
                    sending.take(size);
                    frames += 1;
                    bytes += size as u64;
                }
                prop_assert!(!is_overrun(frames, bytes));
            }
            sending.read(frames);
            prop_assert!(sending.has_room() && sending.small_bytes == 0 && sending.large_bytes == 0);
        }
    }
}
