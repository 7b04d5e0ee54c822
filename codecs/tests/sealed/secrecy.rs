//! What a thief of state gets: nothing from before, and soon nothing from after. And secrets do not print.

use connectome_codecs::key::{DhSecret, KemSecret, Secret, SigningKey};
use connectome_codecs::session::{Sealed, Sessions};
use connectome_codecs::{Refusal, seal::StoreKey};

use crate::sealed::cast::{Actor, DAY, Seeded, two};

/// Whoever has all of a receiver's state, taken now, and all that was ever sent, opens nothing that was handled before.
#[test]
fn a_stolen_state_opens_nothing_earlier() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let mut sent: Vec<Sealed> = Vec::new();
    for n in 0..30 {
        (ada.now, bob.now) = (ada.now.after(DAY / 2880), bob.now.after(DAY / 2880));
        let message = ada.seal(bob.peer(), &n.to_string());
        bob.read(&message).unwrap();
        sent.push(message);
        let back = bob.seal(ada.peer(), "back");
        ada.read(&back).unwrap();
    }
    // The thief has what Bob has, his prekeys too, and may forget what he knows: the keys are not there.
    bob.restart();
    for message in &sent {
        let refusal = bob.open(message).unwrap_err();
        assert!(matches!(refusal, Refusal::Duplicate | Refusal::KeyEvicted), "{refusal}");
    }
    bob.sessions = Sessions::new();
    for message in &sent {
        let refusal = bob.open(message).unwrap_err();
        assert!(matches!(refusal, Refusal::PrekeyConsumed | Refusal::UnknownSession), "{refusal}");
    }
}

/// The sender's state opens nothing that it sent.
#[test]
fn a_sender_can_not_open_what_it_sent() {
    let (mut ada, bob) = two();
    let sent = ada.seal(bob.peer(), "sent");
    let record = ada.session(bob.peer()).encode();
    let copy = connectome_codecs::session::Session::decode(&record).unwrap();
    let mut thief = Actor::new("ada", 1);
    thief.sessions.add(copy, thief.now).unwrap();
    assert!(thief.open(&sent).is_err());
}

/// A state that was stolen is useless after both sides took a turn.
#[test]
fn a_stolen_state_is_soon_useless() {
    let (mut ada, mut bob) = two();
    let stolen = bob.session(ada.peer()).encode();
    let mut thief = Actor::new("bob", 2);
    thief.sessions.add(connectome_codecs::session::Session::decode(&stolen).unwrap(), thief.now).unwrap();
    let at_once = ada.seal(bob.peer(), "at once");
    assert!(thief.open(&at_once).is_ok(), "the control: what was stolen works");

    bob.session(ada.peer()).refresh();
    for _ in 0..2 {
        let there = ada.seal(bob.peer(), "there");
        let opened = thief.open(&there).expect("until both took a turn, what was stolen works");
        thief.commit(opened).unwrap();
        bob.read(&there).unwrap();
        let back = bob.seal(ada.peer(), "back");
        ada.read(&back).unwrap();
    }
    let later = ada.seal(bob.peer(), "later");
    assert!(thief.open(&later).is_err());
    assert_eq!(bob.read(&later).unwrap(), "later");
}

/// A record at rest tells nothing without its key, is its own record, and does not get older.
#[test]
fn records_at_rest_are_sealed() {
    let (mut ada, bob) = two();
    let key = StoreKey::new(Secret::random(&mut Seeded(5)));
    let record = ada.session(bob.peer()).encode();
    let sealed = key.seal("session", 3, &record, &mut Seeded(6));
    assert!(!sealed.windows(16).any(|window| record.windows(16).step_by(8).any(|secret| secret == window)));
    assert_eq!(key.open("session", 3, &sealed).unwrap(), record);
    assert_eq!(key.open("session", 4, &sealed).unwrap_err(), Refusal::RolledBack { what: "record" });
    for bit in (0..sealed.len() * 8).step_by(7) {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open("session", 0, &changed).is_err(), "bit {bit}");
    }
}

/// No secret prints.
#[test]
fn secrets_do_not_print() {
    let entropy = &mut Seeded(7);
    assert_eq!(format!("{:?}", Secret::<32>::random(entropy)), "Secret(..)");
    assert_eq!(format!("{:?}", DhSecret::random(entropy)), "DhSecret(..)");
    assert_eq!(format!("{:?}", KemSecret::random(entropy)), "KemSecret(..)");
    assert_eq!(format!("{:?}", SigningKey::from_seed(&Secret::random(entropy))), "SigningKey(..)");
    assert_eq!(format!("{:?}", StoreKey::new(Secret::random(entropy))), "StoreKey(..)");
    let (mut ada, bob) = two();
    let printed = format!("{:?}", ada.instance.keys());
    assert_eq!(printed, "InstanceKeys { signing: SigningKey(..), dh: DhSecret(..) }");
    assert_eq!(format!("{:?}", ada.prekeys), "Prekeys(epoch 1800000000000, 1 bundles, 3 one-time, ..)");
    let session = format!("{:?}", ada.session(bob.peer()));
    assert!(session.starts_with("Session(SessionId(") && session.ends_with(", ..)"), "{session}");
    assert!(session.len() < 120, "{session}");
}
