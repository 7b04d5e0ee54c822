//! Whatever comes in whatever pieces, the same units come out, and no bytes make it panic or hold more than one unit.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn fill(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Result<Vec<Unit>, Malformed> {
    let (mut units, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let space = decoder.space();
        let now = rest.len().min(piece).min(space.len());
        space[..now].copy_from_slice(&rest[..now]);
        decoder.filled(now);
        rest = &rest[now..];
        while let Some(unit) = decoder.next()? {
            units.push(unit);
        }
    }
    Ok(units)
}

fn known() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.trust();
    decoder
}

fn hello() -> Hello {
    let (window_frames, window_bytes) = (4_096, 1 << 21);
    Hello {
        incarnation: 7,
        window_frames,
        window_bytes,
        namespace: "connectome".to_owned(),
        proof: Some([9; 32]),
    }
}

#[test]
fn units_are_pinned() {
    let mut out = Vec::new();
    put_frame_head(&mut out, 2);
    out.extend_from_slice(b"hi");
    put_read(&mut out, 258);
    put_moved(&mut out);
    put_farewell(&mut out, "bye");
    let expected = b"\0\0\0\x02\x02hi\0\0\0\x08\x03\0\0\0\0\0\0\x01\x02\0\0\0\0\x06\0\0\0\x03\x04bye";
    assert_eq!(out, expected);
}

#[test]
fn a_hello_is_pinned() {
    let expected =
        [[0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0x10, 0, 0, 0x20, 0, 0].as_slice(), b"\x0aconnectome\x01", &[9; 32]]
            .concat();
    assert_eq!(hello().encode(), expected);
    assert_eq!(Hello::decode(expected.into()), Some(hello()));
}

#[test]
fn what_is_said_in_any_pieces_is_heard() {
    let mut out = Vec::new();
    let frames = [0, 1, 100, 65_530, 65_531, 65_532, 200_000, FRAME_MAX, 5];
    for size in frames {
        put_frame_head(&mut out, size);
        out.resize(out.len() + size, 7);
        put_read(&mut out, size as u64);
    }
    for piece in [1_000, 65_536, usize::MAX] {
        let units = fill(&mut known(), &out, piece).unwrap();
        let expected =
            frames.iter().flat_map(|&size| [Unit::Frame(vec![7; size].into()), Unit::Read(size as u64)]);
        assert_eq!(units, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_stranger_says_hello_and_little_else() {
    let mut out = Vec::new();
    put_frame_head(&mut out, 1);
    assert_eq!(fill(&mut Decoder::new(), &out, 64), Err(Malformed::BeforeHello(FRAME)));
    let mut out = Vec::new();
    put_head(&mut out, HELLO, FRAME_BEFORE_AUTHENTICATION_MAX);
    let (kind, length, max) =
        (HELLO, FRAME_BEFORE_AUTHENTICATION_MAX, FRAME_BEFORE_AUTHENTICATION_MAX - HEAD_BYTES);
    assert_eq!(fill(&mut Decoder::new(), &out, 64), Err(Malformed::TooLong { kind, length, max }));
}

#[test]
fn what_is_too_long_is_refused_before_it_has_come() {
    for (kind, max) in [(FRAME, FRAME_MAX), (READ, 8), (FAREWELL, 256), (ADDRESSES, ADDRESSES_BYTES_MAX)] {
        let mut out = Vec::new();
        put_head(&mut out, kind, max + 1);
        let refused = Malformed::TooLong { kind, length: max + 1, max };
        assert_eq!(fill(&mut known(), &out, 64), Err(refused));
    }
    assert_eq!(fill(&mut known(), b"\0\0\0\x01\x03x", 64), Err(Malformed::Length { kind: READ, length: 1 }));
}

proptest! {
    /// Any bytes are units or an error; the decoder always takes the next ones.
    #[test]
    fn rubbish_is_taken_calmly(bytes in vec(any::<u8>(), 0..4_096), piece in 1_usize..100, known in any::<bool>()) {
        let mut decoder = Decoder::new();
        if known {
            decoder.trust();
        }
        if let Ok(units) = fill(&mut decoder, &bytes, piece) {
            prop_assert!(units.len() <= bytes.len() / HEAD_BYTES);
            prop_assert!(!decoder.space().is_empty());
        }
        drop(Hello::decode(bytes.into()));
    }

    /// A hello that was said is heard.
    #[test]
    fn hellos_come_back(incarnation: u64, window_frames: u32, window_bytes: u32, namespace in "[a-z]{0,64}", proof: Option<[u8; 32]>) {
        let hello = Hello { incarnation, window_frames, window_bytes, namespace, proof };
        prop_assert_eq!(Hello::decode(hello.encode().into()), Some(hello));
    }
}
