//! Envelopes: of this version, and of later ones.

use bytes::Bytes;
use connectome_codecs::*;

use super::{NODE, NOW, Sample, envelope, parsed};

pub(crate) fn minimal() -> Envelope {
    let id = MessageId::from_parts(NOW, 1);
    Envelope::new(id, Kind::Text, parsed("greeter"), NOW, Bytes::from_static(b"\x81\xa4text\xa2hi"))
}

pub(crate) fn full() -> Envelope {
    let mut trace: TraceContext = parsed("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    trace.state = Some(parsed("vendor=a1,other@b=2"));
    let mut envelope = minimal()
        .named(parsed("shop.greet"))
        .from(parsed("shop/eu/till-3"))
        .correlated(MessageId::from_parts(NOW, 2))
        .reply_to(NODE)
        .expires_at(UnixMillis(NOW.0 + 5_000))
        .traced(trace)
        .attempt(Attempt(3))
        .idempotency_key(parsed("order-17/line-2"))
        .content_type(ContentType::Json)
        .call_chain(vec![parsed("front"), parsed("shop/eu/till-3")]);
    envelope.kind = Kind::Typed;
    (envelope.encoding, envelope.body) = (Encoding::Unknown(200), Bytes::from_static(b"sealed"));
    envelope
}

pub(super) fn envelopes() -> Vec<Sample> {
    let id = AgentId([9; 32]);
    let plain = Bytes::from(b"to be or not to be, ".repeat(20));
    let with = |change: fn(&mut Envelope)| {
        let mut envelope = minimal();
        change(&mut envelope);
        envelope
    };
    let packed = |encoding, packed: &[u8]| {
        let mut envelope = minimal().content_type(ContentType::Text);
        (envelope.encoding, envelope.body) = (encoding, Bytes::copy_from_slice(packed));
        assert_eq!(envelope.plain_body().expect("a sample is valid"), plain);
        envelope
    };
    vec![
        envelope("envelope-minimal", "only what every envelope has", minimal()),
        envelope("envelope-full", "every field of this version", full()),
        envelope("envelope-empty-body", "a body of no bytes", with(|e| e.body = Bytes::new())),
        envelope(
            "envelope-long-body",
            "a body of 300 bytes",
            with(|e| e.body = Bytes::from(vec![0xc1; 300])),
        ),
        envelope("envelope-to-id", "to an agent's key, from an agent's key", {
            let mut envelope = minimal().from(Address::Id(AgentId([3; 32])));
            envelope.to = Address::Id(id);
            envelope
        }),
        envelope(
            "envelope-to-capability",
            "to whoever can summarise",
            with(|e| e.to = parsed("can:summarise")),
        ),
        envelope("envelope-traced", "a trace without vendor state", {
            minimal().traced(parsed("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"))
        }),
        envelope(
            "envelope-content-type",
            "a media type that is none of the usual ones",
            minimal().content_type(parsed("image/png")),
        ),
        envelope(
            "envelope-call-chain",
            "three agents wait, one of them with a long name",
            minimal().call_chain(vec![parsed("a"), parsed("b/c"), parsed(&"long-".repeat(10))]),
        ),
        envelope("envelope-first-moment", "numbers at their smallest and largest", {
            with(|e| {
                (e.sent, e.expires, e.attempt) =
                    (UnixMillis(0), Some(UnixMillis(u64::MAX)), Attempt(u32::MAX))
            })
        }),
        envelope("envelope-lz4", "a body packed with LZ4", packed(Encoding::Lz4, LZ4)),
        envelope("envelope-zstd", "a body packed with Zstandard", packed(Encoding::Zstd, ZSTD)),
        envelope("envelope-unknown-kind", "a kind of a later version", with(|e| e.kind = Kind::from(77))),
    ]
}

/// 20 times `to be or not to be, `, as LZ4 and as Zstandard: literals, because another version of a compressor may
/// pack otherwise.
const LZ4: &[u8] = &[
    0x90, 0x01, 0x00, 0x00, 0xd1, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x20, 0x6f, 0x72, 0x20, 0x6e, 0x6f, 0x74,
    0x20, 0x0d, 0x00, 0x12, 0x2c, 0x07, 0x00, 0x0f, 0x14, 0x00, 0xff, 0x5f, 0x60, 0x6f, 0x20, 0x62, 0x65,
    0x2c, 0x20,
];
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x90, 0x00, 0xed, 0x00, 0x00, 0x98, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x20,
    0x6f, 0x72, 0x20, 0x6e, 0x6f, 0x74, 0x20, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x2c, 0x02, 0x00, 0x74, 0x37,
    0x15, 0x28, 0xac, 0x84, 0x01,
];

/// Envelopes as a later version would write them; nothing here can make one, so they are bytes.
pub(super) fn future_envelopes() -> Vec<Sample> {
    let known = minimal().encode().expect("a sample is valid");
    let (header, body) = known.split_at(known.len() - minimal().body.len() - 2);
    let extra: &[u8] = b"\x11\x81\xa3new\x93\x01\xca\x3f\x80\x00\x00\xc0\xcd\x01\x00\xa6opaque";
    let later = |version: u8, fields: u8| {
        let mut bytes = header.to_vec();
        (bytes[1], bytes[2]) = (version, 0x80 | fields);
        bytes.extend_from_slice(if fields > 4 { extra } else { &[] });
        bytes.extend_from_slice(body);
        Envelope::decode(bytes.into()).expect("a later version keeps the form")
    };
    vec![
        envelope("envelope-unknown-fields", "two fields of a later version", later(1, 6)),
        envelope("envelope-version-2", "a later version with two new fields", later(2, 6)),
        envelope("envelope-version-127", "a much later version without new fields", later(127, 4)),
    ]
}
