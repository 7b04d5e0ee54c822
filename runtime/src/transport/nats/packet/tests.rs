//! The bytes of every packet are pinned, and no bytes are too strange to be told from one.

use proptest::prelude::*;

use super::*;

const ADA: NodeId = NodeId([0xaa; 32]);
const BOB: NodeId = NodeId([0xbb; 32]);
const TOKEN: Token = Token(0x000102030405060708090a0b0c0d0e0f);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hello() -> Hello {
    let (incarnation, to_incarnation) = (Incarnation(1), Incarnation(2));
    Hello { from: ADA, incarnation, to: BOB, to_incarnation, token: TOKEN, echo: Token(3) }
}

fn sent(packet: &Packet) -> Bytes {
    let mut bytes = packet.encode();
    if matches!(packet, Packet::Announce { .. } | Packet::Hello(_)) {
        bytes.put_slice(&[0x55; SIGNATURE]);
    }
    bytes.freeze()
}

/// What another language must write: these bytes never change within a version.
#[test]
fn the_bytes_are_pinned() {
    let (token, sequence, read) = (TOKEN, 258, 3);
    let (ada, bob) = ("aa".repeat(32), "bb".repeat(32));
    let name = "000102030405060708090a0b0c0d0e0f";
    let numbers = "00000000000001020000000000000003";
    let bytes = Bytes::from_static(b"hi");
    let vectors = [
        (Packet::Announce { from: ADA, incarnation: Incarnation(1) }, format!("01{ada}0000000000000001")),
        (Packet::Hello(hello()), format!("02{ada}0000000000000001{bob}0000000000000002{name}{:032x}", 3)),
        (Packet::Data { token, sequence, read, frame: bytes.clone() }, format!("03{name}{numbers}6869")),
        (
            Packet::Part { token, sequence, read, offset: 4, size: 9, bytes },
            format!("04{name}{numbers}00000004000000096869"),
        ),
        (Packet::Credit { token, read }, format!("05{name}0000000000000003")),
        (Packet::KeepAlive { token, sent: 258, read }, format!("06{name}{numbers}")),
        (Packet::Farewell { token, sent: 3 }, format!("07{name}0000000000000003")),
        (Packet::Refused { token }, format!("08{name}")),
    ];
    for (packet, rest) in vectors {
        assert_eq!(hex(&packet.encode()), format!("4301{rest}"), "{packet:?}");
        assert_eq!(Packet::decode(sent(&packet)).unwrap().packet, packet);
    }
}

/// A signature is over everything in front of it.
#[test]
fn a_signature_is_over_all_that_is_said() {
    let packet = Packet::Hello(hello());
    let signed = Packet::decode(sent(&packet)).unwrap().signed.unwrap();
    assert_eq!((signed.bytes, signed.signature), (packet.encode().freeze(), [0x55; SIGNATURE]));
}

/// The sizes that a frame is cut by are those of the bytes.
#[test]
fn headers_are_as_long_as_they_say() {
    let (token, sequence, read, empty) = (TOKEN, 0, 0, Bytes::new());
    let data = Packet::Data { token, sequence, read, frame: empty.clone() };
    let part = Packet::Part { token, sequence, read, offset: 0, size: 0, bytes: empty };
    assert_eq!((data.encode().len(), part.encode().len()), (DATA_HEADER, PART_HEADER));
}

/// A packet that lacks its end, or has more than one, is none; nor is one of another version or kind.
#[test]
fn what_is_no_packet_is_told() {
    let whole = sent(&Packet::Hello(hello()));
    for length in 0..whole.len() {
        assert!(Packet::decode(whole.slice(..length)).is_err(), "{length}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Packet::decode(longer.into()), Err(NoPacket::Malformed));
    assert_eq!(Packet::decode(Bytes::from_static(b"C\x02\x03")), Err(NoPacket::Version));
    for other in [&b"C\x01\x00"[..], b"C\x01\x09", b"", b"C", b"hello"] {
        assert_eq!(Packet::decode(Bytes::copy_from_slice(other)), Err(NoPacket::Malformed));
    }
}

/// A token is not for a log.
#[test]
fn a_token_does_not_print() {
    assert_eq!(format!("{:?}", Packet::Refused { token: TOKEN }), "Refused { token: Token(..) }");
}

proptest! {
    /// Any bytes are a packet that is written the same again, or an error.
    #[test]
    fn bytes_are_a_packet_or_an_error(kind in 0u8..12, rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        let message = Bytes::from([&[MAGIC, VERSION, kind], &rest[..]].concat());
        if let Ok(Received { packet, signed }) = Packet::decode(message.clone()) {
            let whole = signed.map_or(message, |signed| signed.bytes);
            prop_assert_eq!(packet.encode().freeze(), whole);
        }
    }
}
