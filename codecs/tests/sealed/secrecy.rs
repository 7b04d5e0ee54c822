//! What a thief of state gets: nothing from before, and soon nothing from after. And secrets do not print.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use connectome_codecs::identity::{InstanceKeys, PoolKeys, Prekeys, Suite};
use connectome_codecs::key::{DhSecret, KemSecret, Label, Secret, SigningKey};
use connectome_codecs::session::{Sealed, Session, Sessions};
use connectome_codecs::{Refusal, seal::StoreKey};

use crate::sealed::cast::{Actor, DAY, Seeded, context, two};

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

/// The same for a thief that does not ask us: whatever 32 bytes of the state it takes for the key of a message, or of a
/// chain that it walks, nothing opens that was handled before. What had not been handled opens, so it looks rightly.
#[test]
fn no_bytes_of_a_stolen_state_open_what_was_handled() {
    let (mut ada, mut bob) = two();
    let sent: Vec<Sealed> = (0..6).map(|n| ada.seal(bob.peer(), &n.to_string())).collect();
    sent[..4].iter().for_each(|sealed| assert!(bob.read(sealed).is_ok()));
    bob.read(&sent[5]).unwrap();
    let session = bob.session(ada.peer());
    let (id, record) = (session.id(), session.encode());
    let opened: Vec<bool> = sent.iter().map(|sealed| thief_opens(&record, &id.0, sealed)).collect();
    assert_eq!(opened, [false, false, false, false, true, false]);
    let later = ada.seal(bob.peer(), "not handled, in the chain as it stands");
    assert!(thief_opens(&record, &id.0, &later));
}

/// Whether 32 bytes of the state, or what a chain makes of them, open a message.
fn thief_opens(record: &[u8], session: &[u8; 32], sealed: &Sealed) -> bool {
    let context = context("c");
    let (header, text) = sealed.bytes.split_at(80);
    let (text, tag) = text.split_last_chunk::<16>().unwrap();
    let associated = [Label::Associated.bytes(), session, header, context.digest()].concat();
    let opens = |key: &[u8]| {
        let cipher = Aes256Gcm::new_from_slice(key).unwrap();
        let nonce: [u8; 12] = header[60..72].try_into().unwrap();
        let mut text = text.to_vec();
        let text = (&mut text[..]).into();
        cipher.decrypt_inout_detached(&nonce.into(), &associated, text, &(*tag).into()).is_ok()
    };
    record.windows(32).any(|secret| {
        let mut chain = secret.to_vec();
        opens(secret)
            || (0..4).any(|_| {
                let mut both = [0; 64];
                let step = hkdf::Hkdf::<sha2::Sha256>::from_prk(&chain).unwrap();
                step.expand(Label::Chain.bytes(), &mut both).unwrap();
                chain = both[..32].to_vec();
                opens(&both[32..])
            })
    })
}

/// Without a one-time prekey the first messages are as secret as the signed prekeys: whoever has those opens them, until
/// they are erased.
#[test]
fn without_a_one_time_prekey_the_first_messages_wait_for_the_prekeys_end() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let begun = ada.initiate(&bob.bundle, None).unwrap();
    ada.sessions.add(begun, ada.now).unwrap();
    let first = ada.seal(bob.peer(), "first");
    bob.read(&first).unwrap();
    bob.sessions = Sessions::new();
    assert!(bob.open(&first).is_ok(), "the prekeys are still there");
    let (certificate, keys) = (bob.instance.certificate(), bob.instance.keys());
    let retention = bob.policy.retention;
    bob.prekeys.rotate(certificate, keys, &[Suite::Classic], retention, bob.now, &mut bob.entropy);
    bob.prekeys.expire(bob.now.after(retention).after(DAY));
    assert_eq!(bob.open(&first).unwrap_err(), Refusal::PrekeyUnknown);
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

/// No secret can be copied or compared by accident: none of their types has `Clone` or `PartialEq`.
#[test]
fn secrets_are_neither_cloned_nor_compared() {
    struct Of<T>(std::marker::PhantomData<T>);
    // An inherent function is taken before a trait's: it is there for types that have the trait alone.
    macro_rules! asks {
        ($name:ident, $bound:path) => {
            impl<T: $bound> Of<T> {
                #[allow(dead_code, reason = "no secret has it, so nobody calls it")]
                fn $name() -> bool {
                    true
                }
            }
        };
    }
    asks!(clones, Clone);
    asks!(compares, PartialEq);
    trait Clones {
        fn clones() -> bool {
            false
        }
    }
    trait Compares {
        fn compares() -> bool {
            false
        }
    }
    impl<T> Clones for Of<T> {}
    impl<T> Compares for Of<T> {}
    macro_rules! lack_both {
        ($($secret:ty),*) => {
            $(assert!(!Of::<$secret>::clones() && !Of::<$secret>::compares(), stringify!($secret));)*
        };
    }
    lack_both!(
        Secret<32>,
        DhSecret,
        KemSecret,
        SigningKey,
        StoreKey,
        InstanceKeys,
        Prekeys,
        PoolKeys,
        Session
    );
    assert!(Of::<Suite>::clones() && Of::<Suite>::compares(), "the control");
}
