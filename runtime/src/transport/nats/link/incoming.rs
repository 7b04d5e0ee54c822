//! What arrives over a link: each frame once, in order, and how many are missing.
//!
//! NATS keeps the order of one connection, so a number that was skipped is lost. Frames that a sender has no room for
//! are not taken; their numbers are missing, too.

use bytes::{Bytes, BytesMut};
use connectome_codecs::limits::FRAME_MAX;

use crate::transport::local::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

/// The receiver tells what it has read after this part of the window, so that a sender who is kept supplied never waits, and
/// a message that says only this is one in 256 frames.
const CREDIT_FRAMES: u64 = QUEUE_FRAMES_MAX as u64 / 4;
const CREDIT_BYTES: usize = QUEUE_BYTES_MAX / 4;

/// The receiver's side.
#[derive(Debug, Default)]
pub(in super::super) struct Incoming {
    /// The number of the frame that is due.
    next: u64,
    /// All frames before this one were read or are lost.
    read: u64,
    /// What the sender was told of that.
    told: u64,
    /// Bytes that arrived and were not read.
    unread_bytes: usize,
    /// Bytes that were read since the sender was told.
    untold_bytes: usize,
    partial: Option<Partial>,
}

/// A frame of which the beginning has arrived. Its number is the one that is due.
#[derive(Debug)]
struct Partial {
    size: usize,
    bytes: BytesMut,
}

/// Where a part belongs.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Place {
    pub(in super::super) offset: u32,
    /// Of the whole frame.
    pub(in super::super) size: u32,
}

/// What a message came to.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Arrival {
    /// Frames that turned out to be missing before it.
    pub(in super::super) missing: u64,
    pub(in super::super) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Outcome {
    /// A frame is here.
    Frame(Bytes),
    /// A part is here, and the frame not whole yet.
    Part,
    /// It has been here before.
    Duplicate,
    /// A part whose beginning is missing.
    Torn,
    /// More than the sender has room for, or larger than a frame may be.
    Overrun,
}

impl Incoming {
    /// A frame in one piece.
    pub(in super::super) fn whole(&mut self, sequence: u64, frame: Bytes) -> Arrival {
        match self.advance(sequence) {
            Ok(missing) => Arrival { missing, outcome: self.arrived(frame) },
            Err(outcome) => Arrival { missing: 0, outcome },
        }
    }

    /// A part of a frame.
    pub(in super::super) fn part(&mut self, sequence: u64, place: Place, bytes: &[u8]) -> Arrival {
        let (offset, size) = (place.offset as usize, place.size as usize);
        if size > FRAME_MAX || offset + bytes.len() > size {
            return Arrival { missing: 0, outcome: Outcome::Overrun };
        }
        match self.advance(sequence) {
            Ok(missing) => Arrival { missing, outcome: self.add(offset, size, bytes) },
            Err(outcome) => Arrival { missing: 0, outcome },
        }
    }

    /// The sender has sent so many frames by now. How many of them are missing.
    pub(in super::super) fn sent(&mut self, total: u64) -> u64 {
        if total > self.window_end() { 0 } else { self.skip_to(total) }
    }

    /// The reader has taken everything before this number, the last of it of this size. Whether the sender should hear of it.
    pub(in super::super) fn taken(&mut self, before: u64, size: usize) -> bool {
        self.read = self.read.max(before);
        self.unread_bytes -= size;
        self.untold_bytes += size;
        self.read - self.told >= CREDIT_FRAMES || self.untold_bytes >= CREDIT_BYTES
    }

    /// What the sender is to be told now.
    pub(in super::super) fn tell(&mut self) -> u64 {
        self.told = self.read;
        self.untold_bytes = 0;
        self.read
    }

    /// The number of the frame that is due.
    pub(in super::super) fn next(&self) -> u64 {
        self.next
    }

    /// Makes this number the one that is due, if its sender may use it. How many were skipped.
    fn advance(&mut self, sequence: u64) -> Result<u64, Outcome> {
        if sequence < self.next {
            return Err(Outcome::Duplicate);
        }
        if sequence >= self.window_end() || self.unread_bytes >= QUEUE_BYTES_MAX {
            return Err(Outcome::Overrun);
        }
        Ok(self.skip_to(sequence))
    }

    fn skip_to(&mut self, sequence: u64) -> u64 {
        let missing = sequence.saturating_sub(self.next);
        if missing > 0 {
            self.partial = None;
            self.next = sequence;
        }
        missing
    }

    /// Puts a part of the frame that is due behind what is there of it.
    fn add(&mut self, offset: usize, size: usize, bytes: &[u8]) -> Outcome {
        if offset == 0 && self.partial.is_none() {
            self.partial = Some(Partial { size, bytes: BytesMut::with_capacity(size) });
        }
        let Some(mut partial) = self.partial.take() else {
            return Outcome::Torn;
        };
        let outcome = match partial.bytes.len() {
            has if has == offset && partial.size == size => Outcome::Part,
            has if has > offset => Outcome::Duplicate,
            _ => Outcome::Torn,
        };
        if outcome == Outcome::Part {
            partial.bytes.extend_from_slice(bytes);
        }
        if partial.bytes.len() == partial.size {
            return self.arrived(partial.bytes.freeze());
        }
        self.partial = Some(partial);
        outcome
    }

    /// The frame that is due is whole.
    fn arrived(&mut self, frame: Bytes) -> Outcome {
        self.partial = None;
        self.next += 1;
        self.unread_bytes += frame.len();
        Outcome::Frame(frame)
    }

    /// The first number that a sender who keeps to its window does not use yet.
    fn window_end(&self) -> u64 {
        self.read + QUEUE_FRAMES_MAX as u64
    }
}
