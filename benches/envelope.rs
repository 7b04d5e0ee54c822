//! Encoding and decoding an envelope, beside the same fields through `rmp-serde`, and beside copying the bytes.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use connectome::codecs::envelope::TraceContext;
use connectome::codecs::{Envelope, Kind, MessageId, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::harness::{Group, Unit};

/// The sizes of bodies: a command, a paragraph, a document.
const BODIES: [(&str, usize); 3] = [("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

/// Operations of one turn.
const OPERATIONS: u32 = 20_000;

const ENCODE: &str = "Ours checks that what it writes can be read back. The copy: the body and as many bytes as the header has.";

const DECODE: &str = "\
Ours checks that the bytes are in their one form, parses the names, and shares the body with the frame; the plain struct
  checks UTF-8 and copies. The copy is of the frame.";

/// An envelope's fields without an envelope's rules.
#[derive(Serialize, Deserialize)]
struct Plain {
    version: u8,
    id: Bytes,
    kind: u8,
    name: Option<String>,
    from: Option<String>,
    to: String,
    correlation: Option<Bytes>,
    reply_to: Option<Bytes>,
    sent: u64,
    expires: Option<u64>,
    trace: Option<Bytes>,
    body: Bytes,
}

pub(crate) fn groups() -> Vec<Group> {
    let groups = BODIES.map(|(name, size)| [encode(name, size), decode(name, size)]);
    groups.into_iter().flatten().collect()
}

fn encode(name: &str, size: usize) -> Group {
    let (envelope, plain) = (envelope(size), plain(size));
    let bytes = envelope.encode().expect("it fits a frame");
    Group::new(format!("envelope, encode, {name}"), Unit::Nanoseconds, ENCODE)
        .way("connectome", move || each(|| envelope.encode().expect("it fits a frame")))
        .way("rmp-serde, plain struct", move || {
            each(|| rmp_serde::to_vec(&plain).expect("it can be written"))
        })
        .way("copy", move || each(|| black_box(&bytes).to_vec()))
}

fn decode(name: &str, size: usize) -> Group {
    let bytes = envelope(size).encode().expect("it fits a frame");
    let copied = bytes.clone();
    let plain = rmp_serde::to_vec(&plain(size)).expect("it can be written");
    Group::new(format!("envelope, decode, {name}"), Unit::Nanoseconds, DECODE)
        .way("connectome", move || each(|| Envelope::decode(bytes.clone()).expect("it was just written")))
        .way("rmp-serde, plain struct", move || {
            each(|| rmp_serde::from_slice::<Plain>(black_box(&plain)).expect("it was just written"))
        })
        .way("copy", move || each(|| black_box(&copied).to_vec()))
}

fn each<T>(operation: impl Fn() -> T) -> f64 {
    let began = Instant::now();
    for _ in 0..OPERATIONS {
        black_box(operation());
    }
    began.elapsed().as_nanos() as f64 / f64::from(OPERATIONS)
}

const SENT: UnixMillis = UnixMillis(1_700_000_000_000);
const EXPIRES: UnixMillis = UnixMillis(1_700_000_005_000);

/// What a call between two nodes carries.
fn envelope(size: usize) -> Envelope {
    let id = MessageId::from_parts(SENT, 7);
    let trace = TraceContext::new([1; 16], [2; 8], TraceContext::SAMPLED).expect("nothing in it is zero");
    Envelope::new(id, Kind::Typed, "indexer/worker-7".parse().expect("a name"), SENT, body(size))
        .named("summarise".parse().expect("a name"))
        .from("editor".parse().expect("a name"))
        .correlated(id)
        .reply_to(NodeId([3; 32]))
        .expires_at(EXPIRES)
        .traced(trace)
}

fn plain(size: usize) -> Plain {
    Plain {
        version: 1,
        id: Bytes::from_static(&[7; 16]),
        kind: 7,
        name: Some("summarise".to_owned()),
        from: Some("editor".to_owned()),
        to: "indexer/worker-7".to_owned(),
        correlation: Some(Bytes::from_static(&[7; 16])),
        reply_to: Some(Bytes::from_static(&[3; 32])),
        sent: SENT.0,
        expires: Some(EXPIRES.0),
        trace: Some(Bytes::from_static(&[1; 25])),
        body: body(size),
    }
}

/// Bytes that say nothing.
fn body(size: usize) -> Bytes {
    (0..size).map(|at| at as u8).collect()
}
