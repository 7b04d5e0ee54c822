//! Reset and resend: by the peer alone, once, for the session it is about, and not in a loop. And replay windows.

use std::collections::BTreeSet;
use std::time::Duration;

use connectome_codecs::identity::{IdentityLog, Suite};
use connectome_codecs::refusal::Ask;
use connectome_codecs::session::{ReplayWindow, Request, RequestKind, Sessions};
use connectome_codecs::{MessageId, Refusal, UnixMillis};

use crate::sealed::cast::{Actor, DAY, NOW, Seeded, agent_id, bits, flip, two};

fn request(from: &mut Actor, to: &Actor, kind: RequestKind, session: [u8; 16]) -> bytes::Bytes {
    Request { kind, session }.seal(&from.instance, &to.bundle, from.now, &mut from.entropy).unwrap()
}

/// A peer that can't open asks for a reset; the sender closes the session and begins another, on which all goes on.
#[test]
fn a_reset_begins_anew() {
    let (mut ada, mut bob) = two();
    let mut window = ReplayWindow::new(DAY);
    bob.sessions = Sessions::new();
    let lost = ada.seal(bob.peer(), "lost");
    let refusal = bob.open(&lost).unwrap_err();
    assert_eq!((refusal.ask(), &refusal), (Some(Ask::Reset), &Refusal::UnknownSession));

    let tag = lost.bytes[4..20].try_into().unwrap();
    let asked = request(&mut bob, &ada, RequestKind::Reset, tag);
    let opened = Request::open(ada.receiver(), &asked, &window, NOW).unwrap();
    assert_eq!(opened.from, bob.peer());
    window.take(opened.name, opened.created, NOW).unwrap();
    assert_eq!(ada.sessions.honour(&opened, NOW), Ok(true));
    assert_eq!(ada.sessions.honour(&opened, NOW), Ok(false), "once is enough");
    assert!(ada.sessions.with(bob.peer()).is_none());

    let session = ada.initiate(&bob.bundle, bob.one_time.get(1)).unwrap();
    ada.sessions.add(session, NOW).unwrap();
    let again = ada.seal(bob.peer(), "lost");
    assert_eq!(bob.read(&again).unwrap(), "lost");
    assert_eq!(Request::open(ada.receiver(), &asked, &window, NOW).unwrap_err(), Refusal::Replayed);
}

/// A request is honoured for a session with whoever asks, and for no other.
#[test]
fn nobody_asks_for_others() {
    let (mut ada, bob) = two();
    let mut eve = Actor::new("eve", 3);
    let tag = ada.session(bob.peer()).id().tag();
    let asked = request(&mut eve, &ada, RequestKind::Reset, tag);
    let opened = Request::open(ada.receiver(), &asked, &ReplayWindow::new(DAY), NOW).unwrap();
    assert!(matches!(ada.sessions.honour(&opened, NOW), Err(Refusal::IdentityMismatch { .. })));
    assert!(!ada.session(bob.peer()).is_closed());
}

/// Whoever's certificate was taken back, or has expired, asks in vain.
#[test]
fn a_request_needs_a_certificate_that_holds() {
    let (mut ada, mut bob) = two();
    let asked = request(&mut bob, &ada, RequestKind::Reset, [7; 16]);
    let window = ReplayWindow::new(DAY);
    let late = Request::open(ada.receiver(), &asked, &window, NOW.after(DAY * 90)).unwrap_err();
    assert_eq!(late, Refusal::CertificateExpired);
    let serial = bob.instance.certificate().claims().serial;
    let log = IdentityLog::begin(&bob.agent, 1, BTreeSet::from([serial])).unwrap();
    ada.directory.insert(agent_id(&bob.agent), log);
    assert_eq!(Request::open(ada.receiver(), &asked, &window, NOW).unwrap_err(), Refusal::Revoked);
}

/// A request names the messages that it asks for, says nothing to others, and is taken whole or not at all.
#[test]
fn a_resend_names_its_messages() {
    for suites in [&[Suite::Classic][..], &[Suite::Classic, Suite::Hybrid]] {
        let (ada, mut bob) = (Actor::with_suites("ada", 1, suites), Actor::new("bob", 2));
        let ids: Vec<MessageId> = (0..3).map(|n| MessageId::from_parts(NOW, n)).collect();
        let asked = request(&mut bob, &ada, RequestKind::Resend(ids.clone()), [7; 16]);
        let window = ReplayWindow::new(DAY);
        let opened = Request::open(ada.receiver(), &asked, &window, NOW).unwrap();
        assert_eq!(opened.request, Request { kind: RequestKind::Resend(ids), session: [7; 16] });
        let step = if suites.len() == 1 { 1 } else { 11 };
        for bit in bits(&asked).step_by(step) {
            assert!(Request::open(ada.receiver(), &flip(&asked, bit), &window, NOW).is_err(), "bit {bit}");
        }
        let late = Request::open(ada.receiver(), &asked, &window, NOW.after(DAY)).unwrap_err();
        assert_eq!(late, Refusal::Replayed);
    }
    let too_many = vec![MessageId::from_parts(NOW, 0); 65];
    let (ada, bob) = two();
    let request = Request { kind: RequestKind::Resend(too_many), session: [7; 16] };
    assert!(request.seal(&bob.instance, &ada.bundle, NOW, &mut Seeded(1)).is_err());
}

/// A window takes each name once within its length, refuses what is older, and survives a restart.
#[test]
fn a_window_takes_each_name_once() {
    let length = Duration::from_secs(100);
    let mut window = ReplayWindow::new(length);
    let at = |seconds: u64| UnixMillis(NOW.0 + seconds * 1_000);
    for n in 0..50 {
        window.take([n; 16], at(n.into()), at(60)).unwrap();
    }
    let mut window = ReplayWindow::decode(&window.encode()).unwrap();
    for n in 0..50 {
        assert_eq!(window.take([n; 16], at(n.into()), at(60)), Err(Refusal::Replayed));
    }
    assert_eq!(window.take([99; 16], at(0), at(100)), Err(Refusal::Replayed), "too old to tell");
    assert_eq!(window.check(&[99; 16], at(999), at(100)), Err(Refusal::ClockSkew { what: "message's date" }));
    window.expire(at(125));
    assert_eq!(window.len(), 24);
    assert_eq!(ReplayWindow::decode(&window.encode()).unwrap(), window);
}

/// Nobody uses up the name of a request that somebody else makes: the same words by two are two requests.
#[test]
fn a_request_is_its_askers() {
    let (ada, mut bob) = two();
    let mut eve = Actor::new("eve", 3);
    let mut window = ReplayWindow::new(DAY);
    let by_eve = request(&mut eve, &ada, RequestKind::Reset, [7; 16]);
    let opened = Request::open(ada.receiver(), &by_eve, &window, NOW).unwrap();
    window.take(opened.name, opened.created, NOW).unwrap();
    let by_bob = request(&mut bob, &ada, RequestKind::Reset, [7; 16]);
    assert!(Request::open(ada.receiver(), &by_bob, &window, NOW).is_ok());
}
