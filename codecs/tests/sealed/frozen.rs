//! The bytes are pinned: what stands in `codecs/tests/vectors/cxr1.json` is what this version seals and opens, and a
//! second implementation, written from `docs/security-protocol.md`, opens it too.
//!
//! After a change that is meant, write it anew and read the difference:
//! `CONNECTOME_VECTORS=write cargo test -p connectome-codecs frozen`. A change here is another protocol: give it a number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use connectome_codecs::group::{GroupId, GroupSender, Roster};
use connectome_codecs::identity::{PoolKeys, Suite, Suites};
use connectome_codecs::key::Secret;
use connectome_codecs::seal::{PoolMessage, StoreKey};
use connectome_codecs::session::{
    Context, Policy, Request, RequestKind, Sealed, Sealing, Session, Signatures,
};
use connectome_codecs::signature::Batch;
use connectome_codecs::{Envelope, Kind, MessageId, UnixMillis};
use serde_json::{Value, json};

use crate::sealed::cast::{Actor, DAY, NOW, Seeded, agent_id};

/// What is sealed today is what was sealed when the vectors were written.
#[test]
fn the_bytes_are_pinned() {
    let made = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    if std::env::var("CONNECTOME_VECTORS").is_ok_and(|wish| wish == "write") {
        fs::write(path("cxr1.json"), &made).unwrap();
    }
    let frozen = fs::read_to_string(path("cxr1.json")).unwrap();
    assert!(made == frozen, "other bytes are sealed; if that is meant, write the vectors anew");
}

/// Python, with its standard library and the document, opens every vector.
#[test]
fn a_second_implementation_opens_the_vectors() {
    let output = Command::new("python3").arg(path("open.py")).output();
    let output = output.expect("python3 starts: install Python 3 and put python3 on the PATH");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all vectors open"), "{said}");
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A real envelope's header.
fn context() -> Context {
    let to = "bob".parse().unwrap();
    let envelope = Envelope::new(MessageId::from_parts(NOW, 7), Kind::Text, to, NOW, Bytes::from("sealed"));
    Context::of(&envelope.expires_at(UnixMillis(NOW.0 + 5_000))).unwrap()
}

fn message(bytes: &[u8], payload: &str) -> Value {
    json!({ "bytes": hex(bytes), "payload": hex(payload.as_bytes()) })
}

fn receiver(actor: &Actor) -> Value {
    json!({
        "instance_keys": hex(&actor.instance.keys().encode()),
        "certificate": hex(actor.instance.certificate().bytes()),
        "bundle": hex(actor.bundle.bytes()),
        "one_time": actor.one_time.iter().map(|prekey| hex(prekey.bytes())).collect::<Value>(),
        "prekeys": hex(&actor.prekeys.encode()),
    })
}

fn reserve(session: &mut Session, now: UnixMillis, entropy: &mut Seeded) {
    if session.needs_reservation(now) {
        session.reserve(now, entropy).unwrap();
        session.confirm();
    }
}

fn seal(from: &mut Actor, to: &Actor, payload: &str, padded: bool) -> Sealed {
    let each = from.policy.signatures == Signatures::EveryMessage;
    let session = from.sessions.with(to.peer()).unwrap();
    reserve(session, from.now, &mut from.entropy);
    let sealing = Sealing { key: &from.instance.keys().signing, each, padded };
    session.seal(&context(), Bytes::copy_from_slice(payload.as_bytes()), sealing, &mut from.entropy).unwrap()
}

fn read(actor: &mut Actor, sealed: &Sealed) -> Value {
    let opened = actor.sessions.open(actor.receiver(), &sealed.bytes, &context(), actor.now).unwrap();
    let evidence = opened.evidence.as_ref().map(|evidence| hex(&evidence.encode()));
    let vector =
        json!({ "bytes": hex(&sealed.bytes), "payload": hex(&opened.payload), "evidence": evidence });
    actor.commit(opened).unwrap();
    vector
}

/// A conversation: a handshake, messages out of order, a batch, and a turn of each side.
fn conversation(policy: &Policy) -> Value {
    let (mut ada, mut bob) = (Actor::with("ada", 1, policy.clone()), Actor::with("bob", 2, policy.clone()));
    let asleep = receiver(&bob);
    ada.meet(&bob);
    let mut sealed = vec![seal(&mut ada, &bob, "first", false), seal(&mut ada, &bob, "padded", true)];
    sealed.extend(batch(&mut ada, &bob));
    let first: Value = [3, 0, 1, 4, 2].iter().map(|n| read(&mut bob, &sealed[*n])).collect();
    let answer = seal(&mut bob, &ada, "answer", false);
    let record = bob.session(ada.peer()).encode();
    let answer = read(&mut ada, &answer);
    ada.now = ada.now.after(DAY);
    let later = seal(&mut ada, &bob, "after a turn of each", false);
    bob.now = ada.now;
    json!({
        "receiver": asleep,
        "context": hex(context().bytes()),
        "session": hex(&ada.session(bob.peer()).id().0),
        "first": first,
        "answer": answer,
        "record": hex(&record),
        "later": read(&mut bob, &later),
    })
}

fn batch(ada: &mut Actor, bob: &Actor) -> Vec<Sealed> {
    let session = ada.sessions.with(bob.peer()).unwrap();
    let mut batch = Batch::default();
    for payload in ["one of three", "two of three", "three of three"] {
        batch.add(session.draft(&context(), Bytes::from(payload), false, &mut ada.entropy).unwrap()).unwrap();
    }
    batch.sign(&ada.instance.keys().signing)
}

fn pool() -> Value {
    let (mut ada, mut boss) = (Actor::new("ada", 1), Actor::new("workers", 9));
    let mut keys = PoolKeys::new();
    let prekey = keys.rotate(&boss.agent, &"workers".parse().unwrap(), true, DAY, NOW, &mut boss.entropy);
    let sealed = PoolMessage { prekey: &prekey, sender: &ada.instance };
    let sealed = sealed.seal(&context(), b"task", NOW, &mut ada.entropy).unwrap();
    let shared = hex(&keys.share().unwrap());
    json!({ "shared": shared, "context": hex(context().bytes()), "message": message(&sealed, "task") })
}

fn group() -> Value {
    let ada = Actor::new("ada", 1);
    let members = BTreeSet::from([agent_id(&ada.agent)]);
    let roster = Roster::issue(&ada.instance, GroupId([5; 16]), 3, members).unwrap();
    let mut sender = GroupSender::begin(&ada.instance, &roster, NOW, &mut Seeded(4));
    let distribution = hex(&sender.distribution());
    sender.reserve().unwrap();
    sender.confirm();
    let mut seal = |payload: &str| {
        let entropy = &mut Seeded(payload.len() as u64);
        message(&sender.seal(&ada.instance, &context(), payload.as_bytes(), entropy).unwrap(), payload)
    };
    json!({
        "roster": hex(roster.bytes()),
        "certificate": hex(ada.instance.certificate().bytes()),
        "distribution": distribution,
        "context": hex(context().bytes()),
        "messages": [seal("to all"), seal("to all of them")],
    })
}

fn request() -> Value {
    let (mut ada, bob) = (Actor::new("ada", 1), Actor::new("bob", 2));
    let kind = RequestKind::Resend(vec![MessageId::from_parts(NOW, 7)]);
    let sealed = Request { kind, session: [7; 16] }.seal(&ada.instance, &bob.bundle, NOW, &mut ada.entropy);
    let messages = hex(&MessageId::from_parts(NOW, 7).to_bytes());
    json!({ "receiver": receiver(&bob), "bytes": hex(&sealed.unwrap()), "session": hex(&[7; 16]), "messages": messages })
}

fn store() -> Value {
    let key = StoreKey::new(Secret::read(&[7; 32]).unwrap());
    let sealed = key.seal("session/1", 4, b"a record", &mut Seeded(6));
    json!({ "key": hex(&[7; 32]), "name": "session/1", "record": message(&sealed, "a record") })
}

fn vectors() -> Value {
    let classic = Policy {
        suites: Suites::of(&[Suite::Classic]),
        signatures: Signatures::Checkpoint,
        ..Policy::default()
    };
    let all: BTreeMap<&str, Value> = BTreeMap::from([
        ("hybrid, every message signed", conversation(&Policy::default())),
        ("classic, steps signed", conversation(&classic)),
        ("pool", pool()),
        ("group", group()),
        ("request", request()),
        ("store", store()),
    ]);
    json!(all)
}
