//! Reading and writing units on a stream. What comes is held as it comes, not as its length promises.

use std::io::{Error, ErrorKind, Result};

use bytes::{Bytes, BytesMut};
use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::wire::{LENGTH_BYTES, Malformed, Unit, length};

/// Room that is made ready for what a length only promises.
const STEP: usize = 64 * 1024;

/// Units that are ready together leave together, up to this many bytes: what Noise puts into one of its messages.
pub(super) const COALESCED_BYTES: usize = 60 * 1024;

/// A body longer than this is not copied to leave together with others.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// What is malformed, as an error of the stream.
pub(super) fn broken(problem: Malformed) -> Error {
    Error::new(ErrorKind::InvalidData, problem)
}

/// How long the next unit is; `None`: nothing follows.
pub(super) async fn read_length(reader: &mut (impl AsyncRead + Unpin), max: usize) -> Result<Option<usize>> {
    let mut prefix = [0; LENGTH_BYTES];
    let mut there = 0;
    while there < LENGTH_BYTES {
        match reader.read(&mut prefix[there..]).await? {
            0 if there == 0 => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => there += more,
        }
    }
    length(prefix, max).map(Some).map_err(broken)
}

/// The rest of a unit of this length.
pub(super) async fn read_rest(reader: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Bytes> {
    let mut rest = BytesMut::new();
    while rest.len() < length {
        let there = rest.len();
        rest.resize(length.min(there + STEP), 0);
        reader.read_exact(&mut rest[there..]).await?;
    }
    Ok(rest.freeze())
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Outgoing(Vec<u8>);

impl Outgoing {
    /// Whether more may be put to what is to leave together.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < COALESCED_BYTES
    }

    /// Puts a unit behind what is there; writes what is too large to be copied.
    pub(super) async fn put(&mut self, unit: Unit, writer: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        self.0.extend_from_slice(&unit.prefix());
        self.0.extend_from_slice(&unit.head);
        for body in unit.bodies {
            if body.len() <= COPIED_BYTES_MAX {
                self.0.extend_from_slice(&body);
            } else {
                self.write(writer).await?;
                writer.write_all(&body).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        writer.write_all(&self.0).await?;
        self.0.clear();
        Ok(())
    }

    /// Lets everything leave.
    pub(super) async fn flush(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        self.write(writer).await?;
        writer.flush().await
    }
}

/// Writes one unit by itself.
pub(super) async fn write_one(writer: &mut (impl AsyncWrite + Unpin), unit: Unit) -> Result<()> {
    let mut outgoing = Outgoing::default();
    outgoing.put(unit, writer).await?;
    outgoing.flush(writer).await
}
