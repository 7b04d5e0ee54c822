//! Structures that lie, nest, repeat or do not end, at the level of MessagePack.

use connectome_codecs::limits::{DEPTH_MAX, FRAME_MAX, VALUES_MAX};
use connectome_codecs::wire;
use serde::de::IgnoredAny;

use super::{Case, case, refused};

/// Every hostile structure is refused before serde sees it.
#[test]
fn hostile_structures_are_refused() {
    refused(&cases(), wire::decode::<IgnoredAny>);
    refused(&cases(), wire::scan);
}

/// What lies exactly on a bound is accepted.
#[test]
fn bounds_are_exact() {
    assert!(wire::scan(&nested(b"\x91", DEPTH_MAX)).is_ok());
    assert!(wire::scan(&nils(VALUES_MAX as u32 - 1)).is_ok());
    assert_eq!(wire::scan(&longest()).unwrap().values, 1);
}

/// The check takes one step for each value and compares at most one pair for each key, however the keys are chosen:
/// rising, falling, scattered, or in forms that hide that they are equal.
#[test]
fn work_is_linear() {
    const KEYS: u32 = VALUES_MAX as u32 / 2 - 1;
    let orders: [fn(u32) -> u32; 3] = [|n| n, |n| KEYS - n, |n| n.wrapping_mul(0x9E37_79B1)];
    for order in orders {
        for form in [&[0xce][..], &[0xd6, 0x05], &[0xd9, 0x04], &[0xc4, 0x04]] {
            let shape = wire::scan(&map(KEYS, |n| [form, &order(n).to_be_bytes()].concat())).unwrap();
            assert_eq!(shape.values, 1 + 2 * KEYS as usize);
            assert!(shape.comparisons <= KEYS as usize, "{shape:?}");
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    [lies(), ends(), depths(), duplicates(), keys(), counts()].into_iter().flatten().collect()
}

fn lies() -> Vec<Case> {
    let all_the_rest =
        |levels: u32| (0..levels).flat_map(|level| array32(1_000 - 5 * level)).collect::<Vec<u8>>();
    vec![
        case("text of 5 bytes with 2", *b"\xa5hi", "promised"),
        case("str8 that lies", *b"\xd9\xffhi", "promised"),
        case("str16 that lies", *b"\xda\xff\xffhi", "promised"),
        case("str32 of 4 GiB", *b"\xdb\xff\xff\xff\xffhi", "promised"),
        case("bin8 that lies", *b"\xc4\xffhi", "promised"),
        case("bin16 that lies", *b"\xc5\xff\xffhi", "promised"),
        case("bin32 of 4 GiB", *b"\xc6\xff\xff\xff\xffhi", "promised"),
        case("array of 15 with 2", *b"\x9f\x01\x02", "promised"),
        case("array16 that lies", *b"\xdc\xff\xff\x01", "promised"),
        case("array32 of 4 Gi items", *b"\xdd\xff\xff\xff\xff\x01", "promised"),
        case("map of 15 with 1", *b"\x8f\x01\x02", "promised"),
        case("map16 that lies", *b"\xde\xff\xff\x01\x02", "promised"),
        case("map32 of 4 Gi entries", *b"\xdf\xff\xff\xff\xff\x01\x02", "promised"),
        case("ext8 that lies", *b"\xc7\xff\x01x", "promised"),
        case("ext32 of 4 GiB", *b"\xc9\xff\xff\xff\xff\x01x", "promised"),
        case("fixext16 with 2 bytes", *b"\xd8\x01xy", "promised"),
        case("each level promises all that is left", padded(all_the_rest(30), 1_000), "promised"),
        case(
            "maps that each promise all that is left",
            padded(b"\xde\x01\x90\x01".repeat(30), 1_000),
            "promised",
        ),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        case("nothing", *b"", "promised"),
        case("the reserved byte", *b"\xc1", "0xc1"),
        case("the reserved byte inside", *b"\x92\x01\xc1", "0xc1"),
        case("str8 without its length", *b"\xd9", "promised"),
        case("array32 without its length", *b"\xdd\x00", "promised"),
        case("u64 of 3 bytes", *b"\xcf\x01\x02\x03", "promised"),
        case("f64 of 7 bytes", *b"\xcb\x01\x02\x03\x04\x05\x06\x07", "promised"),
        case("a key without a value", *b"\x81\xa1a", "promised"),
        case("two values", *b"\x01\x02", "1 bytes after the end"),
        case("a map and a byte", *b"\x81\xa1a\x01\xc0", "1 bytes after the end"),
        case(
            "an array and a thousand bytes",
            [&b"\x91\x01"[..], &[0; 1_000]].concat(),
            "1000 bytes after the end",
        ),
    ]
}

fn depths() -> Vec<Case> {
    let mixed: Vec<u8> = [&b"\x91"[..], b"\x81\x01"].concat().repeat(DEPTH_MAX);
    vec![
        case("arrays, one too deep", nested(b"\x91", DEPTH_MAX + 1), "nested deeper than 32"),
        case("maps, one too deep", nested(b"\x81\x01", DEPTH_MAX + 1), "nested deeper than 32"),
        case("arrays and maps by turns", nested(&mixed, 1), "nested deeper than 32"),
        case("ten thousand arrays", nested(b"\x91", 10_000), "nested deeper than 32"),
        case("a frame of arrays", vec![0x91; FRAME_MAX], "nested deeper than 32"),
        case("wide and deep", nested(b"\x92\x01", DEPTH_MAX + 1), "nested deeper than 32"),
    ]
}

fn duplicates() -> Vec<Case> {
    let twice = "a key that the same map already has";
    let far = |key: u32| [&[0xce][..], &(if key == 999 { 0 } else { key * 7_919 }).to_be_bytes()].concat();
    vec![
        case("text", *b"\x82\xa1a\x01\xa1a\x02", twice),
        case("text, not side by side", *b"\x83\xa1a\x01\xa1b\x02\xa1a\x03", twice),
        case("text in a longer form", *b"\x82\xa1a\x01\xd9\x01a\x02", twice),
        case("text and bytes", *b"\x82\xa1a\x01\xc4\x01a\x02", twice),
        case("text in the longest forms", *b"\x82\xda\x00\x01a\x01\xdb\x00\x00\x00\x01a\x02", twice),
        case("empty text", *b"\x82\xa0\x01\xa0\x02", twice),
        case("integers", *b"\x82\x07\x01\x07\x02", twice),
        case("integers in a longer form", *b"\x82\x07\x01\xcd\x00\x07\x02", twice),
        case("integers, one of them signed", *b"\x82\x07\x01\xd0\x07\x02", twice),
        case("negative integers", *b"\x82\xff\x01\xd1\xff\xff\x02", twice),
        case("nil", *b"\x82\xc0\x01\xc0\x02", twice),
        case("truth", *b"\x82\xc3\x01\xc3\x02", twice),
        case("floats", *b"\x82\xca\x3f\x80\x00\x00\x01\xca\x3f\x80\x00\x00\x02", twice),
        case("extensions", *b"\x82\xd4\x01\x05\x01\xd4\x01\x05\x02", twice),
        case("in an inner map", *b"\x81\xa1a\x82\x01\x01\x01\x02", twice),
        case("in the outer map, around an inner one", *b"\x82\xa1a\x81\x01\x01\xa1a\x02", twice),
        case("first and last of a thousand", map(1_000, far), twice),
        case("one key sixteen thousand times", map(16_000, |_| vec![1]), twice),
    ]
}

fn keys() -> Vec<Case> {
    vec![
        case("an array as a key", *b"\x81\x91\x01\x02", "as a key"),
        case("an empty array as a key", *b"\x81\x90\x02", "as a key"),
        case("a map as a key", *b"\x81\x81\x01\x02\x03", "as a key"),
        case("maps as keys, a frame of them", vec![0x81; FRAME_MAX], "as a key"),
    ]
}

fn counts() -> Vec<Case> {
    let many = format!("more than {VALUES_MAX} values").leak();
    let empty_arrays = [array32(VALUES_MAX as u32), vec![0x90; VALUES_MAX]].concat();
    vec![
        case("one value too many", nils(VALUES_MAX as u32), many),
        case("empty arrays, one too many", empty_arrays, many),
        case("a frame of nils", nils(FRAME_MAX as u32 - 5), many),
        case("longer than a frame", vec![0xc0; FRAME_MAX + 1], "at most 1048576 are allowed"),
    ]
}

fn array32(items: u32) -> Vec<u8> {
    [&[0xdd][..], &items.to_be_bytes()].concat()
}

fn nils(items: u32) -> Vec<u8> {
    [array32(items), vec![0xc0; items as usize]].concat()
}

fn nested(level: &[u8], levels: usize) -> Vec<u8> {
    [level.repeat(levels), vec![0xc0]].concat()
}

fn padded(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0xc0);
    bytes
}

fn map(entries: u32, key: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let entry = |index| [key(index), vec![0xc0]].concat();
    [vec![0xdf], entries.to_be_bytes().to_vec(), (0..entries).flat_map(entry).collect()].concat()
}

fn longest() -> Vec<u8> {
    let length = FRAME_MAX as u32 - 5;
    [&[0xc6][..], &length.to_be_bytes(), &vec![0; length as usize]].concat()
}
