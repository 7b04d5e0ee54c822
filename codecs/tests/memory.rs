//! Reading and refusing take at most four times the bytes in memory, beside a fixed allowance that has a name.
//!
//! This is a process of its own with one thread, because the peak of the whole process is what is measured. What
//! Zstandard allocates in C is not seen here; `compression` says how much that is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(
    dead_code,
    unused_imports,
    reason = "only the tables of hostile inputs are used; their tests run elsewhere"
)]
mod hostile;
#[allow(dead_code, reason = "only the values are used")]
mod samples;

use std::hint::black_box;

use bytes::Bytes;
use connectome_codecs::limits::{DECODE_FIXED, DISCOVERY_DECODE_FIXED, FRAME_MAX, VALUES_MAX};
use connectome_codecs::message::{self, *};
use connectome_codecs::*;
use peak_alloc::PeakAlloc;
use serde::de::IgnoredAny;

use samples::envelopes::full;
use samples::events::event;
use samples::{discovery, parsed, record, samples};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Decodes and forgets.
type Decoder = fn(&Bytes);

const DECODERS: &[(&str, Decoder, usize)] = &[
    ("envelope", |bytes| drop(black_box(Envelope::decode(bytes.clone()))), DECODE_FIXED),
    ("text", body::<Text>, DECODE_FIXED),
    ("task", body::<Task>, DECODE_FIXED),
    ("response", body::<Response>, DECODE_FIXED),
    ("status", body::<Status>, DECODE_FIXED),
    ("error", body::<message::Error>, DECODE_FIXED),
    ("discovery", body::<Discovery>, DISCOVERY_DECODE_FIXED),
    ("heartbeat", body::<Heartbeat>, DECODE_FIXED),
    ("control", body::<Control>, DECODE_FIXED),
    ("event", |bytes| drop(black_box(Event::decode(bytes))), DECODE_FIXED),
    ("task record", |bytes| drop(black_box(TaskRecord::decode(bytes))), DECODE_FIXED),
    ("structure", |bytes| drop(black_box(wire::decode::<IgnoredAny>(bytes))), DECODE_FIXED),
];

fn body<T: Body>(bytes: &Bytes) {
    drop(black_box(T::decode(bytes)));
}

fn main() {
    let inputs: Vec<(String, Bytes)> = [valid(), hostile(), dense()].into_iter().flatten().collect();
    let mut worst = vec![(0, ""); DECODERS.len()];
    for (input, bytes) in &inputs {
        for (worst, (decoder, decode, fixed)) in worst.iter_mut().zip(DECODERS) {
            let peak = peak(|| decode(bytes));
            assert!(
                peak <= 4 * bytes.len() + fixed,
                "{decoder}, {input}: {peak} bytes of memory for {}",
                bytes.len()
            );
            *worst = (*worst).max((peak.saturating_sub(4 * bytes.len()), input));
        }
    }
    for ((decoder, _, fixed), (beyond, input)) in DECODERS.iter().zip(worst) {
        println!("{decoder}: at most {beyond} of {fixed} bytes beyond 4 x size ({input})");
    }
    flipped_bits();
    compressed();
    println!("{} inputs, {} decoders: all within four times their size", inputs.len(), DECODERS.len());
}

/// The most memory that `work` holds at any moment.
fn peak(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

fn valid() -> Vec<(String, Bytes)> {
    samples().into_iter().map(|sample| (sample.name.to_owned(), sample.bytes)).collect()
}

fn hostile() -> Vec<(String, Bytes)> {
    let bodies = hostile::bodies::cases().into_iter().flat_map(|(_, cases)| cases);
    let cases = hostile::shapes::cases().into_iter().chain(hostile::envelopes::cases()).chain(bodies);
    cases.map(|case| (case.name.to_owned(), case.bytes.into())).collect()
}

/// Inputs that are valid and as much larger in memory than on the wire as they can be.
fn dense() -> Vec<(String, Bytes)> {
    let tiny = AgentRecord { id: None, role: None, version: "1".into(), ..record("a") };
    let capable = AgentRecord { capabilities: vec![parsed("a"); limits::CAPABILITIES_MAX], ..tiny.clone() };
    let bare = AgentRecord { capabilities: Vec::new(), ..tiny };
    let registry = |record: AgentRecord| Discovery {
        added: vec![record; limits::DISCOVERY_RECORDS_MAX],
        removed: vec![parsed("a"); limits::DISCOVERY_RECORDS_MAX],
        ..discovery(DiscoveryAction::Delta)
    };
    let mut record = TaskRecord::submitted(&samples::task(), samples::NOW);
    (0..64).for_each(|_| record.step(parsed("x"), UnixMillis(0), ""));
    let registered =
        connectome_codecs::event::AgentRegistered { node: samples::NODE, agent: capable.clone() };
    let event = event(EventSource::Node(samples::NODE), Fact::AgentRegistered(registered));
    let chain = full().call_chain(vec![parsed("a"); limits::CALL_CHAIN_MAX]);
    let maps = (VALUES_MAX / 2) as u32 - 1;
    let keys = |key: u32| [&[0xcd][..], &(key as u16).to_be_bytes(), &[0xc0]].concat();
    let map = [vec![0xdf], maps.to_be_bytes().to_vec(), (0..maps).flat_map(keys).collect()].concat();
    vec![
        ("a dense registry".into(), registry(capable).encode().unwrap()),
        ("a registry of bare records".into(), registry(bare).encode().unwrap()),
        ("a dense event".into(), event.encode().unwrap()),
        ("a full history".into(), record.encode().unwrap()),
        ("a full chain".into(), chain.encode().unwrap()),
        ("the largest map".into(), map.into()),
        ("a frame of text".into(), wire::encode(&"a".repeat(FRAME_MAX - 5)).unwrap()),
    ]
}

/// A single flipped bit does not make any sample expensive.
fn flipped_bits() {
    for sample in samples() {
        for bit in 0..sample.bytes.len() * 8 {
            let mut bytes = sample.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bytes = Bytes::from(bytes);
            let peak = peak(|| DECODERS.iter().for_each(|(_, decode, _)| decode(&bytes)));
            assert!(peak <= 4 * bytes.len() + DECODE_FIXED, "{} with bit {bit}: {peak} bytes", sample.name);
        }
    }
}

/// A bomb is refused within four times its size or four times what really came out of it, and never above the limit.
fn compressed() {
    const LIMIT: usize = 64 * 1024;
    for case in hostile::compression::cases() {
        let body = Bytes::copy_from_slice(&case.bytes[1..]);
        let encoding = Encoding::from(case.bytes[0]);
        let peak = peak(|| drop(black_box(compression::decompress(&body, encoding, LIMIT))));
        let allowed = (4 * body.len()).clamp(DECODE_FIXED, LIMIT + DECODE_FIXED);
        let really_unpacks = case.name.contains("says the limit");
        assert!(
            peak <= allowed || really_unpacks && peak <= LIMIT + DECODE_FIXED,
            "{}: {peak} bytes",
            case.name
        );
    }
}
