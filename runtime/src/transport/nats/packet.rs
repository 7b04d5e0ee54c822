//! What nodes say to each other in one NATS message, byte by byte. `transport/nats.rs` has the table of the bytes.
//!
//! It knows neither links nor subjects, and checks no signature: it tells which bytes one is over.

use bytes::{BufMut, Bytes, BytesMut};
use connectome_codecs::NodeId;

/// What every packet begins with: a letter that no text protocol of ours begins with, and the version of the link protocol.
const MAGIC: u8 = b'C';
pub(super) const VERSION: u8 = 1;

/// Bytes in front of a frame: magic, version, kind, token, sequence, read.
pub(super) const DATA_HEADER: usize = 3 + 16 + 8 + 8;

/// Bytes in front of a part of a frame: the same, offset and size.
pub(super) const PART_HEADER: usize = DATA_HEADER + 4 + 4;

const SIGNATURE: usize = 64;

/// Which life of a node: random for each transport that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Incarnation(pub(super) u64);

/// What the receiver of a link calls it: random, so that nobody who was not told can use it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(pub(super) u128);

/// A token lets its holder send as somebody: it is not for a log.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Everything that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// I am here.
    Announce { from: NodeId, incarnation: Incarnation },
    /// To one node: call our link this; and this is what you called it.
    Hello(Hello),
    /// A whole frame, the `sequence`th of the link; of yours, all before `read` are off my hands.
    Data { token: Token, sequence: u64, read: u64, frame: Bytes },
    /// A part of a frame of `size` bytes, from `offset` on.
    Part { token: Token, sequence: u64, read: u64, offset: u32, size: u32, bytes: Bytes },
    /// There is room: of your frames, all before `read` are off my hands.
    Credit { token: Token, read: u64 },
    /// I live. I have sent `sent` frames in all.
    KeepAlive { token: Token, sent: u64, read: u64 },
    /// I go. I have sent `sent` frames in all.
    Farewell { token: Token, sent: u64 },
    /// What you called our link means nothing here (any more).
    Refused { token: Token },
}

/// One side's half of the agreement on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) from: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) to: NodeId,
    pub(super) to_incarnation: Incarnation,
    /// What the receiver of this is to call the link when it sends.
    pub(super) token: Token,
    /// The token that the receiver of this gave, or zero: who knows it is there now, and no recording.
    pub(super) echo: Token,
}

/// A packet, and what vouches for it where one is signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) packet: Packet,
    pub(super) signed: Option<Signed>,
}

/// The bytes that a signature is over, and the signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) bytes: Bytes,
    pub(super) signature: [u8; SIGNATURE],
}

/// Bytes that are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPacket {
    /// Of a version that this code does not speak.
    Version,
    /// Of no version.
    Malformed,
}

mod kind {
    pub(super) const ANNOUNCE: u8 = 1;
    pub(super) const HELLO: u8 = 2;
    pub(super) const DATA: u8 = 3;
    pub(super) const PART: u8 = 4;
    pub(super) const CREDIT: u8 = 5;
    pub(super) const KEEP_ALIVE: u8 = 6;
    pub(super) const FAREWELL: u8 = 7;
    pub(super) const REFUSED: u8 = 8;
}

impl Packet {
    /// The bytes; for an announcement and a hello, those that are signed and go in front of the signature.
    pub(super) fn encode(&self) -> BytesMut {
        match self {
            Packet::Announce { from, incarnation } => {
                let mut out = begun(kind::ANNOUNCE, 40 + SIGNATURE);
                out.put_slice(from.as_bytes());
                out.put_u64(incarnation.0);
                out
            }
            Packet::Hello(hello) => hello.encode(),
            Packet::Data { token, sequence, read, frame } => {
                let mut out = addressed(kind::DATA, *token, 16 + frame.len());
                put(&mut out, [*sequence, *read]);
                out.put_slice(frame);
                out
            }
            Packet::Part { token, sequence, read, offset, size, bytes } => {
                let mut out = addressed(kind::PART, *token, 24 + bytes.len());
                put(&mut out, [*sequence, *read]);
                out.put_u32(*offset);
                out.put_u32(*size);
                out.put_slice(bytes);
                out
            }
            Packet::Credit { token, read } => numbers(kind::CREDIT, *token, [*read]),
            Packet::KeepAlive { token, sent, read } => numbers(kind::KEEP_ALIVE, *token, [*sent, *read]),
            Packet::Farewell { token, sent } => numbers(kind::FAREWELL, *token, [*sent]),
            Packet::Refused { token } => numbers(kind::REFUSED, *token, []),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`NoPacket`]: the bytes are of another version, or no packet at all.
    pub(super) fn decode(message: Bytes) -> Result<Received, NoPacket> {
        match message.first_chunk() {
            Some([MAGIC, VERSION]) => {}
            Some([MAGIC, _]) => return Err(NoPacket::Version),
            Some(_) | None => return Err(NoPacket::Malformed),
        }
        let kind = *message.get(2).ok_or(NoPacket::Malformed)?;
        let received = match kind {
            kind::ANNOUNCE | kind::HELLO => signed(kind, message),
            kind::DATA.. => unsigned(kind, Reader(message.slice(3..))),
            0 => None,
        };
        received.ok_or(NoPacket::Malformed)
    }
}

impl Hello {
    fn encode(&self) -> BytesMut {
        let mut out = begun(kind::HELLO, 112 + SIGNATURE);
        out.put_slice(self.from.as_bytes());
        out.put_u64(self.incarnation.0);
        out.put_slice(self.to.as_bytes());
        out.put_u64(self.to_incarnation.0);
        out.put_u128(self.token.0);
        out.put_u128(self.echo.0);
        out
    }

    fn decode(reader: &mut Reader) -> Option<Hello> {
        Some(Hello {
            from: reader.node()?,
            incarnation: reader.incarnation()?,
            to: reader.node()?,
            to_incarnation: reader.incarnation()?,
            token: reader.token()?,
            echo: reader.token()?,
        })
    }
}

fn begun(kind: u8, more: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(3 + more);
    out.put_slice(&[MAGIC, VERSION, kind]);
    out
}

fn addressed(kind: u8, token: Token, more: usize) -> BytesMut {
    let mut out = begun(kind, 16 + more);
    out.put_u128(token.0);
    out
}

fn numbers<const N: usize>(kind: u8, token: Token, numbers: [u64; N]) -> BytesMut {
    let mut out = addressed(kind, token, 8 * N);
    put(&mut out, numbers);
    out
}

fn put<const N: usize>(out: &mut BytesMut, numbers: [u64; N]) {
    numbers.into_iter().for_each(|number| out.put_u64(number));
}

fn signed(kind: u8, message: Bytes) -> Option<Received> {
    let length = message.len().checked_sub(SIGNATURE).filter(|length| *length >= 3)?;
    let signature = message[length..].try_into().ok()?;
    let bytes = message.slice(..length);
    let mut reader = Reader(bytes.slice(3..));
    let packet = match kind {
        kind::ANNOUNCE => Packet::Announce { from: reader.node()?, incarnation: reader.incarnation()? },
        _ => Packet::Hello(Hello::decode(&mut reader)?),
    };
    reader.0.is_empty().then_some(Received { packet, signed: Some(Signed { bytes, signature }) })
}

fn unsigned(kind: u8, mut reader: Reader) -> Option<Received> {
    let token = reader.token()?;
    let packet = match kind {
        kind::DATA => {
            let (sequence, read) = (reader.u64()?, reader.u64()?);
            Packet::Data { token, sequence, read, frame: reader.rest() }
        }
        kind::PART => {
            let (sequence, read) = (reader.u64()?, reader.u64()?);
            let (offset, size) = (reader.u32()?, reader.u32()?);
            Packet::Part { token, sequence, read, offset, size, bytes: reader.rest() }
        }
        kind::CREDIT => Packet::Credit { token, read: reader.u64()? },
        kind::KEEP_ALIVE => Packet::KeepAlive { token, sent: reader.u64()?, read: reader.u64()? },
        kind::FAREWELL => Packet::Farewell { token, sent: reader.u64()? },
        kind::REFUSED => Packet::Refused { token },
        _ => return None,
    };
    reader.0.is_empty().then_some(Received { packet, signed: None })
}

/// What is still to be read.
struct Reader(Bytes);

impl Reader {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.0.first_chunk()?;
        self.0 = self.0.slice(N..);
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn node(&mut self) -> Option<NodeId> {
        self.take().map(NodeId)
    }

    fn incarnation(&mut self) -> Option<Incarnation> {
        self.u64().map(Incarnation)
    }

    fn token(&mut self) -> Option<Token> {
        self.take().map(|bytes| Token(u128::from_be_bytes(bytes)))
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests;
