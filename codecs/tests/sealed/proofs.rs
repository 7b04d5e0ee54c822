//! Signatures inside the seal: what they prove, to whom, and what they cost in bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::Refusal;
use connectome_codecs::identity::IdentityLog;
use connectome_codecs::session::{Policy, Sealed, Signatures, Verify};
use connectome_codecs::signature::{BATCH_MAX, Batch, Evidence};

use crate::sealed::cast::{Actor, Seeded, agent_id, bits, context, flip, two};

/// Seals messages to several peers under one signature.
fn batch(ada: &mut Actor, peers: &[&Actor], count: usize) -> Vec<Sealed> {
    let mut batch = Batch::default();
    for n in 0..count {
        let to = peers[n % peers.len()].peer();
        let session = ada.sessions.with(to).unwrap();
        if session.needs_reservation(ada.now) {
            session.reserve(ada.now, &mut ada.entropy).unwrap();
            session.confirm();
        }
        let payload = Bytes::from(n.to_string());
        batch.add(session.draft(&context("c"), payload, false, &mut ada.entropy).unwrap()).unwrap();
    }
    batch.sign(&ada.instance.keys().signing)
}

/// Every message is signed by default, and its evidence proves it to somebody who was not there.
#[test]
fn evidence_proves_a_message_to_others() {
    let (mut ada, bob) = two();
    let sealed = ada.seal(bob.peer(), "I owe you one");
    let evidence = bob.open(&sealed).unwrap().evidence.unwrap().encode();
    let proved = Evidence::decode(&evidence).unwrap().verify(&BTreeMap::new()).unwrap();
    assert_eq!((proved.agent, proved.instance), ada.peer());
    assert_eq!(proved.payload, "I owe you one");
    assert_eq!(proved.context, context("c").bytes());
    assert_eq!(&proved.receiver, bob.instance.certificate().hash());
}

/// Evidence with any bit changed proves nothing.
#[test]
fn changed_evidence_proves_nothing() {
    let (mut ada, bob) = two();
    let sealed = ada.seal(bob.peer(), "I owe you one");
    let evidence = Bytes::from(bob.open(&sealed).unwrap().evidence.unwrap().encode());
    for bit in bits(&evidence) {
        let changed = Evidence::decode(&flip(&evidence, bit));
        assert!(changed.and_then(|evidence| evidence.verify(&BTreeMap::new())).is_err(), "bit {bit}");
    }
}

/// Evidence by an instance whose certificate was taken back proves nothing.
#[test]
fn revoked_evidence_proves_nothing() {
    let (mut ada, bob) = two();
    let sealed = ada.seal(bob.peer(), "I owe you one");
    let evidence = bob.open(&sealed).unwrap().evidence.unwrap();
    let serial = ada.instance.certificate().claims().serial;
    let log = IdentityLog::begin(&ada.agent, 1, BTreeSet::from([serial])).unwrap();
    let directory = BTreeMap::from([(agent_id(&ada.agent), log)]);
    assert_eq!(evidence.verify(&directory).unwrap_err(), Refusal::Revoked);
}

/// Messages to several peers share a signature; each alone proves itself, and tells nothing of the others.
#[test]
fn a_batch_signs_every_message() {
    let (mut ada, mut bob) = two();
    let mut eve = Actor::new("eve", 3);
    ada.meet(&eve);
    for count in [1, 2, 3, 7, BATCH_MAX] {
        let sealed = batch(&mut ada, &[&bob, &eve], count);
        for (n, sealed) in sealed.iter().enumerate() {
            let reader = if n % 2 == 0 { &mut bob } else { &mut eve };
            let opened = reader.open(sealed).unwrap();
            let proved = opened.evidence.clone().unwrap().verify(&BTreeMap::new()).unwrap();
            assert_eq!(proved.payload, n.to_string());
            reader.commit(opened).unwrap();
        }
    }
    let full = batch(&mut ada, &[&bob], BATCH_MAX).pop().unwrap();
    assert_eq!(full.bytes.len(), 80 + 2 + 6 * 32 + 64 + 2 + 16, "258 bytes of proof");
}

/// A batch that is full gives the next message back.
#[test]
fn a_batch_is_bounded() {
    let (mut ada, bob) = two();
    let mut batch = Batch::default();
    let mut entropy = Seeded(9);
    let reserve = |ada: &mut Actor| {
        let session = ada.session(bob.peer());
        session.reserve(crate::sealed::cast::NOW, &mut Seeded(8)).unwrap();
        session.confirm();
    };
    reserve(&mut ada);
    reserve(&mut ada);
    let mut draft = |ada: &mut Actor| {
        ada.session(bob.peer()).draft(&context("c"), Bytes::new(), false, &mut entropy).unwrap()
    };
    (0..BATCH_MAX).for_each(|_| batch.add(draft(&mut ada)).unwrap());
    assert!(batch.add(draft(&mut ada)).is_err());
    assert_eq!(batch.len(), BATCH_MAX);
}

/// A receiver that asks for signatures refuses a message without one; one that asks for checkpoints takes both, and
/// has nothing to show to others.
#[test]
fn policies_ask_for_signatures() {
    let checkpoint = || Policy { signatures: Signatures::Checkpoint, ..Policy::default() };
    let (mut ada, mut bob) = (Actor::with("ada", 1, checkpoint()), Actor::with("bob", 2, checkpoint()));
    ada.meet(&bob);
    let sealed: Vec<Sealed> = (0..3).map(|n| ada.seal(bob.peer(), &n.to_string())).collect();
    for sealed in sealed.iter().rev() {
        let opened = bob.open(sealed).unwrap();
        assert!(opened.evidence.is_none());
        bob.commit(opened).unwrap();
    }
    assert_eq!(sealed[1].bytes.len() + 64, sealed[0].bytes.len(), "the first of a chain signs its key");

    let mut eve = Actor::with("eve", 3, checkpoint());
    let begun = eve.initiate(&bob.bundle, None).unwrap();
    eve.sessions.add(begun, eve.now).unwrap();
    let session = eve.session(bob.peer());
    session.reserve(crate::sealed::cast::NOW, &mut Seeded(8)).unwrap();
    session.confirm();
    let other = crate::sealed::cast::agent_key(77);
    let sealing = connectome_codecs::session::Sealing { key: &other, each: false, padded: false };
    let step = session.seal(&context("c"), Bytes::from("x"), sealing, &mut Seeded(9)).unwrap();
    assert!(
        matches!(bob.open(&step).unwrap_err(), Refusal::BadSignature { .. }),
        "another one signed the step"
    );

    bob.policy.signatures = Signatures::EveryMessage;
    let unsigned = ada.seal(bob.peer(), "unsigned");
    assert_eq!(bob.open(&unsigned).unwrap_err(), Refusal::Unsigned);
    bob.policy.signatures = Signatures::Checkpoint;
    ada.policy.signatures = Signatures::EveryMessage;
    let signed = ada.seal(bob.peer(), "signed");
    assert!(bob.open(&signed).unwrap().evidence.is_some());
}

/// A signature by another key than the certificate's is refused, at once or when the caller looks.
#[test]
fn a_message_is_signed_by_its_sender() {
    let (mut ada, mut bob) = two();
    let session = ada.sessions.with(bob.peer()).unwrap();
    let other = crate::sealed::cast::agent_key(77);
    let sealing = connectome_codecs::session::Sealing { key: &other, each: true, padded: false };
    let sealed = session.seal(&context("c"), Bytes::from("x"), sealing, &mut ada.entropy).unwrap();
    assert!(matches!(bob.open(&sealed).unwrap_err(), Refusal::BadSignature { .. }));
    bob.policy.verify = Verify::Later;
    let opened = bob.open(&sealed).unwrap();
    assert!(opened.evidence.unwrap().verify(&BTreeMap::new()).is_err());
}

/// A batch whose signature was verified with one message does not prove what is not in it.
#[test]
fn a_known_batch_proves_its_own_messages_alone() {
    let (mut ada, mut bob) = two();
    let mut sealed = batch(&mut ada, &[&bob], 4);
    bob.read(&sealed[0]).unwrap();
    let other = batch(&mut ada, &[&bob], 1).remove(0);
    for bit in bits(&sealed[1].bytes) {
        assert!(bob.open_in(&flip(&sealed[1].bytes, bit), "c").is_err(), "bit {bit}");
    }
    sealed.push(other);
    for (n, sealed) in sealed.iter().enumerate().skip(1) {
        assert_eq!(bob.read(sealed).unwrap(), (n % 4).to_string());
    }
}

/// A proof is whole and nothing follows it, inside the evidence too.
#[test]
fn evidence_holds_one_proof() {
    let (mut ada, bob) = two();
    let sealed = ada.seal(bob.peer(), "I owe you one");
    let mut evidence = bob.open(&sealed).unwrap().evidence.unwrap().encode();
    let length = evidence.len() - 65;
    assert_eq!(evidence[length], 64);
    let mut step = evidence.clone();
    step[length - 2] = 8;
    assert!(
        matches!(Evidence::decode(&step), Err(Refusal::Malformed { .. })),
        "a signed step proves no message"
    );
    evidence[length] = 65;
    evidence.push(0);
    assert!(matches!(Evidence::decode(&evidence), Err(Refusal::Malformed { .. })));
}
