//! Sealing and opening, handshakes, requests with their replies: a session of ours beside AES-256-GCM alone and beside
//! Olm, Noise and MLS.
//!
//! Both ends live in one thread and nothing is sent or written, so what is measured is the state machine. What differs
//! between the peers stands in each one's file; the notes say what to make of it.

mod floor;
mod mls;
mod noise;
mod olm;
mod ours;

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;

use crate::harness::{Group, Unit};

/// The sizes of payloads: a command, a call, a paragraph, a document.
const PAYLOADS: [(&str, usize); 4] = [("64 B", 64), ("256 B", 256), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10)];

/// Messages of one turn: whole batches, whole reservations.
const MESSAGES: usize = 2_048;

/// Messages of one turn where each is signed: their cost is that of the signature.
const SIGNED: usize = 256;

/// Handshakes of one turn.
const HANDSHAKES: usize = 32;

const SEAL: &str = "\
Ours hashes the envelope around each message, derives its key, and makes a record each 64 messages; Noise counts with one key
  for ever. Where each message is signed, MLS is the one to compare with; a batch is one of 64 under one signature.";

const OPEN: &str = "\
Ours with its commit, in order. With the record: what is written together with the message's effect is made too, for each
  message alone.";

const HANDSHAKE: &str = "\
Both sides, from a published bundle to the first message read. Ours verifies the bundle and the certificates in it, claims a
  one-time prekey, and signs; Olm verifies nothing by itself; Noise needs both sides awake; MLS makes a group of two.";

const ROUND_TRIP: &str = "\
A message there, read, and one back, read. Ours takes its turns late, as it does in use; Olm agrees on a key each time that
  the direction changes; Noise never does.";

/// The two ends of a conversation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ada,
    Bob,
}

/// Two that talk to each other.
trait Pair: Sized + 'static {
    /// What goes from one end to the other.
    type Message;

    /// Two that have met, and heard of each other.
    fn meet() -> Self;

    /// Seals at one end.
    fn seal(&mut self, end: End, payload: &Bytes) -> Self::Message;

    /// Opens at the other one, for good.
    fn open(&mut self, end: End, message: Self::Message) -> usize;
}

pub(crate) fn groups() -> Vec<Group> {
    let sizes = PAYLOADS.into_iter().flat_map(|(name, size)| [seal(name, size), open(name, size)]);
    sizes.chain([handshake(), round_trip()]).collect()
}

fn seal(name: &str, size: usize) -> Group {
    Group::new(format!("sealed, seal, {name}"), Unit::Nanoseconds, SEAL)
        .way("connectome", seal_with::<ours::Pair<false>>(size, MESSAGES))
        .way("AES-256-GCM", seal_with::<floor::Pair>(size, MESSAGES))
        .way("connectome, in batches", ours::seal_batches(payload(size), MESSAGES))
        .way("connectome, each signed", seal_with::<ours::Pair<true>>(size, SIGNED))
        .way("vodozemac (Olm)", seal_with::<olm::Pair>(size, MESSAGES))
        .way("snow (Noise)", seal_with::<noise::Pair>(size, MESSAGES))
        .way("openmls (MLS), each signed", seal_with::<mls::Pair>(size, SIGNED))
}

fn open(name: &str, size: usize) -> Group {
    Group::new(format!("sealed, open, {name}"), Unit::Nanoseconds, OPEN)
        .way("connectome", open_with::<ours::Pair<false>>(size, MESSAGES))
        .way("AES-256-GCM", open_with::<floor::Pair>(size, MESSAGES))
        .way("connectome, in batches", ours::open_batches(payload(size), MESSAGES))
        .way("connectome, each signed", open_with::<ours::Pair<true>>(size, SIGNED))
        .way("connectome, with the record", ours::open_with_records(payload(size), MESSAGES))
        .way("vodozemac (Olm)", open_with::<olm::Pair>(size, MESSAGES))
        .way("snow (Noise)", open_with::<noise::Pair>(size, MESSAGES))
        .way("openmls (MLS), each signed", open_with::<mls::Pair>(size, SIGNED))
}

fn handshake() -> Group {
    Group::new("sealed, handshake", Unit::Nanoseconds, HANDSHAKE)
        .way("connectome, with ML-KEM-768", ours::handshakes(true, HANDSHAKES))
        .way("connectome, X25519 alone", ours::handshakes(false, HANDSHAKES))
        .way("vodozemac (Olm)", olm::handshakes(HANDSHAKES))
        .way("snow (Noise XX)", noise::handshakes(HANDSHAKES))
        .way("openmls (MLS)", mls::handshakes(HANDSHAKES))
}

fn round_trip() -> Group {
    Group::new("sealed, request and reply, 256 B", Unit::Nanoseconds, ROUND_TRIP)
        .way("connectome", round_trips::<ours::Pair<false>>(MESSAGES))
        .way("AES-256-GCM", round_trips::<floor::Pair>(MESSAGES))
        .way("connectome, each signed", round_trips::<ours::Pair<true>>(SIGNED))
        .way("vodozemac (Olm)", round_trips::<olm::Pair>(SIGNED))
        .way("snow (Noise)", round_trips::<noise::Pair>(MESSAGES))
        .way("openmls (MLS), each signed", round_trips::<mls::Pair>(SIGNED))
}

fn seal_with<P: Pair>(size: usize, count: usize) -> impl FnMut() -> f64 {
    let (mut pair, payload) = (None, payload(size));
    move || {
        let pair = pair.get_or_insert_with(P::meet);
        each(count, || drop(black_box(pair.seal(End::Ada, &payload))))
    }
}

fn open_with<P: Pair>(size: usize, count: usize) -> impl FnMut() -> f64 {
    let (mut pair, payload) = (None, payload(size));
    move || {
        let pair = pair.get_or_insert_with(P::meet);
        let sealed: Vec<P::Message> = (0..count).map(|_| pair.seal(End::Ada, &payload)).collect();
        let mut sealed = sealed.into_iter();
        each(count, || {
            let message = sealed.next().expect("as many were sealed");
            assert_eq!(pair.open(End::Bob, message), size);
        })
    }
}

fn round_trips<P: Pair>(count: usize) -> impl FnMut() -> f64 {
    let (mut pair, payload) = (None, payload(256));
    move || {
        let pair = pair.get_or_insert_with(P::meet);
        each(count, || {
            let request = pair.seal(End::Ada, &payload);
            pair.open(End::Bob, request);
            let reply = pair.seal(End::Bob, &payload);
            assert_eq!(pair.open(End::Ada, reply), 256);
        })
    }
}

fn each(count: usize, mut operation: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..count {
        operation();
    }
    began.elapsed().as_nanos() as f64 / count as f64
}

/// Bytes that say nothing.
fn payload(size: usize) -> Bytes {
    (0..size).map(|at| at as u8).collect()
}
