//! A session begins as both sides mean it, or it does not begin.

use bytes::Bytes;
use connectome_codecs::Refusal;
use connectome_codecs::identity::{CLOCK_SKEW_MAX, Suite};
use connectome_codecs::session::{PER_PEER_MAX, Policy, Sealed, Sessions};

use crate::sealed::cast::{Actor, DAY, NOW, bits, flip};

/// A first message to a sleeping peer opens when it wakes, says who sent it, and is answered on the same session.
#[test]
fn strangers_begin_a_session_while_one_of_them_sleeps() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let (first, second) = (ada.seal(bob.peer(), "first"), ada.seal(bob.peer(), "second"));
    bob.restart();
    assert_eq!(bob.open(&first).unwrap().from, ada.peer());
    assert_eq!(bob.read(&second).unwrap(), "second", "whichever comes first begins the session");
    assert_eq!(bob.read(&first).unwrap(), "first");
    let answer = bob.seal(ada.peer(), "answer");
    assert_eq!(ada.read(&answer).unwrap(), "answer");
    assert!(ada.seal(bob.peer(), "no init any more").bytes.len() < first.bytes.len() - 1_000);
    assert_eq!(ada.sessions.len(), 1);
    assert_eq!(bob.sessions.len(), 1);
}

/// The best suite that both list is used: hybrid where both can, classic where one can't.
#[test]
fn the_best_common_suite_is_used() {
    let all: [&[Suite]; 2] = [&[Suite::Classic], &[Suite::Classic, Suite::Hybrid]];
    for ours in all {
        for theirs in all {
            let (mut ada, mut bob) =
                (Actor::with_suites("ada", 1, ours), Actor::with_suites("bob", 2, theirs));
            ada.meet(&bob);
            let hello = ada.seal(bob.peer(), "hello");
            assert_eq!(bob.read(&hello).unwrap(), "hello");
            let best = if ours.len() + theirs.len() == 4 { Suite::Hybrid } else { Suite::Classic };
            assert_eq!(ada.session(bob.peer()).suite(), best);
        }
    }
}

/// A policy that asks for the hybrid suite refuses a peer that can't, on both sides.
#[test]
fn a_policy_refuses_what_is_too_weak() {
    let strict = || Policy { least: Suite::Hybrid, ..Policy::default() };
    let classic = [Suite::Classic];
    let (mut ada, bob) = (Actor::with("ada", 1, strict()), Actor::with_suites("bob", 2, &classic));
    assert_eq!(ada.initiate(&bob.bundle, None).unwrap_err(), Refusal::SuiteTooWeak { suite: 1 });

    let (mut ada, bob) = (Actor::with_suites("ada", 1, &classic), Actor::with("bob", 2, strict()));
    ada.meet(&bob);
    let hello = ada.seal(bob.peer(), "hello");
    assert_eq!(bob.open(&hello).unwrap_err(), Refusal::SuiteTooWeak { suite: 1 });
}

/// An initiator that lists the hybrid suite and uses the classic one was talked down, and is refused.
#[test]
fn a_downgrade_is_detected() {
    let (mut ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let hybrid = ada.initiate(&bob.bundle, None).unwrap();
    ada.sessions.add(hybrid, NOW).unwrap();
    let sealed = ada.seal(bob.peer(), "hello").bytes;
    // The suite in the init: the body's third byte, after the array, its two lengths and the version.
    let suite = 80 + 2 + 1 + 3 + 2;
    assert_eq!(sealed[suite], 2);
    let mut lower = sealed.to_vec();
    lower[suite] = 1;
    assert_eq!(bob.open_in(&lower.into(), "c").unwrap_err(), Refusal::DowngradeDetected);
}

/// With any bit changed, or cut anywhere, a first message begins nothing.
#[test]
fn a_first_message_is_taken_whole_or_not_at_all() {
    let (mut ada, bob) = (Actor::with_suites("ada", 1, &[Suite::Classic]), Actor::new("bob", 2));
    ada.meet(&bob);
    let Sealed { bytes, .. } = ada.seal(bob.peer(), "hello");
    for bit in bits(&bytes) {
        assert!(bob.open_in(&flip(&bytes, bit), "c").is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(bob.open_in(&bytes.slice(..length), "c").is_err(), "{length} bytes");
    }
    assert!(bob.open_in(&bytes, "another context").is_err());
    assert_eq!(bob.sessions.len(), 0);
    assert!(bob.open_in(&bytes, "c").is_ok());
}

/// A one-time prekey serves one session: a second one that used it is refused, and nothing is lost by a crash before the
/// first was committed.
#[test]
fn a_one_time_prekey_serves_once() {
    let (mut ada, mut eve, mut bob) = (Actor::new("ada", 1), Actor::new("eve", 3), Actor::new("bob", 2));
    ada.meet(&bob);
    eve.meet(&bob);
    let (first, second) = (ada.seal(bob.peer(), "first"), eve.seal(bob.peer(), "second"));
    drop(bob.open(&first).unwrap());
    bob.restart();
    assert_eq!(bob.prekeys.one_time_stock(NOW), 3, "nothing was committed");
    assert_eq!(bob.read(&first).unwrap(), "first");
    assert_eq!(bob.prekeys.one_time_stock(NOW), 2);
    assert_eq!(bob.open(&second).unwrap_err(), Refusal::PrekeyConsumed);
}

/// Without a one-time prekey a session begins as well.
#[test]
fn exhausted_prekeys_are_no_obstacle() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let session = ada.initiate(&bob.bundle, None).unwrap();
    ada.sessions.add(session, NOW).unwrap();
    let hello = ada.seal(bob.peer(), "hello");
    assert_eq!(bob.read(&hello).unwrap(), "hello");
}

/// A first message that comes again, as it was or with other messages, finds its session and never begins another.
#[test]
fn an_init_begins_one_session() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let sealed: Vec<Sealed> = (0..5).map(|n| ada.seal(bob.peer(), &n.to_string())).collect();
    let (one, other) = (bob.open(&sealed[0]).unwrap(), bob.open(&sealed[1]).unwrap());
    bob.commit(other).unwrap();
    bob.commit(one).unwrap();
    assert_eq!(bob.open(&sealed[0]).unwrap_err(), Refusal::Duplicate);
    assert_eq!(bob.open(&sealed[1]).unwrap_err(), Refusal::Duplicate);
    bob.restart();
    assert_eq!(bob.open(&sealed[0]).unwrap_err(), Refusal::Duplicate);
    let another_init = flip(&sealed[4].bytes, 800 * 8);
    assert_eq!(bob.open_in(&another_init, "c").unwrap_err(), Refusal::BadTag);
    assert_eq!(bob.read(&sealed[4]).unwrap(), "4");
    assert_eq!(bob.sessions.len(), 1);
}

/// A peer that lost everything can't open what was sealed to it, also with the same certificate: its prekeys are others.
#[test]
fn a_replayed_init_opens_nothing_after_state_loss() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let hello = ada.seal(bob.peer(), "hello");
    bob.read(&hello).unwrap();
    let fresh = Actor::new("bob", 2).prekeys;
    assert_ne!(fresh.encode(), bob.prekeys.encode());
    bob.sessions = Sessions::new();
    bob.prekeys = connectome_codecs::identity::Prekeys::new();
    assert_eq!(bob.open(&hello).unwrap_err(), Refusal::PrekeyUnknown);
}

/// Two that begin at once converge on one session, whichever message comes first, and no message is lost.
#[test]
fn simultaneous_beginnings_converge() {
    for order in 0..4 {
        let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
        ada.meet(&bob);
        bob.meet(&ada);
        let (from_ada, from_bob) = (ada.seal(bob.peer(), "from ada"), bob.seal(ada.peer(), "from bob"));
        if order % 2 == 0 {
            assert_eq!(bob.read(&from_ada).unwrap(), "from ada");
        }
        let late = (order >= 2).then(|| bob.seal(ada.peer(), "late"));
        assert_eq!(ada.read(&from_bob).unwrap(), "from bob");
        if order % 2 == 1 {
            assert_eq!(bob.read(&from_ada).unwrap(), "from ada");
        }
        late.iter().for_each(|late| assert_eq!(ada.read(late).unwrap(), "late"));
        assert_eq!(ada.session(bob.peer()).id(), bob.session(ada.peer()).id());
        assert_eq!(ada.sessions.ids().min(), Some(ada.session(bob.peer()).id()), "the smaller one");
        let (a, b) = (ada.seal(bob.peer(), "a"), bob.seal(ada.peer(), "b"));
        assert_eq!((bob.read(&a).unwrap().as_str(), ada.read(&b).unwrap().as_str()), ("a", "b"));
        assert_eq!((ada.sessions.len(), bob.sessions.len()), (2, 2));
        let later = NOW.after(ada.policy.retention * 2);
        assert_eq!(ada.sessions.expire(&ada.policy, later).len(), 1, "the other one goes when it is drained");
    }
}

/// A message that is older than a message can be, or from the future, begins nothing.
#[test]
fn a_first_message_has_its_time() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let hello = ada.seal(bob.peer(), "hello");
    bob.now = NOW.after(bob.policy.retention);
    assert_eq!(bob.open(&hello).unwrap_err(), Refusal::PrekeyUnknown);
    ada.now = NOW.after(DAY);
    let session = ada.initiate(&bob.bundle, None).unwrap();
    ada.sessions = Sessions::new();
    ada.sessions.add(session, NOW).unwrap();
    let early = ada.seal(bob.peer(), "early");
    bob.now = NOW;
    assert_eq!(bob.open(&early).unwrap_err(), Refusal::ClockSkew { what: "first message" });
}

/// Nobody has a session with itself, and a message that comes back to its sender opens nothing.
#[test]
fn reflections_are_refused() {
    let mut ada = Actor::new("ada", 1);
    let own = ada.bundle.clone();
    assert_eq!(ada.initiate(&own, None).unwrap_err(), Refusal::Reflected);
    let (mut ada, bob) = crate::sealed::cast::two();
    let hello = ada.seal(bob.peer(), "hello");
    assert!(ada.open(&hello).is_err());
}

/// A prekey that gives everyone the same secret is refused before anything is made with it.
#[test]
fn keys_of_small_order_are_refused() {
    use connectome_codecs::key::{DhPublic, DhSecret, VerifyingKey};
    let secret = DhSecret::random(&mut crate::sealed::cast::Seeded(1));
    for key in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(secret.agree(&DhPublic(key)).unwrap_err(), Refusal::NonContributory);
        assert!(VerifyingKey::read("key", &key).is_err());
    }
}

/// What is not a sealed message at all is refused by its form, and says what would be right.
#[test]
fn other_bytes_are_refused() {
    let bob = Actor::new("bob", 2);
    let mut version = vec![2, 1];
    version.resize(96, 0);
    let refusal = bob.open_in(&Bytes::from(version), "c").unwrap_err();
    assert_eq!(refusal, Refusal::UnsupportedVersion { what: "sealed message", version: 2 });
    let mut unknown = vec![1, 1, 0, 1];
    unknown.resize(96, 0);
    assert_eq!(bob.open_in(&Bytes::from(unknown), "c").unwrap_err(), Refusal::UnknownSession);
}

/// A bundle or a certificate that held when it was verified, and no longer does, begins nothing and is asked for nothing.
#[test]
fn what_has_expired_begins_nothing() {
    use connectome_codecs::identity::{Certificate, Claims, Instance, InstanceKeys};
    use connectome_codecs::session::{Request, RequestKind, initiate};

    use crate::sealed::cast::claims;
    let (mut ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let begin = |ada: &Actor, days| {
        let (now, entropy) = (NOW.after(DAY * days), &mut ada_entropy());
        let begun = initiate(&ada.instance, &bob.bundle, None, &ada.policy, now, entropy).err();
        let request = Request { kind: RequestKind::Reset, session: [7; 16] };
        (begun, request.seal(&ada.instance, &bob.bundle, now, entropy).err())
    };
    assert_eq!(begin(&ada, 6), (None, None));
    let expired = Some(Refusal::BundleExpired);
    assert_eq!(begin(&ada, 7), (expired.clone(), expired));
    let keys = InstanceKeys::random(&mut ada_entropy());
    let short = Claims { not_after: NOW.after(DAY), ..claims(&ada.agent, &keys, "ada", 9) };
    let certificate = Certificate::issue(&short, &ada.agent, &keys, &[]);
    ada.instance = Instance::new(keys, certificate).unwrap();
    assert_eq!(begin(&ada, 0).0, None);
    assert_eq!(begin(&ada, 1).0, Some(Refusal::CertificateExpired));
}

fn ada_entropy() -> crate::sealed::cast::Seeded {
    crate::sealed::cast::Seeded(5)
}

/// A peer has so many sessions and no more; those that are closed count as long as they are kept.
#[test]
fn sessions_with_one_peer_are_bounded() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let mut begin = |ada: &mut Actor| {
        let session = ada.initiate(&bob.bundle, None).unwrap();
        ada.sessions = Sessions::new();
        ada.sessions.add(session, NOW).unwrap();
        let first = ada.seal(bob.peer(), "first");
        let tag = first.bytes[4..20].try_into().unwrap();
        let read = bob.read(&first);
        bob.sessions.close(&tag, NOW);
        read
    };
    for _ in 0..PER_PEER_MAX {
        assert_eq!(begin(&mut ada).unwrap(), "first");
    }
    let full = Refusal::Full { what: "session with this peer", max: PER_PEER_MAX };
    assert_eq!(begin(&mut ada).unwrap_err(), full);
    let other = bob.initiate(&ada.bundle, None).unwrap();
    assert_eq!(bob.sessions.add(other, NOW), Err(full));
}

/// A session that is closed is kept as long as the init that would begin it again could come.
#[test]
fn a_session_outlives_its_init() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.now = NOW.after(CLOCK_SKEW_MAX);
    ada.meet(&bob);
    let first = ada.seal(bob.peer(), "first");
    bob.read(&first).unwrap();
    let tag = first.bytes[4..20].try_into().unwrap();
    bob.sessions.close(&tag, NOW);
    let end = NOW.after(bob.policy.retention * 2);
    assert_eq!(bob.sessions.expire(&bob.policy, end).len(), 0);
    assert_eq!(bob.sessions.expire(&bob.policy, end.after(CLOCK_SKEW_MAX)).len(), 1);
}
