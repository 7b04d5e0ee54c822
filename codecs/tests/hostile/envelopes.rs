//! Envelopes that are not in their one form, and how their refusal names the field.

use bytes::Bytes;
use connectome_codecs::limits::{FRAME_MAX, HEADER_MAX};
use connectome_codecs::{AgentName, Envelope};

use super::{Case, case, refused};
use crate::samples::{minimal, parsed};

/// Every malformed envelope is refused, and the refusal names the field.
#[test]
fn malformed_envelopes_are_refused() {
    refused(&cases(), |bytes| Envelope::decode(Bytes::copy_from_slice(bytes)));
}

/// The envelope that the cases are made from is itself accepted.
#[test]
fn the_pattern_is_accepted() {
    assert_eq!(Envelope::decode(sent(&[], b"").into()).unwrap().sent.0, 9);
}

/// What no receiver would take is not sent.
#[test]
fn encoding_refuses_what_decoding_would() {
    let chain = |agents: usize, name: &str| vec![parsed::<AgentName>(name); agents];
    let refusals = [
        (minimal().call_chain(chain(33, "a")), "at most 32 may"),
        (minimal().call_chain(chain(32, &"a".repeat(128))), "envelope header: 4"),
        (
            Envelope::new(
                minimal().id,
                minimal().kind,
                minimal().to,
                minimal().sent,
                vec![0; FRAME_MAX].into(),
            ),
            "envelope: 10",
        ),
    ];
    for (envelope, says) in refusals {
        let refusal = envelope.encode().unwrap_err().to_string();
        assert!(refusal.contains(says), "{refusal}");
    }
}

const ID: &[u8] = b"\x01\xc4\x100123456789abcdef";
const KIND: &[u8] = b"\x02\x01";
const TO: &[u8] = b"\x05\xa1a";
const SENT: &[u8] = b"\x08\x09";

pub(crate) fn cases() -> Vec<Case> {
    [frames(), required(), values(), usual(), unknown()].into_iter().flatten().collect()
}

/// An envelope of version 1 with these fields and an empty body.
fn fields(fields: &[&[u8]]) -> Vec<u8> {
    let count = fields.len() as u16;
    let head =
        if count < 16 { vec![0x80 | count as u8] } else { [&[0xde][..], &count.to_be_bytes()].concat() };
    [b"\x93\x01".to_vec(), head, fields.concat(), b"\xc4\x00".to_vec()].concat()
}

/// The required fields with these after them, and then these bytes after the end.
fn sent(after: &[&[u8]], trailing: &[u8]) -> Vec<u8> {
    [fields(&[&[ID, KIND, TO, SENT], after].concat()), trailing.to_vec()].concat()
}

fn frames() -> Vec<Case> {
    let body = |body: &[u8]| [&sent(&[], b"")[..sent(&[], b"").len() - 2], body].concat();
    let long_header = [&b"\x11\xda\x10\x00"[..], &[b'a'; HEADER_MAX]].concat();
    let many: Vec<[u8; 2]> = (0x11..0x30).map(|key| [key, 0xc0]).collect();
    let many: Vec<&[u8]> = many.iter().map(|field| &field[..]).collect();
    vec![
        case("nothing", *b"", "field envelope: the bytes end"),
        case("not an array", *b"\x81\x01\x02", "field envelope: expected an array"),
        case("an array of two", *b"\x92\x01\x80", "an array of 2"),
        case("an array of four", *b"\x94\x01\x80\xc4\x00\xc0", "an array of 4"),
        case("an array in a longer form", *b"\xdc\x00\x03\x01\x80\xc4\x00", "longer form"),
        case("version 0", *b"\x93\x00\x80\xc4\x00", "version: out of range"),
        case("version 256", *b"\x93\xcd\x01\x00\x80\xc4\x00", "version: out of range"),
        case("version as text", *b"\x93\xa11\x80\xc4\x00", "version: expected an unsigned integer"),
        case("a header that is no map", *b"\x93\x01\x90\xc4\x00", "header: expected a map"),
        case("a header of 35 fields", sent(&many, b""), "header: 35 fields"),
        case("a header longer than 4 KiB", sent(&[&long_header], b""), "envelope header: 4"),
        case("a body as text", body(b"\xa0"), "body: expected bytes"),
        case("a body in a longer form", body(b"\xc5\x00\x01x"), "body: 1 in a longer form"),
        case("a body that lies", body(b"\xc6\xff\xff\xff\xffx"), "body: the bytes end"),
        case("no body", body(b""), "body: the bytes end"),
        case("a byte after the end", sent(&[], b"\x00"), "1 bytes after the end"),
        case("longer than a frame", vec![0x93; FRAME_MAX + 1], "envelope: 1048577 bytes"),
    ]
}

fn required() -> Vec<Case> {
    vec![
        case("no fields", fields(&[]), "id: missing in its place"),
        case("no id", fields(&[KIND, TO, SENT]), "id: missing in its place"),
        case("no kind", fields(&[ID, TO, SENT]), "kind: missing in its place"),
        case("no receiver", fields(&[ID, KIND, SENT]), "to: missing in its place"),
        case("no time", fields(&[ID, KIND, TO]), "sent: missing in its place"),
        case("keys that fall", fields(&[KIND, ID, TO, SENT]), "id: missing in its place"),
        case("keys that fall later", fields(&[ID, KIND, SENT, TO]), "to: missing in its place"),
        case("the same key twice", fields(&[ID, ID, KIND, TO, SENT]), "key 1 after key 1"),
        case("key 0", fields(&[b"\x00\x01", ID, KIND, TO, SENT]), "key 0"),
        case(
            "a key as text",
            fields(&[b"\xa1k\x01", ID, KIND, TO, SENT]),
            "header: expected an unsigned integer",
        ),
        case("a key in a longer form", fields(&[ID, b"\xcc\x02\x01", TO, SENT]), "longer form"),
        case("an unknown key twice", sent(&[b"\x11\x01", b"\x11\x02"], b""), "key 17 after key 17"),
    ]
}

fn values() -> Vec<Case> {
    let to = |to: &[u8]| fields(&[ID, KIND, to, SENT]);
    let trace = |first: u8| [&b"\x0a\xc4\x19"[..], &[first; 25]].concat();
    vec![
        case(
            "an id of 15 bytes",
            fields(&[b"\x01\xc4\x0f0123456789abcde", KIND, TO, SENT]),
            "id: 15 bytes; send 16",
        ),
        case("an id as text", fields(&[b"\x01\xa1a", KIND, TO, SENT]), "id: expected bytes"),
        case("kind 256", fields(&[ID, b"\x02\xcd\x01\x00", TO, SENT]), "kind: 256; send 0 to 255"),
        case("a kind in a longer form", fields(&[ID, b"\x02\xcc\x01", TO, SENT]), "kind: 1 in a longer form"),
        case("a negative time", fields(&[ID, KIND, TO, b"\x08\xff"]), "sent: expected an unsigned integer"),
        case(
            "a name with a space",
            to(b"\x05\xa3a b"),
            "to: \"a b\" is not a valid agent name: ' ' at position 1",
        ),
        case("an empty name", to(b"\x05\xa0"), "to: \"\" is not a valid agent name: it is empty"),
        case("a name that is not UTF-8", to(b"\x05\xa2\xff\xfe"), "to: not UTF-8"),
        case("a name in a longer form", to(b"\x05\xd9\x01a"), "to: 1 in a longer form"),
        case(
            "an unknown scheme",
            to(b"\x05\xa6http:x"),
            "to: \"http:x\" is not a valid address: ':' at position 4",
        ),
        case("a key of 31 bytes", to(&[&b"\x05\xc4\x1f"[..], &[1; 31]].concat()), "to: 31 bytes; send 32"),
        case(
            "a trace of 24 bytes",
            sent(&[&[&b"\x0a\xc4\x18"[..], &[1; 24]].concat()], b""),
            "trace: 24 bytes; send 25",
        ),
        case("a trace of zeros", sent(&[&trace(0)], b""), "trace: "),
        case("a trace state alone", sent(&[b"\x0b\xa3a=b"], b""), "trace_state: without a trace"),
        case("a trace state that is none", sent(&[&trace(1), b"\x0b\xa1a"], b""), "\"a\" is not key=value"),
        case(
            "attempt 2^32",
            sent(&[b"\x0c\xcf\x00\x00\x00\x01\x00\x00\x00\x00"], b""),
            "attempt: 4294967296",
        ),
        case("a content type without a slash", sent(&[b"\x0e\xa3png"], b""), "content_type: "),
        case(
            "a chain of 33",
            sent(&[&[&b"\x10\xdc\x00\x21"[..], &b"\xa1a".repeat(33)].concat()], b""),
            "call_chain: 33",
        ),
        case("a chain of 4 Gi", sent(&[b"\x10\xdd\xff\xff\xff\xff"], b""), "call_chain: 4294967295"),
        case("a chain with an empty name", sent(&[b"\x10\x91\xa0"], b""), "call_chain: \"\""),
        case("an idempotency key with a space", sent(&[b"\x0d\xa1 "], b""), "idempotency_key: \" \""),
    ]
}

/// Fields that say what leaving them out says.
fn usual() -> Vec<Case> {
    let key = b"\x04\xd9\x38did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    vec![
        case("attempt 1", sent(&[b"\x0c\x01"], b""), "attempt: its usual value"),
        case(
            "the usual content type",
            sent(&[b"\x0e\xb3application/msgpack"], b""),
            "content_type: its usual value",
        ),
        case("encoding 0", sent(&[b"\x0f\x00"], b""), "encoding: its usual value"),
        case("an empty chain", sent(&[b"\x10\x90"], b""), "call_chain: its usual value"),
        case("a key as text", fields(&[ID, KIND, key, TO, SENT]), "from: an agent's key as text"),
    ]
}

fn unknown() -> Vec<Case> {
    let deep = [&b"\x11"[..], &[0x91; 33], b"\xc0"].concat();
    vec![
        case("an unknown field, too deep", sent(&[&deep], b""), "nested deeper than 32"),
        case("an unknown field that lies", sent(&[b"\x11\xdb\xff\xff\xff\xff"], b""), "promised"),
        case("an unknown field with a key twice", sent(&[b"\x11\x82\x01\x01\x01\x02"], b""), "already has"),
        case("an unknown field without a value", fields(&[ID, KIND, TO, SENT, b"\x11\xc1"]), "0xc1"),
    ]
}
