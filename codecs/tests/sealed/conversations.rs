//! Messages in any order, once each; each refusal for its own reason; and what is at rest.

use bytes::Bytes;
use connectome_codecs::refusal::{Ask, Verdict};
use connectome_codecs::session::{
    JUMP_MAX, RECORD_MAX, RESERVATION, SealError, Sealed, Sealing, Session, Signatures,
};
use connectome_codecs::{Refusal, UnixMillis};

use crate::sealed::cast::{Actor, DAY, NOW, bits, context, flip, two};

fn many(from: &mut Actor, to: &Actor, count: usize) -> Vec<Sealed> {
    (0..count).map(|n| from.seal(to.peer(), &n.to_string())).collect()
}

/// Messages that come in any order open, each once, and a second copy is told from everything else.
#[test]
fn messages_open_in_any_order_and_once() {
    let (mut ada, mut bob) = two();
    let sealed = many(&mut ada, &bob, 200);
    let shuffled = (0..200).map(|n| n * 73 % 200);
    for n in shuffled.clone() {
        assert_eq!(bob.read(&sealed[n]).unwrap(), n.to_string());
    }
    for n in shuffled {
        let refusal = bob.open(&sealed[n]).unwrap_err();
        assert_eq!((refusal.verdict(), &refusal), (Verdict::Acknowledge, &Refusal::Duplicate));
    }
}

/// Opening leaves no trace until it is committed: what was dropped opens again, also after a restart.
#[test]
fn what_is_not_committed_opens_again() {
    let (mut ada, mut bob) = two();
    let sealed = many(&mut ada, &bob, 3);
    let tag = bob.session(ada.peer()).id().tag();
    let before = bob.state(&tag);
    for _ in 0..2 {
        drop(bob.open(&sealed[2]).unwrap());
        assert_eq!(bob.state(&tag), before);
        bob.restart();
        assert_eq!(bob.state(&tag), before);
    }
    assert_eq!(bob.read(&sealed[2]).unwrap(), "2");
}

/// What is written before the commit is what the commit makes, for whatever is committed in between.
#[test]
fn the_record_written_first_is_the_state_afterwards() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    for sealed in many(&mut ada, &bob, 3).iter().rev() {
        let opened = bob.open(sealed).unwrap();
        let records = bob.sessions.records_after(&opened.pending, bob.receiver(), bob.now).unwrap();
        bob.commit(opened).unwrap();
        let (record, prekeys) = bob.state(&records.session.tag());
        assert_eq!(record.unwrap(), *records.record);
        assert!(records.prekeys.is_none_or(|written| *written == prekeys));
    }
}

/// Messages that were opened together are committed in any order; a second delivery that was opened too is told so.
#[test]
fn messages_opened_together_are_committed_in_any_order() {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]];
    for order in orders {
        let (mut ada, mut bob) = two();
        let sealed = many(&mut ada, &bob, 5);
        let mut opened: Vec<_> = sealed[..4].iter().map(|sealed| Some(bob.open(sealed).unwrap())).collect();
        let again = bob.open(&sealed[2]).unwrap();
        for n in order {
            bob.commit(opened[n].take().unwrap()).unwrap();
        }
        assert!(bob.sessions.records_after(&again.pending, bob.receiver(), bob.now).is_err());
        assert!(bob.commit(again).is_err());
        assert_eq!(bob.read(&sealed[4]).unwrap(), "4");
        for sealed in &sealed {
            assert_eq!(bob.open(sealed).unwrap_err(), Refusal::Duplicate);
        }
    }
}

/// Any changed bit is refused and leaves the state as it was, byte for byte.
#[test]
fn a_changed_bit_is_refused_and_changes_nothing() {
    let (mut ada, mut bob) = two();
    let sealed = many(&mut ada, &bob, 2).remove(1);
    let tag = bob.session(ada.peer()).id().tag();
    let before = bob.state(&tag);
    for bit in bits(&sealed.bytes) {
        let refusal = bob.open_in(&flip(&sealed.bytes, bit), "c").unwrap_err();
        let right = match bit / 8 {
            0 => matches!(refusal, Refusal::UnsupportedVersion { .. }),
            1 | 2 => matches!(refusal, Refusal::Malformed { .. } | Refusal::BadHeaderMac),
            4..20 => refusal == Refusal::UnknownSession,
            3 | 20..80 => refusal == Refusal::BadHeaderMac,
            _ => refusal == Refusal::BadTag,
        };
        assert!(right, "bit {bit}: {refusal}");
    }
    assert_eq!(bob.state(&tag), before);
    assert_eq!(bob.open_in(&sealed.bytes, "d").unwrap_err(), Refusal::BadTag);
    assert_eq!(bob.read(&sealed).unwrap(), "1");
}

/// A forgery of a message that was handled is told from its duplicate.
#[test]
fn a_forged_copy_is_no_duplicate() {
    let (mut ada, mut bob) = two();
    let sealed = ada.seal(bob.peer(), "once");
    bob.read(&sealed).unwrap();
    assert_eq!(bob.open(&sealed).unwrap_err(), Refusal::Duplicate);
    let forged = flip(&sealed.bytes, sealed.bytes.len() * 8 - 1);
    assert_eq!(bob.open_in(&forged, "c").unwrap_err(), Refusal::BadTag);
}

/// A sender whose store went back in time is found out: with the keys it uses again, and with the turn it takes again.
#[test]
fn a_sender_that_went_back_in_time_is_found_out() {
    for answered in [false, true] {
        let (mut ada, mut bob) = two();
        many(&mut ada, &bob, 63).iter().for_each(|sealed| drop(bob.read(sealed)));
        let old = ada.session(bob.peer()).encode();
        let sent = ada.seal(bob.peer(), "sent, after a write");
        bob.read(&sent).unwrap();
        if answered {
            bob.now = bob.now.after(DAY);
            let _lost = bob.seal(ada.peer(), "answer");
        }
        ada.sessions = connectome_codecs::session::Sessions::new();
        ada.sessions.add(Session::decode(&old).unwrap(), NOW).unwrap();
        let again = ada.seal(bob.peer(), "sent, after the same write");
        let refusal = bob.open(&again).unwrap_err();
        let right = if answered { Refusal::Diverged } else { Refusal::CounterReuse };
        assert_eq!((refusal.ask(), &refusal), (Some(Ask::Reset), &right));
        let tag = bob.session(ada.peer()).id().tag();
        assert!(bob.sessions.close(&tag, NOW));
        assert_eq!(bob.try_seal(ada.peer(), "more").unwrap_err(), SealError::Closed);
        let Actor { sessions, instance, entropy, .. } = &mut bob;
        let sealing = Sealing { key: &instance.keys().signing, each: true, padded: false };
        let closed = sessions.get_mut(&tag).unwrap();
        assert_eq!(closed.seal(&context("c"), Bytes::new(), sealing, entropy), Err(SealError::Closed));
        assert_eq!(closed.reserve(NOW, entropy), Err(SealError::Closed));
    }
}

/// A sender that forgot how many messages its chain had, and takes its turn, is found out.
#[test]
fn a_chain_that_ended_too_early_is_found_out() {
    let (mut ada, mut bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    many(&mut ada, &bob, 1).iter().for_each(|sealed| drop(bob.read(sealed)));
    let old = ada.session(bob.peer()).encode();
    many(&mut ada, &bob, 100).iter().for_each(|sealed| drop(bob.read(sealed)));
    let answer = bob.seal(ada.peer(), "answer");
    ada.sessions = connectome_codecs::session::Sessions::new();
    ada.sessions.add(Session::decode(&old).unwrap(), NOW).unwrap();
    ada.read(&answer).unwrap();
    let turn = ada.seal(bob.peer(), "a turn");
    assert_eq!(turn.bytes[52..56], 64u32.to_be_bytes(), "of a chain that had 101");
    assert_eq!(bob.open(&turn).unwrap_err(), Refusal::CounterReuse);
}

/// A message on a session that is closed here opens, and asks its sender for a new one.
#[test]
fn a_message_on_a_closed_session_opens_and_asks() {
    let (mut ada, mut bob) = two();
    let tag = bob.session(ada.peer()).id().tag();
    let sealed = many(&mut ada, &bob, 2);
    assert_eq!(bob.open(&sealed[0]).unwrap().ask, None);
    bob.sessions.close(&tag, NOW);
    assert_eq!(bob.open(&sealed[1]).unwrap().ask, Some(Ask::Reset));
}

/// A key that is used again is found out in the middle of a chain too, and shows an onlooker another nonce.
#[test]
fn a_key_that_is_used_again_is_found_out() {
    let (mut ada, mut bob) = two();
    let fill = many(&mut ada, &bob, 64 + 63);
    fill.iter().for_each(|sealed| drop(bob.read(sealed)));
    let old = ada.session(bob.peer()).encode();
    let sent = ada.seal(bob.peer(), "sent");
    bob.read(&sent).unwrap();
    ada.sessions = connectome_codecs::session::Sessions::new();
    ada.sessions.add(Session::decode(&old).unwrap(), NOW).unwrap();
    let again = ada.seal(bob.peer(), "sent");
    assert_eq!(sent.bytes[20..60], again.bytes[20..60], "the same place in the same chain");
    assert_ne!(sent.bytes[60..72], again.bytes[60..72], "another nonce");
    assert_eq!(bob.open(&again).unwrap_err(), Refusal::CounterReuse);
}

/// After a crash the sender goes on where its reservation ended; no key is used twice, and the gap is no obstacle.
#[test]
fn a_crash_leaves_a_gap_and_no_key_twice() {
    let (mut ada, mut bob) = two();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..5 {
        for sealed in many(&mut ada, &bob, 3) {
            assert!(seen.insert(sealed.bytes[20..60].to_vec()), "a place in a chain was used twice");
            assert!(bob.read(&sealed).is_ok(), "round {round}");
        }
        ada.restart();
    }
}

/// Nothing is sealed before its keys are reserved, or while a reservation is being written.
#[test]
fn keys_are_reserved_before_they_are_used() {
    let (mut ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    ada.meet(&bob);
    let Actor { sessions, instance, entropy, .. } = &mut ada;
    let session = sessions.with(bob.peer()).unwrap();
    let sealing = Sealing { key: &instance.keys().signing, each: true, padded: false };
    let mut seal = |session: &mut Session| session.seal(&context("c"), Bytes::new(), sealing, entropy).err();
    assert_eq!(seal(session), Some(SealError::NotReserved));
    let mut other = crate::sealed::cast::Seeded(9);
    session.reserve(NOW, &mut other).unwrap();
    assert_eq!(seal(session), Some(SealError::Reserving));
    assert_eq!(session.reserve(NOW, &mut other), Err(SealError::Reserving));
    let written = session.encode();
    session.give_back();
    assert_eq!(seal(session), Some(SealError::NotReserved));
    session.reserve(NOW, &mut other).unwrap();
    assert_ne!(session.encode(), written, "what was given back is not taken again");
    let written = session.encode();
    session.confirm();
    assert_eq!(session.encode(), written, "what is reserved is in the record before it is confirmed");
    for _ in 0..RESERVATION {
        assert_eq!(seal(session), None);
        assert_eq!(session.encode(), written, "one write serves all of a reservation");
    }
    assert_eq!(seal(session), Some(SealError::NotReserved));
}

/// A message further ahead than any can be, or so late that its key is gone, is asked for again.
#[test]
fn what_is_too_far_or_too_late_is_asked_for_again() {
    let (mut ada, mut bob) = two();
    ada.policy.signatures = Signatures::Checkpoint;
    bob.policy.signatures = Signatures::Checkpoint;
    let early = ada.seal(bob.peer(), "early");
    let number = |sealed: &Sealed| u32::from_be_bytes(sealed.bytes[56..60].try_into().unwrap());
    let mut far = ada.seal(bob.peer(), "far");
    while number(&far) < JUMP_MAX {
        far = ada.seal(bob.peer(), "far");
    }
    let further = ada.seal(bob.peer(), "further");
    let refusal = bob.open(&further).unwrap_err();
    assert_eq!((refusal.ask(), &refusal), (Some(Ask::Resend), &Refusal::TooFarAhead { max: JUMP_MAX }));
    assert_eq!(bob.read(&far).unwrap(), "far");
    let refusal = bob.open(&early).unwrap_err();
    assert_eq!((refusal.ask(), &refusal), (Some(Ask::Resend), &Refusal::KeyEvicted));
    assert_eq!(bob.read(&further).unwrap(), "further");
    assert!(bob.session(ada.peer()).encode().len() < RECORD_MAX);
}

/// Keys for late messages go when no message can be that late.
#[test]
fn keys_for_late_messages_have_their_time() {
    let (mut ada, mut bob) = two();
    let sealed = many(&mut ada, &bob, 2);
    bob.read(&sealed[1]).unwrap();
    let (policy, later) = (bob.policy.clone(), NOW.after(bob.policy.retention));
    bob.sessions.expire(&policy, UnixMillis(later.0 - 1));
    assert!(bob.open(&sealed[0]).is_ok());
    bob.sessions.expire(&policy, later);
    assert_eq!(bob.open(&sealed[0]).unwrap_err(), Refusal::KeyEvicted);
}

/// Both sides take turns, late: after a minute or 64 messages, and messages of older turns still open.
#[test]
fn turns_are_taken_late_and_late_messages_open() {
    let (mut ada, mut bob) = two();
    let mut kept = Vec::new();
    let mut ratchet_keys = std::collections::BTreeSet::new();
    for _ in 0..4 {
        (ada.now, bob.now) = (ada.now.after(DAY / 1440), bob.now.after(DAY / 1440));
        let late = ada.seal(bob.peer(), "late");
        let now = ada.seal(bob.peer(), "now");
        ratchet_keys.insert(now.bytes[20..52].to_vec());
        assert_eq!(bob.read(&now).unwrap(), "now");
        kept.push(late);
        let answer = bob.seal(ada.peer(), "answer");
        assert_eq!(ada.read(&answer).unwrap(), "answer");
    }
    assert_eq!(ratchet_keys.len(), 4, "a turn each minute");
    for late in &kept {
        assert_eq!(bob.read(late).unwrap(), "late");
    }
    let quick: Vec<Sealed> = (0..10).map(|_| ada.seal(bob.peer(), "quick")).collect();
    assert!(
        quick.windows(2).all(|pair| pair[0].bytes[20..52] == pair[1].bytes[20..52]),
        "and none in between"
    );
}

/// A message of a chain that was forgotten is called late, not forged.
#[test]
fn a_forgotten_chain_is_late() {
    let (mut ada, mut bob) = two();
    let first = ada.seal(bob.peer(), "first");
    for _ in 0..8 {
        (ada.now, bob.now) = (ada.now.after(DAY / 1440), bob.now.after(DAY / 1440));
        let there = ada.seal(bob.peer(), "there");
        bob.read(&there).unwrap();
        let back = bob.seal(ada.peer(), "back");
        ada.read(&back).unwrap();
    }
    assert_eq!(bob.open(&first).unwrap_err(), Refusal::KeyEvicted);
    bob.restart();
    assert_eq!(bob.open(&first).unwrap_err(), Refusal::KeyEvicted);
}

/// A record is read as it was written, and written again as it was read; nothing else is read.
#[test]
fn a_session_has_one_form_at_rest() {
    let (mut ada, mut bob) = two();
    let sealed = many(&mut ada, &bob, 20);
    (10..20).for_each(|n| drop(bob.read(&sealed[n])));
    let record = bob.session(ada.peer()).encode();
    assert_eq!(Session::decode(&record).unwrap().encode(), record);
    for length in 0..record.len() {
        assert!(Session::decode(&record[..length]).is_err(), "{length} bytes");
    }
    for bit in bits(&record) {
        if let Ok(read) = Session::decode(&flip(&Bytes::copy_from_slice(&record), bit)) {
            let again = read.encode();
            let changed = again.iter().zip(record.iter()).filter(|(a, b)| a != b).count();
            assert_eq!((again.len(), changed), (record.len(), 1), "bit {bit}");
        }
    }
}

/// Padding hides the length, and comes off.
#[test]
fn lengths_hide_in_buckets() {
    let (mut ada, mut bob) = two();
    let peer = bob.peer();
    let mut lengths = std::collections::BTreeSet::new();
    for text in ["", "a", "a little more"] {
        let Actor { sessions, instance, entropy, .. } = &mut ada;
        let session = sessions.with(peer).unwrap();
        let sealing = Sealing { key: &instance.keys().signing, each: true, padded: true };
        let sealed = session.seal(&context("c"), Bytes::from(text), sealing, entropy).unwrap();
        lengths.insert(sealed.bytes.len());
        assert_eq!(bob.read(&sealed).unwrap(), text);
    }
    assert_eq!(lengths.len(), 1);
}
