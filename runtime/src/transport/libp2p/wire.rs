//! The bytes on a link, pure: units, one behind the other, each with its length before it.
//!
//! [`Decoder`] takes bytes as they come and gives units; it holds at most one unit that is not whole. It does not wait, and
//! knows nothing of connections. The format is specified in `transport/libp2p.rs`.

use bytes::Bytes;
use connectome_codecs::limits::{FRAME_BEFORE_AUTHENTICATION_MAX, FRAME_MAX};

mod decoder;
mod hello;

pub(super) use decoder::Decoder;
pub(super) use hello::{Hello, Proof};

/// What stands before each unit: its length, four bytes, and its kind.
pub(super) const HEAD_BYTES: usize = 5;

/// The longest list of addresses: 64 nodes with four addresses of 60 bytes each, or fewer with more.
pub(super) const ADDRESSES_BYTES_MAX: usize = 16 * 1024;

/// The longest farewell: a number and a short reason.
const FAREWELL_BYTES_MAX: usize = 256;

const HELLO: u8 = 1;
const FRAME: u8 = 2;
const READ: u8 = 3;
const FAREWELL: u8 = 4;
const ADDRESSES: u8 = 5;
const MOVED: u8 = 6;

/// One thing that is said on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// Who speaks, and whether it may. The first unit, and only that.
    Hello(Bytes),
    /// A frame of those above.
    Frame(Bytes),
    /// How many frames the sender of this has read since the link came up. It also says: I am here.
    Read(u64),
    /// Nothing follows; why, in words.
    Farewell(Bytes),
    /// Where nodes can be dialled.
    Addresses(Bytes),
    /// Nothing follows here: the link goes on, on the stream that it was given for that.
    Moved,
    /// Of a later version: left.
    Unknown,
}

/// Why bytes are no units.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Longer than units of its kind may be.
    #[error("a unit of kind {kind} with {length} bytes; at most {max}")]
    TooLong { kind: u8, length: usize, max: usize },
    /// Not as long as units of its kind are.
    #[error("a unit of kind {kind} with {length} bytes, which is not how long it is")]
    Length { kind: u8, length: usize },
    /// Something else came before the hello.
    #[error("a unit of kind {0} before the hello")]
    BeforeHello(u8),
}

/// How much of a peer is known by the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has yet to say who it is.
    Stranger,
    /// It has.
    Known,
}

/// The most bytes behind the head of a unit of this kind.
fn longest(kind: u8, stage: Stage) -> Result<usize, Malformed> {
    match (stage, kind) {
        (Stage::Stranger, HELLO | FAREWELL) => Ok(FRAME_BEFORE_AUTHENTICATION_MAX - HEAD_BYTES),
        (Stage::Stranger, other) => Err(Malformed::BeforeHello(other)),
        (Stage::Known, FRAME) => Ok(FRAME_MAX),
        (Stage::Known, ADDRESSES) => Ok(ADDRESSES_BYTES_MAX),
        (Stage::Known, READ) => Ok(8),
        (Stage::Known, MOVED) => Ok(0),
        (Stage::Known, FAREWELL) => Ok(FAREWELL_BYTES_MAX),
        (Stage::Known, _) => Ok(FRAME_BEFORE_AUTHENTICATION_MAX - HEAD_BYTES),
    }
}

/// What a whole unit says.
fn unit(kind: u8, rest: Bytes) -> Result<Unit, Malformed> {
    Ok(match kind {
        HELLO => Unit::Hello(rest),
        FRAME => Unit::Frame(rest),
        READ => {
            let length = rest.len();
            let number = rest.as_ref().try_into().map_err(|_| Malformed::Length { kind, length })?;
            Unit::Read(u64::from_be_bytes(number))
        }
        FAREWELL => Unit::Farewell(rest),
        ADDRESSES => Unit::Addresses(rest),
        MOVED => Unit::Moved,
        _ => Unit::Unknown,
    })
}

/// Puts the head of a unit behind what is there.
fn put_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.push(kind);
}

/// Puts the head of a frame behind what is there; the frame follows.
pub(super) fn put_frame_head(out: &mut Vec<u8>, length: usize) {
    put_head(out, FRAME, length);
}

/// Puts a hello behind what is there.
pub(super) fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    let rest = hello.encode();
    put_head(out, HELLO, rest.len());
    out.extend_from_slice(&rest);
}

/// Says how many frames were read.
pub(super) fn put_read(out: &mut Vec<u8>, frames: u64) {
    put_head(out, READ, 8);
    out.extend_from_slice(&frames.to_be_bytes());
}

/// Says that nothing follows, and why.
pub(super) fn put_farewell(out: &mut Vec<u8>, why: &str) {
    let why = &why[..why.floor_char_boundary(FAREWELL_BYTES_MAX)];
    put_head(out, FAREWELL, why.len());
    out.extend_from_slice(why.as_bytes());
}

/// Says that the link goes on, on its next stream.
pub(super) fn put_moved(out: &mut Vec<u8>) {
    put_head(out, MOVED, 0);
}

/// Says where nodes can be dialled: what [`addresses`](super::addresses) has encoded, of at most [`ADDRESSES_BYTES_MAX`].
pub(super) fn put_addresses(out: &mut Vec<u8>, encoded: &[u8]) {
    put_head(out, ADDRESSES, encoded.len());
    out.extend_from_slice(encoded);
}

#[cfg(test)]
mod tests;
