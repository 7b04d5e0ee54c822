//! From bytes as they come to units: small ones through a buffer, large ones straight to where they stay.

use bytes::Bytes;

use super::{HEAD_BYTES, Malformed, Stage, Unit, longest, unit};

/// What is read at once: as much as Noise puts into one of its messages.
const BUFFER_BYTES: usize = 64 * 1024;

/// Takes bytes, gives units.
#[derive(Debug)]
pub(in super::super) struct Decoder {
    buffer: Box<[u8]>,
    /// What of the buffer was filled and not taken.
    start: usize,
    end: usize,
    large: Option<Large>,
    stage: Stage,
}

/// A unit that the buffer has not wholly: its bytes go where they stay.
#[derive(Debug)]
struct Large {
    kind: u8,
    bytes: Vec<u8>,
    filled: usize,
}

impl Decoder {
    /// Reads from a stranger.
    pub(in super::super) fn new() -> Decoder {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Decoder { buffer, start: 0, end: 0, large: None, stage: Stage::Stranger }
    }

    /// From now on it reads from a peer that has said who it is.
    pub(in super::super) fn trust(&mut self) {
        self.stage = Stage::Known;
    }

    /// Where the next bytes go; never empty.
    pub(in super::super) fn space(&mut self) -> &mut [u8] {
        if let Some(large) = &mut self.large {
            return &mut large.bytes[large.filled..];
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put into [`space`](Decoder::space).
    pub(in super::super) fn filled(&mut self, bytes: usize) {
        match &mut self.large {
            Some(large) => large.filled += bytes,
            None => self.end += bytes,
        }
    }

    /// The next unit, if it is whole. After an error nothing that follows has a meaning.
    pub(in super::super) fn next(&mut self) -> Result<Option<Unit>, Malformed> {
        if let Some(large) = self.large.take() {
            return self.large(large);
        }
        let Some((head, rest)) = self.buffer[self.start..self.end].split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let [length @ .., kind] = *head;
        let length = u32::from_be_bytes(length) as usize;
        let max = longest(kind, self.stage)?;
        if length > max {
            return Err(Malformed::TooLong { kind, length, max });
        }
        if let Some(whole) = rest.get(..length) {
            // A copy: a small frame that somebody keeps must not keep the whole buffer.
            let whole = Bytes::copy_from_slice(whole);
            self.start += HEAD_BYTES + length;
            return unit(kind, whole).map(Some);
        }
        if HEAD_BYTES + length > BUFFER_BYTES {
            self.begin_large(kind, length);
        }
        Ok(None)
    }

    fn begin_large(&mut self, kind: u8, length: usize) {
        let here = &self.buffer[self.start + HEAD_BYTES..self.end];
        let mut bytes = vec![0; length];
        bytes[..here.len()].copy_from_slice(here);
        self.large = Some(Large { kind, filled: here.len(), bytes });
        (self.start, self.end) = (0, 0);
    }

    fn large(&mut self, large: Large) -> Result<Option<Unit>, Malformed> {
        if large.filled < large.bytes.len() {
            self.large = Some(large);
            return Ok(None);
        }
        unit(large.kind, large.bytes.into()).map(Some)
    }
}
