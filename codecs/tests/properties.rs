//! What is encoded decodes to the same, whatever the values; and what was decoded has one form.

mod strategies;

use std::collections::BTreeMap;

use bytes::Bytes;
use connectome_codecs::compression::{Encoding, compress, decompress, negotiate};
use connectome_codecs::limits::{BODY_MAX, COMPRESSION_THRESHOLD};
use connectome_codecs::*;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::samples::Wire;

/// Decoding what was encoded gives the value back, and encoding that gives the bytes back.
fn round_trip<T: Wire>(value: &T) {
    let bytes = value.write().expect("a generated value is valid");
    let read = T::read(&bytes).expect("what was encoded decodes");
    assert_eq!(&read, value);
    assert_eq!(read.write().unwrap(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Envelopes keep every field.
    #[test]
    fn envelopes_round_trip(envelope in strategies::envelope()) {
        round_trip(&envelope);
    }

    /// A later version, and the fields that it adds, pass through this one byte for byte.
    #[test]
    fn later_versions_pass_through(
        envelope in strategies::envelope(),
        version in 1..=127u8,
        fields in proptest::collection::btree_map(17..=0x7fu8, strategies::message_pack(), 1..8),
    ) {
        let bytes = envelope.encode().unwrap();
        let future = add_fields(&bytes, envelope.body.len(), version, &fields);
        let read = Envelope::decode(future.clone()).unwrap();
        prop_assert_eq!(read.version, version);
        prop_assert_eq!(read.unknown.len(), fields.len());
        let kept: BTreeMap<u8, Vec<u8>> = read.unknown.iter().map(|(key, raw)| (key as u8, raw.to_vec())).collect();
        prop_assert_eq!(kept, fields);
        prop_assert_eq!(read.encode().unwrap(), future);
    }

    /// The body of a decoded envelope is a slice of the bytes it came in, not a copy.
    #[test]
    fn bodies_are_not_copied(envelope in strategies::envelope()) {
        let bytes = envelope.encode().unwrap();
        let body = Envelope::decode(bytes.clone()).unwrap().body;
        prop_assert!(body.is_empty() || bytes.as_ptr_range().contains(&body.as_ptr()));
    }

    /// Messages of every kind keep every field.
    #[test]
    fn messages_round_trip(
        (text, task, response) in (strategies::text(), strategies::task(), strategies::response()),
        (status, error, heartbeat) in (strategies::status(), strategies::error(), strategies::heartbeat()),
        (discovery, control) in (strategies::discovery(), strategies::control()),
    ) {
        round_trip(&text);
        round_trip(&task);
        round_trip(&response);
        round_trip(&status);
        round_trip(&error);
        round_trip(&heartbeat);
        round_trip(&discovery);
        round_trip(&control);
    }

    /// Events of every type keep every field, and unknown ones keep their bytes.
    #[test]
    fn events_round_trip(event in strategies::event()) {
        round_trip(&event);
    }

    /// Task records keep every field, and their history stays bounded.
    #[test]
    fn task_records_round_trip(record in strategies::task_record()) {
        prop_assert!(record.history.len() <= limits::TASK_HISTORY_MAX);
        round_trip(&record);
    }

    /// Ids and addresses print what they parse, and ids sort by their moment.
    #[test]
    fn texts_round_trip(
        address in strategies::address(),
        (at, later, random) in (0..1u64 << 47, 1..1_000_000u64, any::<u128>()),
        key in any::<[u8; 32]>(),
    ) {
        prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        let id = MessageId::from_parts(UnixMillis(at), random);
        prop_assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        prop_assert_eq!(MessageId::from_bytes(id.to_bytes()), id);
        prop_assert_eq!(id.made_at(), UnixMillis(at));
        prop_assert!(id < MessageId::from_parts(UnixMillis(at + later), 0));
        prop_assert_eq!(NodeId(key).to_string().parse::<NodeId>().unwrap(), NodeId(key));
        prop_assert_eq!(AgentId(key).to_string().parse::<AgentId>().unwrap(), AgentId(key));
    }

    /// No text panics a parser, and what parses prints as it was, but for the case of an id.
    #[test]
    fn any_text_is_parsed_or_refused(text in strategies::near_text()) {
        let same = |printed: Option<String>| printed.is_none_or(|printed| printed.eq_ignore_ascii_case(&text));
        prop_assert!(same(text.parse::<Address>().ok().map(|parsed| parsed.to_string())));
        prop_assert!(same(text.parse::<NodeId>().ok().map(|parsed| parsed.to_string())));
        prop_assert!(same(text.parse::<MessageId>().ok().map(|parsed| parsed.to_string())));
        prop_assert!(same(text.parse::<ContentType>().ok().map(|parsed| parsed.to_string())));
        prop_assert!(same(text.parse::<envelope::TraceState>().ok().map(|parsed| parsed.to_string())));
        if let Ok(trace) = text.parse::<TraceContext>() {
            prop_assert_eq!(&trace.to_string()[2..], &text[2..55]);
        }
    }

    /// Human-readable formats write ids as text, and read them back.
    #[test]
    fn json_round_trips(record in strategies::task_record()) {
        let json = serde_json::to_value(&record).unwrap();
        prop_assert_eq!(json["id"].as_str().unwrap(), record.id.to_string());
        prop_assert_eq!(serde_json::from_value::<TaskRecord>(json).unwrap(), record);
    }

    /// Packing loses nothing, never makes a body larger, and leaves small bodies alone.
    #[test]
    fn packing_round_trips(body in strategies::body(), code in 0..5u8) {
        let body = Bytes::from(body);
        let (used, packed) = compress(&body, Encoding::from(code), COMPRESSION_THRESHOLD);
        prop_assert!(packed.len() <= body.len());
        prop_assert!(used == Encoding::Identity || used == Encoding::from(code) && body.len() >= COMPRESSION_THRESHOLD);
        prop_assert_eq!(decompress(&packed, used, BODY_MAX).unwrap(), body);
    }

    /// A user's own type keeps every field; byte vectors travel as bytes.
    #[test]
    fn user_types_round_trip(value in strategies::user_type(Everything::arbitrary)) {
        let bytes = wire::encode(&value).unwrap();
        prop_assert_eq!(wire::decode::<Everything>(&bytes).unwrap(), value);
    }
}

/// What peers may both know is chosen in the order of the offer; what nobody knows is not.
#[test]
fn negotiation_takes_the_first_known_offer() {
    let unknown = Encoding::Unknown(9);
    assert_eq!(negotiate(&[unknown, Encoding::Lz4, Encoding::Zstd]), Encoding::Lz4);
    assert_eq!(negotiate(Encoding::KNOWN), Encoding::Zstd);
    assert_eq!(negotiate(&[unknown]), Encoding::Identity);
    assert_eq!(negotiate(&[]), Encoding::Identity);
}

/// A field that a later version adds to a body is passed over.
#[test]
fn unknown_body_fields_are_passed_over() {
    #[derive(Serialize)]
    struct Later {
        text: &'static str,
        mood: [&'static str; 2],
    }
    let bytes = wire::encode(&Later { text: "hi", mood: ["calm", "kind"] }).unwrap();
    assert_eq!(<message::Text as message::Body>::decode(&bytes).unwrap().text, "hi");
}

/// Codes of a later version that decide what to do read as the cautious choice.
#[test]
fn unknown_effects_read_as_possible() {
    let error = crate::samples::error();
    let bytes = wire::encode(&error).unwrap().to_vec();
    let text = |bytes: &[u8], from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let later = text(&text(&bytes, b"\xa8possible", b"\xa8partial!"[..9].as_ref()), b"\xa4peer", b"\xa4moon");
    assert!(wire::decode::<message::Error>(&later).is_err(), "a code has no '!'");
    let later = text(&text(&bytes, b"\xa8possible", b"\xa7partial"), b"\xa4peer", b"\xa4moon");
    let read: message::Error = wire::decode(&later).unwrap();
    assert_eq!((read.effect, read.blame), (message::Effect::Possible, message::Blame::Environment));
}

/// Everything serde knows that a wire type may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Everything {
    pub(crate) truth: bool,
    pub(crate) signed: i64,
    pub(crate) unsigned: u64,
    pub(crate) wide: u128,
    pub(crate) real: f64,
    pub(crate) letter: char,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: Vec<Option<i32>>,
    pub(crate) map: BTreeMap<String, (u8, i8)>,
    pub(crate) numbered: BTreeMap<i64, String>,
    pub(crate) variant: Variant,
    pub(crate) nested: Option<Box<Everything>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Variant {
    Unit,
    Newtype(String),
    Tuple(u8, i16),
    Struct { x: f32 },
}

/// Rewrites an envelope of this version as a later one would have written it.
fn add_fields(bytes: &Bytes, body: usize, version: u8, fields: &BTreeMap<u8, Vec<u8>>) -> Bytes {
    let body_head = match body {
        0..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 5,
    };
    let (header, body) = bytes[2..].split_at(bytes.len() - 2 - body - body_head);
    let (known, header) = match header[0] {
        0xde => (u16::from_be_bytes([header[1], header[2]]) as usize, &header[3..]),
        head => (usize::from(head & 0x0f), &header[1..]),
    };
    let count = known + fields.len();
    let count = if count < 16 { vec![0x80 | count as u8] } else { vec![0xde, 0, count as u8] };
    let fields = fields.iter().flat_map(|(key, value)| [&[*key][..], value].concat()).collect::<Vec<u8>>();
    [&[0x93, version][..], &count, header, &fields, body].concat().into()
}
