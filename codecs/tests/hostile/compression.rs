//! Bombs, and bodies that lie about what they hold. The first byte of a case is its encoding.

use bytes::Bytes;
use connectome_codecs::compression::{Encoding, compress, decompress};

use super::{Case, case, refused};

const LIMIT: usize = 64 * 1024;

/// Every bomb and every lie is refused.
#[test]
fn bombs_and_lies_are_refused() {
    refused(&cases(), |bytes| {
        decompress(&Bytes::copy_from_slice(&bytes[1..]), Encoding::from(bytes[0]), LIMIT)
    });
}

/// A body exactly at the limit is unpacked, one byte more is refused.
#[test]
fn the_limit_is_exact() {
    for encoding in [Encoding::Identity, Encoding::Lz4, Encoding::Zstd] {
        let (used, packed) = compress(&vec![7; LIMIT].into(), encoding, 0);
        assert_eq!(used, encoding);
        assert_eq!(decompress(&packed, used, LIMIT).unwrap(), vec![7; LIMIT]);
        assert!(decompress(&packed, used, LIMIT - 1).is_err());
    }
}

/// A cut or flipped packed body is refused or unpacks to something else, and never panics.
#[test]
fn damage_never_panics() {
    let body = Bytes::from(b"to be or not to be, that is the question: ".repeat(30));
    for encoding in [Encoding::Lz4, Encoding::Zstd] {
        let (_, packed) = compress(&body, encoding, 0);
        for end in 0..packed.len() {
            assert!(decompress(&packed.slice(..end), encoding, LIMIT).is_err(), "{encoding} cut at {end}");
        }
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = decompress(&flipped.into(), encoding, LIMIT);
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let (lz4, zstd) = (Encoding::Lz4.code(), Encoding::Zstd.code());
    let tagged = |code: u8, body: &[u8]| [&[code], body].concat();
    let packed =
        |encoding: Encoding, length: usize| compress(&vec![7; length].into(), encoding, 0).1.to_vec();
    let lz4_saying = |says: u32, holds: usize| {
        let mut body = packed(Encoding::Lz4, holds);
        body[..4].copy_from_slice(&says.to_le_bytes());
        tagged(lz4, &body)
    };
    let frame = packed(Encoding::Zstd, 1_000);
    vec![
        case(
            "lz4: a bomb of 16 MiB",
            tagged(lz4, &packed(Encoding::Lz4, 1 << 24)),
            "16777216 bytes, at most 65536",
        ),
        case("lz4: a bomb that says 1 byte", lz4_saying(1, 1 << 24), "says 1 bytes and holds more"),
        case(
            "lz4: a bomb that says the limit",
            lz4_saying(LIMIT as u32, 1 << 24),
            "says 65536 bytes and holds more",
        ),
        case("lz4: says 4 GiB", lz4_saying(u32::MAX, 100), "4294967295 bytes, at most"),
        case("lz4: says more than it holds", lz4_saying(2_000, 1_000), "says 2000 bytes and holds 1000"),
        case("lz4: three bytes", tagged(lz4, b"\x01\x00\x00"), "shorter than its four bytes"),
        case("lz4: no block", tagged(lz4, b"\x05\x00\x00\x00"), "lz4 body"),
        case(
            "lz4: an offset before the beginning",
            tagged(lz4, b"\x40\x00\x00\x00\x1fa\xff\xff\x10\x00"),
            "lz4 body",
        ),
        case("lz4: an offset of zero", tagged(lz4, b"\x40\x00\x00\x00\x1fa\x00\x00\x10\x00"), "lz4 body"),
        case(
            "lz4: a length that does not end",
            tagged(lz4, &[&b"\x00\x10\x00\x00"[..], &[0xff; 64]].concat()),
            "lz4 body",
        ),
        case(
            "zstd: a bomb of 16 MiB",
            tagged(zstd, &packed(Encoding::Zstd, 1 << 24)),
            "16777216 bytes, at most 65536",
        ),
        case("zstd: nothing", tagged(zstd, b""), "not a frame"),
        case("zstd: another magic number", tagged(zstd, b"not a frame at all"), "not a frame"),
        case(
            "zstd: does not say its size",
            tagged(zstd, b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00"),
            "states its content size",
        ),
        case("zstd: a skippable frame", tagged(zstd, b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), "zstd body"),
        case("zstd: two frames", tagged(zstd, &[&frame[..], &frame].concat()), "exactly one whole frame"),
        case(
            "zstd: a byte after the frame",
            tagged(zstd, &[&frame[..], b"x"].concat()),
            "exactly one whole frame",
        ),
        case("zstd: a cut frame", tagged(zstd, &frame[..frame.len() - 1]), "exactly one whole frame"),
        case("zstd: says 1 byte, holds 128 KiB", tagged(zstd, RLE_BOMB), "zstd body"),
        case("unknown encoding", tagged(99, b"abc"), "cannot unpack it"),
        case(
            "identity: one byte above the limit",
            tagged(0, &vec![7; LIMIT + 1]),
            "65537 bytes, at most 65536",
        ),
    ]
}

/// A frame that states a content of one byte, with one block that repeats a byte 131,072 times.
const RLE_BOMB: &[u8] = b"\x28\xb5\x2f\xfd\x20\x01\x03\x00\x10\x07";
