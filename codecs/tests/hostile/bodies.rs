//! Bodies that are MessagePack, but not what they should be: the refusal names the field.

use connectome_codecs::event::Event;
use connectome_codecs::limits::{CAPABILITIES_MAX, DISCOVERY_RECORDS_MAX, TASK_HISTORY_MAX};
use connectome_codecs::message::*;
use connectome_codecs::{TaskRecord, TaskState, UnixMillis, wire};
use serde::Serialize;

use super::{Case, case, refused};
use crate::samples::{Codec, NOW, discovery, error, parsed, recode, record, task};

/// Every wrong body is refused by its decoder, and the refusal names the field.
#[test]
fn wrong_bodies_are_refused() {
    for (codec, cases) in cases() {
        refused(&cases, codec);
    }
}

pub(crate) fn cases() -> Vec<(Codec, Vec<Case>)> {
    vec![
        (recode::<Text>, texts()),
        (recode::<Task>, tasks()),
        (
            recode::<Response>,
            vec![case("a part without a number", raw(&Response { last: false, ..answer() }), "last: false")],
        ),
        (
            recode::<Status>,
            vec![case("overloaded", raw(&Status { load: Some(1_001), ..ready() }), "load: 1001")],
        ),
        (
            recode::<Error>,
            vec![case("silent", raw(&Error { message: String::new(), ..error() }), "message: it is empty")],
        ),
        (recode::<Discovery>, discoveries()),
        (recode::<Control>, controls()),
        (recode::<TaskRecord>, records()),
        (recode::<Event>, events()),
    ]
}

/// Encodes without validating, as a careless peer would.
fn raw<T: Serialize>(value: &T) -> Vec<u8> {
    wire::encode(value).unwrap().to_vec()
}

fn answer() -> Response {
    Response::whole("x".into())
}

fn ready() -> Status {
    Status { status: AgentStatus::Ready, load: None, detail: None }
}

fn texts() -> Vec<Case> {
    let text = |text: &str, language: &str| raw(&Text { text: text.into(), language: Some(language.into()) });
    vec![
        case("empty", text("", "en"), "text: it is empty"),
        case("an empty language", text("hi", ""), "language: it is empty"),
        case("a language with a space", text("hi", "p t"), "language: \"p t\""),
        case("a long language", text("hi", &"x".repeat(36)), "language: 36 bytes"),
        case("no text", *b"\x80", "missing field `text`"),
        case("a number as text", *b"\x81\xa4text\x07", "field text: "),
        case("text that is not UTF-8", *b"\x81\xa4text\xa2\xff\xfe", "field text: "),
        case("not a map", *b"\x07", "value: expected struct Text, found integer `7`"),
    ]
}

fn tasks() -> Vec<Case> {
    let early = Some(UnixMillis(NOW.0 - 1));
    let capability = wire::encode(&std::collections::BTreeMap::from([("capability", "a b")])).unwrap();
    vec![
        case("no attempts", raw(&Task { attempts_max: 0, ..task() }), "attempts_max: 0"),
        case("too many attempts", raw(&Task { attempts_max: 1_001, ..task() }), "attempts_max: 1001"),
        case("over before it began", raw(&Task { deadline: early, ..task() }), "deadline: "),
        case(
            "a capability with a space",
            capability.to_vec(),
            "field capability: \"a b\" is not a valid capability",
        ),
        case("an id of 15 bytes", *b"\x81\xa2id\xc4\x0f0123456789abcde", "field id: invalid length 15"),
    ]
}

fn discoveries() -> Vec<Case> {
    let delta = || discovery(DiscoveryAction::Delta);
    let with = |change: fn(&mut Discovery)| {
        let mut message = delta();
        change(&mut message);
        raw(&message)
    };
    let parts = |part, parts| raw(&Discovery { part, parts, ..delta() });
    vec![
        case(
            "257 records",
            with(|d| d.added = vec![record("a"); DISCOVERY_RECORDS_MAX + 1]),
            "field added: ",
        ),
        case(
            "257 names",
            with(|d| d.removed = vec![parsed("a"); DISCOVERY_RECORDS_MAX + 1]),
            "field removed: ",
        ),
        case(
            "33 capabilities",
            with(|d| d.added[0].capabilities = vec![parsed("a"); CAPABILITIES_MAX + 1]),
            "field added[0]",
        ),
        case("a long role", with(|d| d.added[0].role = Some("x".repeat(65))), "role: 65 bytes"),
        case("no version", with(|d| d.added[1].version.clear()), "version: it is empty"),
        case("no parts", parts(0, 0), "parts: 0"),
        case("part 2 of 2", parts(2, 2), "part: 2 of 2"),
        case("a million parts", parts(0, 1_000_000), "parts: 1000000"),
        case("a delta that leads down", with(|d| d.base_version = 3), "base_version: 3"),
        case("a query with records", with(|d| d.action = DiscoveryAction::Query), "added: a query"),
        case(
            "a snapshot that removes",
            with(|d| d.action = DiscoveryAction::Snapshot),
            "removed: a snapshot",
        ),
    ]
}

fn controls() -> Vec<Case> {
    vec![
        case("no credit", raw(&Control::Credit { items: 0 }), "items: 0"),
        case("endless credit", raw(&Control::Credit { items: u32::MAX }), "items: 4294967295"),
        case("credit without a number", *b"\x81\xa6action\xa6credit", "items: missing"),
        case("a watch without a number", *b"\x81\xa6action\xa5watch", "watcher: missing"),
        case("no action", *b"\x80", "missing field `action`"),
        case("an action with a space", *b"\x81\xa6action\xa3a b", "action: \"a b\""),
    ]
}

fn records() -> Vec<Case> {
    let mut record = TaskRecord::submitted(&task(), NOW);
    record.history = vec![record.history[0].clone(); TASK_HISTORY_MAX + 1];
    let mut noisy = TaskRecord::submitted(&task(), NOW);
    noisy.history[0].note = "x".repeat(2_049);
    let spaced =
        TaskRecord { state: TaskState::Unknown("a b".into()), ..TaskRecord::submitted(&task(), NOW) };
    vec![
        case("33 steps", raw(&record), "field history: "),
        case("a long note", raw(&noisy), "note: 2049 bytes"),
        case("a state with a space", raw(&spaced), "field state: \"a b\""),
    ]
}

fn events() -> Vec<Case> {
    let event = |r#type: &str, body: &[u8]| {
        let head =
            b"\x85\xa2id\xc4\x100123456789abcdef\xa2at\x01\xa6source\x81\xa5agent\xa1a\xa4type".to_vec();
        let r#type = [&[0xa0 | r#type.len() as u8][..], r#type.as_bytes()].concat();
        [head, r#type, b"\xa4body\xc4".to_vec(), vec![body.len() as u8], body.to_vec()].concat()
    };
    vec![
        case("a fact without its fields", event("SYSTEM_READY", b"\x80"), "missing field `node`"),
        case("a fact that is no MessagePack", event("SYSTEM_READY", b"\xc1"), "0xc1"),
        case("a fact with a byte after its end", event("SYSTEM_READY", b"\x80\x80"), "1 bytes after the end"),
        case("a type with a space", event("SYSTEM READY", b"\x80"), "field type: \"SYSTEM READY\""),
        case("no body", *b"\x80", "missing field `id`"),
    ]
}
