//! Every table has its bound, whatever a peer does, and so has what is read from a record.

use bytes::Bytes;
use connectome_codecs::session::{
    CHAINS_MAX, CONSUMED_MAX, Context, FORGOTTEN_MAX, Limiter, PAYLOAD_MAX, Policy, RECORD_MAX, REPLAYS_MAX,
    ReplayWindow, SKIPPED_MAX, SealError, Sealed, Sealing, Session, Signatures,
};
use connectome_codecs::wire::DecodeError;
use connectome_codecs::{AgentId, Refusal, UnixMillis};

use crate::sealed::cast::{Actor, DAY, NOW, two};

/// Two that sign new ratchet keys alone, for many messages.
fn quick_two() -> (Actor, Actor) {
    let (mut ada, mut bob) = two();
    for actor in [&mut ada, &mut bob] {
        actor.policy = Policy { signatures: Signatures::Checkpoint, ..Policy::default() };
    }
    (ada, bob)
}

/// Both take a turn.
fn turns(ada: &mut Actor, bob: &mut Actor) {
    (ada.now, bob.now) = (ada.now.after(DAY / 1440), bob.now.after(DAY / 1440));
    let there = ada.seal(bob.peer(), "there");
    bob.read(&there).unwrap();
    let back = bob.seal(ada.peer(), "back");
    ada.read(&back).unwrap();
}

fn record(actor: &mut Actor, with: &Actor) -> Vec<u8> {
    actor.session(with.peer()).encode().to_vec()
}

/// Keys for late messages, of all chains together.
#[test]
fn keys_of_late_messages_are_bounded() {
    let (mut ada, mut bob) = quick_two();
    let mut oldest: Option<Sealed> = None;
    for _ in 0..3 {
        let late: Vec<Sealed> = (0..SKIPPED_MAX / 2).map(|_| ada.seal(bob.peer(), "late")).collect();
        oldest.get_or_insert(late[0].clone());
        let now = ada.seal(bob.peer(), "now");
        bob.read(&now).unwrap();
        turns(&mut ada, &mut bob);
    }
    let kept = record(&mut bob, &ada);
    assert!(kept.len() > SKIPPED_MAX * 44 && kept.len() <= RECORD_MAX);
    assert!(Session::decode(&kept).is_ok());
    assert_eq!(bob.open(&oldest.unwrap()).unwrap_err(), Refusal::KeyEvicted);
}

/// Marks of handled messages.
#[test]
fn marks_are_bounded() {
    let (mut ada, mut bob) = quick_two();
    let first = ada.seal(bob.peer(), "first");
    bob.read(&first).unwrap();
    for _ in 0..CONSUMED_MAX {
        let sealed = ada.seal(bob.peer(), "next");
        bob.read(&sealed).unwrap();
    }
    assert!(Session::decode(&record(&mut bob, &ada)).is_ok());
    assert_eq!(bob.open(&first).unwrap_err(), Refusal::KeyEvicted, "late, and not opened again");
}

/// Chains and forgotten ratchet keys.
#[test]
fn turns_are_bounded() {
    let (mut ada, mut bob) = quick_two();
    (0..CHAINS_MAX + FORGOTTEN_MAX + 5).for_each(|_| turns(&mut ada, &mut bob));
    let grown = record(&mut bob, &ada).len();
    turns(&mut ada, &mut bob);
    assert_eq!(record(&mut bob, &ada).len(), grown);
    assert!(Session::decode(&record(&mut bob, &ada)).is_ok());
}

/// A record with more keys than are kept, or longer than any is, is none.
#[test]
fn records_are_bounded() {
    let (mut ada, mut bob) = quick_two();
    let kept = record(&mut bob, &ada);
    // At the end: no keys of late messages, one mark of 12 bytes, no forgotten keys.
    let (head, tail) = kept.split_at(kept.len() - 18);
    assert_eq!((&tail[..4], &tail[16..]), (&[0xc4, 0, 0xc4, 12][..], &[0xc4, 0][..]));
    let with = |keys: u32| {
        let entry = |number: u32| [&number.to_be_bytes()[..], &[7; 40]].concat();
        let entries: Vec<u8> = (0..keys).flat_map(entry).collect();
        let length = (entries.len() as u32).to_be_bytes();
        Session::decode(&[head, &[0xc6], &length, &entries, &tail[2..]].concat())
    };
    assert!(with(SKIPPED_MAX as u32).is_ok());
    assert!(matches!(with(SKIPPED_MAX as u32 + 1).unwrap_err(), Refusal::Malformed { .. }));
    let refusal = Session::decode(&vec![0x9f; RECORD_MAX + 1]).unwrap_err();
    assert!(matches!(refusal, Refusal::Malformed { problem: DecodeError::TooLong { .. }, .. }), "{refusal}");
    let _ = ada.seal(bob.peer(), "they go on");
}

/// A payload that no envelope would carry is not sealed, and no key is lost by it.
#[test]
fn payloads_are_bounded() {
    let (mut ada, mut bob) = two();
    let next = ada.seal(bob.peer(), "next");
    let Actor { sessions, instance, entropy, .. } = &mut ada;
    let session = sessions.with(bob.peer()).unwrap();
    let sealing = Sealing { key: &instance.keys().signing, each: true, padded: false };
    let context = Context::from_bytes(Bytes::from("c"));
    let long = session.seal(&context, Bytes::from(vec![0; PAYLOAD_MAX + 1]), sealing, entropy);
    assert_eq!(long, Err(SealError::TooLong { length: PAYLOAD_MAX + 1, max: PAYLOAD_MAX }));
    let after = ada.seal(bob.peer(), "after");
    assert_eq!(after.bytes[59], next.bytes[59] + 1);
    assert_eq!(bob.read(&after).unwrap(), "after");
}

/// A window that is full of current names takes none until some are out of date: nothing is forgotten early.
#[test]
fn windows_are_bounded() {
    let mut window = ReplayWindow::new(DAY);
    let name = |n: usize| (n as u128).to_be_bytes();
    (0..REPLAYS_MAX).for_each(|n| window.take(name(n), NOW, NOW).unwrap());
    let full = Refusal::Full { what: "name of a message", max: REPLAYS_MAX };
    assert_eq!(window.take(name(REPLAYS_MAX), NOW, NOW), Err(full));
    assert_eq!(window.take(name(0), NOW, NOW), Err(Refusal::Replayed));
    let tomorrow = NOW.after(DAY);
    assert_eq!(window.take(name(REPLAYS_MAX), tomorrow, tomorrow), Ok(()));
}

/// Who asks in a loop is served four times, and then once a minute.
#[test]
fn requests_are_bounded() {
    let mut limiter = Limiter::default();
    let mut allowed = |from: u64, to: u64| {
        (from..to).filter(|second| limiter.allow(AgentId([7; 32]), UnixMillis(second * 1000))).count()
    };
    assert_eq!(allowed(0, 59), 4);
    assert_eq!(allowed(60, 660), 10);
}

/// A chain that has ended does not go on: who does so went back in time.
#[test]
fn a_chain_that_ended_does_not_go_on() {
    let (mut ada, mut bob) = two();
    (ada.now, bob.now) = (NOW.after(DAY / 1440), NOW.after(DAY / 1440));
    let here = ada.seal(bob.peer(), "here");
    let old = ada.session(bob.peer()).encode();
    bob.read(&here).unwrap();
    let back = bob.seal(ada.peer(), "back");
    ada.read(&back).unwrap();
    turns(&mut ada, &mut bob);
    ada.sessions = connectome_codecs::session::Sessions::new();
    ada.sessions.restore(Session::decode(&old).unwrap(), NOW);
    let again = ada.seal(bob.peer(), "on the chain before");
    assert_eq!(again.bytes[20..52], here.bytes[20..52], "the same chain");
    assert_eq!(bob.open(&again).unwrap_err(), Refusal::CounterReuse);
}
