//! Bodies made smaller before they are sealed, and made whole again without trust.
//!
//! Peers offer what they know and [`negotiate`] chooses. [`compress`] works only above a threshold and only when it
//! gains; [`decompress`] counts what comes *out* and stops at a limit.
//!
//! Do not compress a secret together with text that an attacker chooses: the length of the result tells about the secret.
//!
//! # What unpacking may cost
//!
//! A body that says how large it will be and says more than the limit is refused unread. Otherwise the room for the
//! output starts at four times the input and grows fourfold, and only after that much output has really come out. So
//! the memory is at most four times the input or four times the true output, whichever is more, and never above the
//! limit; the work is at most 4/3 of the limit in bytes written (below a millisecond at a limit of 1 MiB in a release
//! build). A body that honestly unpacks to more than four times its size needs that memory and gets it: that is what
//! the limit is for. Zstandard's own state adds some 160 KiB while it runs, whatever the input.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::wire::DecodeError;

/// How a body is compressed. On the wire it is its [`code`](Encoding::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// LZ4: four bytes with the size of the whole, least significant first, then one LZ4 block. Fast.
    Lz4,
    /// Zstandard: one frame that states its content size. Tight.
    Zstd,
    /// One that this version does not know; the body can be passed on, not read.
    Unknown(u8),
}

impl Encoding {
    /// All that this version can pack and unpack, best first: what to offer to a peer.
    pub const KNOWN: &'static [Self] = &[Self::Zstd, Self::Lz4, Self::Identity];

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Identity => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
            Self::Unknown(code) => code,
        }
    }
}

impl From<Encoding> for u8 {
    fn from(encoding: Encoding) -> Self {
        encoding.code()
    }
}

impl From<u8> for Encoding {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Identity,
            1 => Self::Lz4,
            2 => Self::Zstd,
            code => Self::Unknown(code),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Zstd => f.write_str("zstd"),
            Self::Unknown(code) => write!(f, "encoding {code}"),
        }
    }
}

/// The first of a peer's offers that this node knows; identity when there is none.
pub fn negotiate(offered: &[Encoding]) -> Encoding {
    offered.iter().copied().find(|offer| Encoding::KNOWN.contains(offer)).unwrap_or_default()
}

/// Compresses a body of at least `threshold` bytes, and keeps the result only when it is smaller.
///
/// ```
/// use bytes::Bytes;
/// use connectome_codecs::compression::{Encoding, compress, decompress};
/// use connectome_codecs::limits::{BODY_MAX, COMPRESSION_THRESHOLD};
///
/// let body = Bytes::from("to be or not to be, ".repeat(100));
/// let (encoding, packed) = compress(&body, Encoding::Zstd, COMPRESSION_THRESHOLD);
/// assert_eq!(encoding, Encoding::Zstd);
/// assert!(packed.len() < body.len() / 10);
/// assert_eq!(decompress(&packed, encoding, BODY_MAX)?, body);
/// # Ok::<(), connectome_codecs::wire::DecodeError>(())
/// ```
pub fn compress(body: &Bytes, encoding: Encoding, threshold: usize) -> (Encoding, Bytes) {
    let packed = if body.len() < threshold { None } else { pack(body, encoding) };
    match packed {
        Some(packed) if packed.len() < body.len() => (encoding, packed.into()),
        Some(_) | None => (Encoding::Identity, body.clone()),
    }
}

/// Zstandard's fastest regular level: a body is packed once and read once, so its time counts like its size.
const ZSTD_LEVEL: i32 = 1;

fn pack(body: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Lz4 if u32::try_from(body.len()).is_ok() => {
            Some(lz4_flex::block::compress_prepend_size(body))
        }
        Encoding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok(),
        Encoding::Lz4 | Encoding::Identity | Encoding::Unknown(_) => None,
    }
}

/// Makes a body whole again, if that takes at most `limit` bytes.
///
/// # Errors
/// When the body is damaged, lies about its size, would be longer than `limit`, or is packed in a way that this version
/// does not know.
pub fn decompress(body: &Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, DecodeError> {
    match encoding {
        Encoding::Identity if body.len() <= limit => Ok(body.clone()),
        Encoding::Identity => Err(too_long(body.len(), limit)),
        Encoding::Lz4 => unpack_lz4(body, limit),
        Encoding::Zstd => unpack_zstd(body, limit),
        Encoding::Unknown(_) => {
            Err(damaged(encoding, "this version cannot unpack it; negotiate lz4, zstd or identity"))
        }
    }
}

/// What one attempt to unpack into a bounded room came to.
enum Attempt {
    Done(usize),
    RoomTooSmall,
    Damaged(String),
}

fn unpack_lz4(body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let Some((size, block)) = body.split_first_chunk::<4>() else {
        return Err(damaged(Encoding::Lz4, "shorter than its four bytes of size"));
    };
    let size = u32::from_le_bytes(*size) as usize;
    unpack(Encoding::Lz4, block.len(), size, limit, |room| {
        match lz4_flex::block::decompress_into(block, room) {
            Ok(length) => Attempt::Done(length),
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) => Attempt::RoomTooSmall,
            Err(e) => Attempt::Damaged(e.to_string()),
        }
    })
}

/// RFC 8878, section 3.1.1: what a frame begins with. Skippable frames begin otherwise, and hold nothing.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn unpack_zstd(body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let size = Some(body).filter(|body| body.starts_with(&ZSTD_MAGIC));
    let size = size.and_then(|body| zstd::zstd_safe::get_frame_content_size(body).ok().flatten());
    let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else {
        return Err(damaged(Encoding::Zstd, "not a frame that states its content size"));
    };
    if zstd::zstd_safe::find_frame_compressed_size(body) != Ok(body.len()) {
        return Err(damaged(Encoding::Zstd, "not exactly one whole frame"));
    }
    let mut context = zstd::zstd_safe::DCtx::create();
    unpack(Encoding::Zstd, body.len(), size, limit, |room| match context.decompress(room, body) {
        Ok(length) => Attempt::Done(length),
        Err(code) => zstd_failure(code),
    })
}

fn zstd_failure(code: usize) -> Attempt {
    let name = zstd::zstd_safe::get_error_name(code);
    if name.contains("too small") { Attempt::RoomTooSmall } else { Attempt::Damaged(name.to_owned()) }
}

/// Unpacks into room that grows only when it was really filled.
fn unpack(
    encoding: Encoding,
    packed: usize,
    size: usize,
    limit: usize,
    mut attempt: impl FnMut(&mut [u8]) -> Attempt,
) -> Result<Bytes, DecodeError> {
    if size > limit {
        return Err(too_long(size, limit));
    }
    let mut room = GROWTH.saturating_mul(packed).min(size);
    loop {
        let mut output = vec![0; room];
        match attempt(&mut output) {
            Attempt::Done(length) if length == size => return Ok(output.into()),
            Attempt::Done(length) => {
                return Err(damaged(encoding, format!("says {size} bytes and holds {length}")));
            }
            Attempt::Damaged(problem) => return Err(damaged(encoding, problem)),
            Attempt::RoomTooSmall if room == size => {
                return Err(damaged(encoding, format!("says {size} bytes and holds more")));
            }
            Attempt::RoomTooSmall => room = GROWTH.saturating_mul(room.max(1)).min(size),
        }
    }
}

/// How much more room than was proved necessary is given next: the factor of memory that is promised.
const GROWTH: usize = 4;

fn too_long(length: usize, max: usize) -> DecodeError {
    DecodeError::TooLong { what: "body when unpacked", length, max }
}

fn damaged(encoding: Encoding, problem: impl Into<String>) -> DecodeError {
    DecodeError::Compression { encoding, problem: problem.into() }
}
