//! Who is who: nothing is believed that is not signed, dated, whole, and as new as what was seen before.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::identity::{
    Binding, BindingKind, Bundle, Certificate, IdentityLog, Instance, InstanceKeys, OneTimePrekey, Pins,
    Prekeys, Suite,
};
use connectome_codecs::key::Label;
use connectome_codecs::{Refusal, UnixMillis};

use crate::sealed::cast::{Actor, DAY, NOW, Seeded, agent_id, agent_key, bits, claims, flip, signed_again};

const BOTH: [Suite; 2] = [Suite::Classic, Suite::Hybrid];

fn certificate() -> Certificate {
    Actor::new("ada", 1).instance.certificate().clone()
}

/// A certificate with a changed bit, a missing or a further byte is refused, wherever it is.
#[test]
fn a_certificate_is_taken_as_it_was_signed_or_not_at_all() {
    let bytes = certificate().bytes().clone();
    assert_eq!(Certificate::verify(bytes.clone(), None, NOW).unwrap(), certificate());
    for bit in bits(&bytes) {
        assert!(Certificate::verify(flip(&bytes, bit), None, NOW).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(Certificate::verify(bytes.slice(..length), None, NOW).is_err(), "{length} bytes");
    }
    let longer = Bytes::from([&bytes[..], &[0]].concat());
    assert!(Certificate::verify(longer, None, NOW).is_err());
}

/// A certificate holds from its beginning, give or take the clocks, to its end.
#[test]
fn a_certificate_has_its_time() {
    let bytes = certificate().bytes().clone();
    let at = |now| Certificate::verify(bytes.clone(), None, now).err();
    assert_eq!(at(UnixMillis(NOW.0 - 60_000)), None);
    assert_eq!(at(UnixMillis(NOW.0 - 600_000)), Some(Refusal::ClockSkew { what: "certificate's beginning" }));
    assert_eq!(at(NOW.after(DAY * 90)), Some(Refusal::CertificateExpired));
}

/// Keys of libp2p and NATS are named only with a proof by whoever holds them, for this very certificate.
#[test]
fn bound_keys_prove_themselves() {
    let (agent, keys) = (agent_key(1), InstanceKeys::random(&mut Seeded(1)));
    let nats = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let binding = Binding { kind: BindingKind::Nats, key: nats.verifying_key().to_bytes() };
    let mut claims = claims(&agent, &keys, "ada", 1);
    claims.bindings.push(binding);
    let prove = |message: &[u8]| ed25519_dalek::Signer::sign(&nats, message).to_bytes();
    let proof = prove(&binding.challenge(&claims.encode()));
    let verify = |certificate: &Certificate| Certificate::verify(certificate.bytes().clone(), None, NOW);

    let good = Certificate::issue(&claims, &agent, &keys, &[proof]);
    assert_eq!(verify(&good).unwrap().claims().bindings, [binding]);
    assert!(verify(&Certificate::issue(&claims, &agent, &keys, &[])).is_err());
    let other_kind = Binding { kind: BindingKind::Libp2p, ..binding };
    let proof = prove(&other_kind.challenge(&claims.encode()));
    assert!(verify(&Certificate::issue(&claims, &agent, &keys, &[proof])).is_err());
}

/// A key that stands in two places of a certificate is refused: what it signs in one could mean something in the other.
#[test]
fn keys_are_separate() {
    let (agent, keys) = (agent_key(1), InstanceKeys::random(&mut Seeded(1)));
    let mut claims = claims(&agent, &keys, "ada", 1);
    claims.bindings.push(Binding { kind: BindingKind::Node, key: claims.signing });
    let proof = keys.signing.sign(Label::Possession, &[]);
    let certificate = Certificate::issue(&claims, &agent, &keys, &[proof]);
    let refusal = Certificate::verify(certificate.bytes().clone(), None, NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::WeakKey { .. }), "{refusal}");
}

/// After a rotation the new key signs, the old one no longer does, and the id stays.
#[test]
fn a_rotated_key_signs_for_the_same_agent() {
    let (first, second) = (agent_key(1), agent_key(2));
    let log = IdentityLog::begin(&first, 1, BTreeSet::new()).unwrap();
    let log = log.next(&first, Some(&second), BTreeSet::from([7])).unwrap();
    assert_eq!(IdentityLog::verify(log.bytes().clone()).unwrap(), log);
    assert_eq!(log.agent(), agent_id(&first));

    let keys = InstanceKeys::random(&mut Seeded(1));
    let mut claims = claims(&first, &keys, "ada", 1);
    let by = |signer, claims: &_| {
        Certificate::verify(Certificate::issue(claims, signer, &keys, &[]).bytes().clone(), Some(&log), NOW)
    };
    assert!(by(&second, &claims).is_ok());
    assert!(matches!(by(&first, &claims), Err(Refusal::BadSignature { .. })));
    claims.serial = 7;
    assert_eq!(by(&second, &claims).unwrap_err(), Refusal::Revoked);
    assert!(log.next(&first, None, BTreeSet::new()).is_err(), "the first key no longer writes the log");
}

/// Whoever writes itself into a log as the next key, without the key before, is refused.
#[test]
fn each_key_of_a_log_names_the_next() {
    let (first, thief) = (agent_key(1), agent_key(66));
    let log = IdentityLog::begin(&first, 1, BTreeSet::new()).unwrap();
    let log = log.next(&first, Some(&thief), BTreeSet::new()).unwrap();
    // The signature of the first key stands before the empty list at the end.
    let forge = |body: &mut Vec<u8>| {
        let end = body.len() - 1;
        body[end - 64..end].copy_from_slice(&thief.sign(Label::Rotate, &[&[0; 64]]));
    };
    let honest = signed_again(log.bytes(), Label::Log, &thief, |_| ());
    assert!(IdentityLog::verify(honest).is_ok());
    let refusal = IdentityLog::verify(signed_again(log.bytes(), Label::Log, &thief, forge)).unwrap_err();
    assert_eq!(refusal, Refusal::BadSignature { label: Label::Rotate });
}

/// A changed bit of a log is refused, wherever it is.
#[test]
fn a_log_is_taken_as_it_was_signed_or_not_at_all() {
    let log = IdentityLog::begin(&agent_key(1), 1, BTreeSet::from([1, 2])).unwrap();
    let log = log.next(&agent_key(1), Some(&agent_key(2)), BTreeSet::from([3])).unwrap();
    for bit in bits(log.bytes()) {
        assert!(IdentityLog::verify(flip(log.bytes(), bit)).is_err(), "bit {bit}");
    }
}

/// A bundle with a changed bit is refused; a whole one lives a week.
#[test]
fn a_bundle_is_taken_as_it_was_signed_and_in_time() {
    let bob = Actor::with_suites("bob", 2, &[Suite::Classic]);
    let bytes = bob.bundle.bytes().clone();
    let at = |bytes: Bytes, now| Bundle::verify(bytes, None, now).err();
    assert_eq!(at(bytes.clone(), NOW), None);
    assert_eq!(at(bytes.clone(), NOW.after(DAY * 7)), Some(Refusal::BundleExpired));
    for bit in bits(&bytes) {
        assert!(at(flip(&bytes, bit), NOW).is_some(), "bit {bit}");
    }
}

/// The bundle of one instance with the certificate of another is nobody's.
#[test]
fn a_bundle_fits_its_certificate() {
    let (ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let (theirs, ours) = (bob.instance.certificate(), ada.instance.keys());
    let mixed = Prekeys::new().rotate(theirs, ours, &BOTH, DAY, NOW, &mut Seeded(3));
    let refusal = Bundle::verify(mixed.bytes().clone(), None, NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::BadSignature { .. }), "{refusal}");
    let keys = InstanceKeys::random(&mut Seeded(9));
    assert!(Instance::new(keys, theirs.clone()).is_err());
}

/// A one-time prekey is its instance's, or nobody's.
#[test]
fn a_one_time_prekey_fits_its_instance() {
    let (ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let bytes = bob.one_time[0].bytes();
    assert_eq!(OneTimePrekey::verify(bytes.clone(), bob.instance.certificate()).unwrap(), bob.one_time[0]);
    assert!(OneTimePrekey::verify(bytes.clone(), ada.instance.certificate()).is_err());
    for bit in bits(bytes) {
        assert!(OneTimePrekey::verify(flip(bytes, bit), bob.instance.certificate()).is_err(), "bit {bit}");
    }
}

/// Storage that shows an older bundle or log, or another one of the same age, is caught, also after a restart.
#[test]
fn what_was_seen_does_not_get_older() {
    let mut bob = Actor::new("bob", 2);
    let old = bob.bundle.clone();
    let (certificate, keys) = (bob.instance.certificate(), bob.instance.keys());
    let new = bob.prekeys.rotate(certificate, keys, &BOTH, DAY, NOW.after(DAY), &mut bob.entropy);
    let mut pins = Pins::default();
    assert!(pins.admit(&old, NOW).is_ok());
    assert!(pins.admit(&old, NOW).is_ok(), "the same again");
    assert!(pins.admit(&new, NOW).is_ok());
    let mut pins = Pins::decode(&pins.encode()).unwrap();
    assert_eq!(pins.admit(&old, NOW), Err(Refusal::RolledBack { what: "bundle" }));

    let log = IdentityLog::begin(&agent_key(1), 5, BTreeSet::new()).unwrap();
    let fork = IdentityLog::begin(&agent_key(1), 5, BTreeSet::from([1])).unwrap();
    assert!(pins.admit_log(&log, NOW).is_ok());
    assert_eq!(pins.admit_log(&fork, NOW), Err(Refusal::RolledBack { what: "identity log" }));
    assert_eq!(Pins::decode(&pins.encode()).unwrap(), pins);
}

/// Private halves survive a restart byte for byte, and go when no message can need them.
#[test]
fn prekeys_are_kept_as_long_as_they_may_be_needed() {
    let mut ada = Actor::new("ada", 1);
    let mut bob = Actor::new("bob", 2);
    ada.meet(&bob);
    let hello = ada.seal(bob.peer(), "hello");
    let (certificate, keys) =
        (bob.instance.certificate().clone(), InstanceKeys::decode(&bob.instance.keys().encode()));
    let retention = bob.policy.retention;
    bob.prekeys.rotate(&certificate, &keys.unwrap(), &BOTH, retention, NOW.after(DAY), &mut bob.entropy);
    assert_eq!(Prekeys::decode(&bob.prekeys.encode()).unwrap().encode(), bob.prekeys.encode());

    bob.prekeys.expire(NOW.after(retention));
    assert!(bob.open(&hello).is_ok(), "a message may still come for the retired bundle");
    bob.prekeys.expire(NOW.after(retention + DAY * 3));
    assert_eq!(bob.open(&hello).unwrap_err(), Refusal::PrekeyUnknown);
}

/// An agent's key that was taken back begins no session, and ends those that are open at the next message.
#[test]
fn revocation_reaches_open_sessions() {
    let (mut ada, mut bob) = crate::sealed::cast::two();
    let serial = ada.instance.certificate().claims().serial;
    let log = IdentityLog::begin(&ada.agent, 1, BTreeSet::from([serial])).unwrap();
    let next = ada.seal(bob.peer(), "next");
    assert!(bob.open(&next).is_ok());
    bob.directory = BTreeMap::from([(agent_id(&ada.agent), log)]);
    assert_eq!(bob.open(&next).unwrap_err(), Refusal::Revoked);
    let session = ada.initiate(&bob.bundle, None).unwrap();
    bob.sessions = connectome_codecs::session::Sessions::new();
    ada.sessions = connectome_codecs::session::Sessions::new();
    ada.sessions.add(session, NOW).unwrap();
    let again = ada.seal(bob.peer(), "again");
    assert_eq!(bob.open(&again).unwrap_err(), Refusal::Revoked);
}

/// What an instance that is not honest signs is refused all the same: a bundle for ever, one with a suite that it has no
/// key for, a one-time prekey of another instance.
#[test]
fn rules_hold_for_what_is_signed_too() {
    let bob = Actor::new("bob", 2);
    let key = &bob.instance.keys().signing;
    let bundle = |edit: &dyn Fn(&mut Vec<u8>)| {
        let bytes = signed_again(bob.bundle.bytes(), Label::Bundle, key, edit);
        Bundle::verify(bytes, None, NOW).err()
    };
    assert_eq!(bundle(&|_| ()), None);
    let for_ever = |body: &mut Vec<u8>| {
        let end = body.len() - 8;
        body[end..].copy_from_slice(&(NOW.0 + 8 * 86_400_000).to_be_bytes());
    };
    assert_eq!(bundle(&for_ever), Some(Refusal::BundleExpired));
    let other_suite = |body: &mut Vec<u8>| {
        let at =
            body.windows(6).position(|six| six == [0x92, 1, 2, 0xc4, 32, bob.bundle.signed().0[0]]).unwrap();
        body[at + 2] = 3;
    };
    assert_eq!(bundle(&other_suite), Some(Refusal::UnsupportedSuite { suite: 2 }));

    let of_another = |body: &mut Vec<u8>| body[4] ^= 1;
    let bytes = signed_again(bob.one_time[0].bytes(), Label::OneTime, key, of_another);
    let refusal = OneTimePrekey::verify(bytes, bob.instance.certificate()).unwrap_err();
    assert_eq!(refusal, Refusal::IdentityMismatch { what: "one-time prekey" });
}

/// Who stole a key that was rotated away can name another next one, and is too late for whoever saw the first.
#[test]
fn a_log_does_not_fork() {
    let (first, second, thief) = (agent_key(1), agent_key(2), agent_key(66));
    let begun = IdentityLog::begin(&first, 1, BTreeSet::new()).unwrap();
    let log = begun.next(&first, Some(&second), BTreeSet::new()).unwrap();
    let forks = [
        IdentityLog::begin(&first, 5, BTreeSet::new()).unwrap(),
        IdentityLog::begin(&first, 5, BTreeSet::new())
            .unwrap()
            .next(&first, Some(&thief), BTreeSet::new())
            .unwrap(),
    ];
    let mut pins = Pins::default();
    pins.admit_log(&begun, NOW).unwrap();
    pins.admit_log(&log, NOW).unwrap();
    let mut pins = Pins::decode(&pins.encode()).unwrap();
    for fork in &forks {
        assert!(IdentityLog::verify(fork.bytes().clone()).is_ok(), "nothing is wrong with it by itself");
        let refusal = pins.admit_log(fork, NOW).unwrap_err();
        assert_eq!(refusal, Refusal::IdentityMismatch { what: "identity log" });
    }
    let next = log.next(&second, Some(&agent_key(3)), BTreeSet::new()).unwrap();
    assert_eq!(pins.admit_log(&next, NOW), Ok(()));
}

/// What was claimed and never used does not stay in the stock for ever, nor is it kept for ever.
#[test]
fn claimed_and_unused_prekeys_are_replaced() {
    let mut bob = Actor::new("bob", 2);
    let retention = bob.policy.retention;
    let mut refill = |prekeys: &mut Prekeys, now| {
        let (certificate, keys) = (bob.instance.certificate(), bob.instance.keys());
        prekeys.refill(certificate, keys, 3, retention, now, &mut bob.entropy).len()
    };
    assert_eq!(refill(&mut bob.prekeys, NOW.after(DAY)), 0, "three are in stock, as far as is known");
    let week = NOW.after(DAY * 7);
    assert_eq!(bob.prekeys.one_time_stock(week), 0);
    assert_eq!(refill(&mut bob.prekeys, week), 3);
    let mut prekeys = Prekeys::decode(&bob.prekeys.encode()).unwrap();
    assert_eq!(prekeys.encode(), bob.prekeys.encode());
    let (whole, three) = (prekeys.encode().len(), 3 * 54);
    prekeys.expire(UnixMillis(week.after(retention).0));
    assert!(prekeys.encode().len() == whole, "a message with one of the first may still come");
    prekeys.expire(week.after(retention).after(DAY));
    assert_eq!(prekeys.encode().len(), whole - three);
}

/// What a key signed in the log of one agent means nothing in the log of another, whose key it is too.
#[test]
fn a_rotation_is_of_one_agent() {
    let keys = [1, 2, 3].map(agent_key);
    let first = IdentityLog::begin(&keys[0], 1, BTreeSet::new()).unwrap();
    let first = first.next(&keys[0], Some(&keys[1]), BTreeSet::new()).unwrap();
    let first = first.next(&keys[1], Some(&keys[2]), BTreeSet::new()).unwrap();
    let second = IdentityLog::begin(&keys[1], 1, BTreeSet::new()).unwrap();
    let second = second.next(&keys[1], Some(&keys[2]), BTreeSet::new()).unwrap();
    // The signature of the second key stands before the empty list at the end, in both.
    let theirs: [u8; 64] = first.bytes()[..first.bytes().len() - 67].last_chunk().copied().unwrap();
    let forge = |body: &mut Vec<u8>| {
        let end = body.len() - 1;
        assert_ne!(body[end - 64..end], theirs);
        body[end - 64..end].copy_from_slice(&theirs);
    };
    let forged = signed_again(second.bytes(), Label::Log, &keys[2], forge);
    assert_eq!(IdentityLog::verify(forged).unwrap_err(), Refusal::BadSignature { label: Label::Rotate });
}

/// The log of another agent proves nothing of this one.
#[test]
fn a_log_is_of_one_agent() {
    let (agent, other, keys) = (agent_key(1), agent_key(2), InstanceKeys::random(&mut Seeded(1)));
    let log = IdentityLog::begin(&other, 1, BTreeSet::new()).unwrap();
    let claims = claims(&agent, &keys, "ada", 1);
    for signer in [&agent, &other] {
        let certificate = Certificate::issue(&claims, signer, &keys, &[]);
        let refusal = Certificate::verify(certificate.bytes().clone(), Some(&log), NOW).unwrap_err();
        assert_eq!(refusal, Refusal::IdentityMismatch { what: "identity log" });
    }
}

/// A bundle that is made in the future is refused, whatever its end.
#[test]
fn a_bundle_is_not_from_the_future() {
    let mut bob = Actor::new("bob", 2);
    let (certificate, keys) = (bob.instance.certificate(), bob.instance.keys());
    let bundle = bob.prekeys.rotate(certificate, keys, &BOTH, DAY, NOW.after(DAY), &mut bob.entropy);
    let refusal = Bundle::verify(bundle.bytes().clone(), None, NOW).unwrap_err();
    assert_eq!(refusal, Refusal::ClockSkew { what: "bundle's creation" });
}
