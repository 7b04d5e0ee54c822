//! What two nodes say to each other between frames when they change the way: marks, pure.
//!
//! ```text
//! mark = magic: 16 ‖ 1 ‖ life: 8 ‖ stint: 8                                             a stint begins on this way
//!      | magic: 16 ‖ 2 ‖ life: 8 ‖ stint: 8 ‖ left: 8 ‖ sent: 8 ‖ from: 1 ‖ to: 1       may one begin on that way?
//!      | magic: 16 ‖ 3 ‖ life: 8 ‖ stint: 8 ‖ read: 8                                   it may; so much was read
//! ```
//!
//! Numbers are big-endian; a way is 0 (direct) or 1 (by the broker). The magic and the exact length tell a mark from a frame,
//! so frames need no header, and a node that has one way never meets a mark: it is only said to those who were reached both
//! ways, or were left by one of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::way::Way;

/// Random once, and never what a frame of a node begins with: those begin with the version, 1.
const MAGIC: [u8; 16] = *b"\xf3\x9c\x11\xd2cnx-way\x8e\x04\xb7\x6a\x2d";

const BEGIN: u8 = 1;
const ASK: u8 = 2;
const ANSWER: u8 = 3;

const BEGIN_SIZE: usize = 33;
const ASK_SIZE: usize = 51;
const ANSWER_SIZE: usize = 41;

/// What is read instead of a count that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Frames that a sender sends one way before it changes: numbered from 1 within its life.
pub(super) type Stint = u64;

/// Something between the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// What follows on this way is of a new stint.
    Begin {
        /// The sender's process.
        life: u64,
        stint: Stint,
    },
    /// Asks to go on another way.
    Ask(Ask),
    /// The way is free. Of the stint before, so many frames were read, and no more will be; `None`: nobody has counted.
    Answer {
        /// Of whoever asked.
        life: u64,
        stint: Stint,
        read: Option<u64>,
    },
}

/// May a stint begin?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) life: u64,
    /// The one that is to begin.
    pub(super) stint: Stint,
    /// The one that has ended; 0: one without a number.
    pub(super) left: Stint,
    /// Frames that it had.
    pub(super) sent: u64,
    pub(super) from: Way,
    pub(super) to: Way,
}

impl Mark {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(ASK_SIZE);
        bytes.put_slice(&MAGIC);
        match self {
            Mark::Begin { life, stint } => put(&mut bytes, BEGIN, &[*life, *stint]),
            Mark::Ask(Ask { life, stint, left, sent, from, to }) => {
                put(&mut bytes, ASK, &[*life, *stint, *left, *sent]);
                bytes.put_slice(&[from.at() as u8, to.at() as u8]);
            }
            Mark::Answer { life, stint, read } => {
                put(&mut bytes, ANSWER, &[*life, *stint, read.unwrap_or(UNKNOWN)]);
            }
        }
        bytes.freeze()
    }

    /// The mark that these bytes are, if they are one.
    pub(super) fn decode(frame: &Bytes) -> Option<Mark> {
        let mut rest = frame.strip_prefix(&MAGIC)?;
        let kind = rest.try_get_u8().ok()?;
        match (kind, frame.len()) {
            (BEGIN, BEGIN_SIZE) => Some(Mark::Begin { life: rest.get_u64(), stint: rest.get_u64() }),
            (ASK, ASK_SIZE) => {
                let [life, stint, left, sent] = [(); 4].map(|()| rest.get_u64());
                let (from, to) = (way(rest.get_u8())?, way(rest.get_u8())?);
                Some(Mark::Ask(Ask { life, stint, left, sent, from, to }))
            }
            (ANSWER, ANSWER_SIZE) => {
                let [life, stint, read] = [(); 3].map(|()| rest.get_u64());
                Some(Mark::Answer { life, stint, read: (read != UNKNOWN).then_some(read) })
            }
            _ => None,
        }
    }
}

fn put(bytes: &mut BytesMut, kind: u8, numbers: &[u64]) {
    bytes.put_u8(kind);
    numbers.iter().for_each(|number| bytes.put_u64(*number));
}

fn way(byte: u8) -> Option<Way> {
    Way::BOTH.into_iter().find(|way| way.at() == usize::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mark comes back as it went, and no other bytes are one.
    #[test]
    fn a_mark_comes_back_as_it_went() {
        let ask = Ask { life: 1, stint: 2, left: 3, sent: 4, from: Way::Broker, to: Way::Direct };
        let answers = [Some(5), None].map(|read| Mark::Answer { life: 1, stint: 2, read });
        for mark in [Mark::Begin { life: 1, stint: 2 }, Mark::Ask(ask)].into_iter().chain(answers) {
            let bytes = mark.encode();
            assert_eq!(Mark::decode(&bytes), Some(mark));
            assert_eq!(Mark::decode(&bytes.slice(..bytes.len() - 1)), None);
            assert_eq!(Mark::decode(&[&bytes[..], &[0]].concat().into()), None);
        }
    }

    proptest! {
        /// Whatever begins like a mark is one or none, and never a panic.
        #[test]
        fn any_bytes_are_a_mark_or_none(rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from([&MAGIC[..], &rest].concat());
            if let Some(mark) = Mark::decode(&bytes) {
                prop_assert_eq!(mark.encode(), bytes);
            }
        }
    }
}
