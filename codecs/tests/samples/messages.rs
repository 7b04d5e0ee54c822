//! Messages of every kind, and task records.

use bytes::Bytes;
use connectome_codecs::message::{self, *};
use connectome_codecs::*;

use super::{NODE, NOW, Sample, parsed, sample};

pub(crate) fn task() -> Task {
    Task {
        id: TaskId::from_parts(NOW, 5),
        capability: parsed("summarise"),
        input: Bytes::from_static(b"a long text"),
        content_type: ContentType::Text,
        deadline: Some(UnixMillis(NOW.0 + 60_000)),
        attempts_max: 3,
        idempotency_key: Some(parsed("doc-1")),
    }
}

pub(crate) fn error() -> message::Error {
    message::Error::new(ErrorCode::TIMEOUT, Blame::Peer, Effect::Possible, "no answer within 5 s; ask again")
        .in_field("to")
}

pub(crate) fn record(name: &str) -> AgentRecord {
    AgentRecord {
        name: parsed(name),
        id: Some(AgentId([9; 32])),
        role: Some("editor".into()),
        capabilities: vec![parsed("summarise"), parsed("translate.fr")],
        version: "1.2.0".into(),
        in_flight: 4,
        term: None,
    }
}

pub(crate) fn discovery(action: DiscoveryAction) -> Discovery {
    let quiet = matches!(action, DiscoveryAction::Query | DiscoveryAction::Goodbye);
    let removed = if action == DiscoveryAction::Delta { vec![parsed("old")] } else { vec![] };
    let added = if quiet {
        vec![]
    } else {
        vec![record("editor"), AgentRecord { id: None, role: None, ..record("b") }]
    };
    Discovery {
        node: NODE,
        incarnation: NOW.0,
        action,
        base_version: 1,
        version: 2,
        part: 0,
        parts: 1,
        added,
        removed,
        offered: Vec::new(),
        withdrawn: Vec::new(),
    }
}

pub(super) fn messages() -> Vec<Sample> {
    let heartbeat = Heartbeat {
        node: NODE,
        incarnation: NOW.0,
        registry_version: 300,
        agents: 12,
        in_flight: 0,
        accepts: vec![Encoding::Zstd, Encoding::Lz4, Encoding::Identity],
    };
    let status = |status, load| Status { status, load, detail: None };
    vec![
        sample("message-text", "a text", Text { text: "hello".into(), language: None }),
        sample("message-text-language", "a text that says its language", {
            Text { text: "ol\u{e1}".into(), language: Some("pt-BR".into()) }
        }),
        sample("message-task", "a task with every field", task()),
        sample(
            "message-task-least",
            "a task with the least",
            Task { deadline: None, idempotency_key: None, ..task() },
        ),
        sample("message-response", "a whole answer", Response::whole(Bytes::from_static(b"\xa5hello"))),
        sample("message-response-item", "the seventh item of a stream", {
            Response { result: Bytes::from_static(b"\x07"), item: Some(7), last: false }
        }),
        sample("message-status", "a busy agent", status(AgentStatus::Busy, Some(750))),
        sample("message-status-unknown", "a status of a later version", status(parsed("dreaming"), None)),
        sample("message-error", "an error that names a field", error()),
        sample("message-heartbeat", "a node that is alive", heartbeat),
        sample("message-discovery-query", "a question", discovery(DiscoveryAction::Query)),
        sample("message-discovery-snapshot", "a whole registry", discovery(DiscoveryAction::Snapshot)),
        sample("message-discovery-delta", "what has changed", discovery(DiscoveryAction::Delta)),
        sample("message-discovery-goodbye", "a node that leaves", discovery(DiscoveryAction::Goodbye)),
    ]
}

pub(super) fn controls() -> Vec<Sample> {
    let reason = DownReason::Crashed;
    let keep = Control::Keep { outbox: 0x5eed, sequence: 7, envelope: Bytes::from_static(b"envelope") };
    let down = Control::Down { watcher: 9, incarnation: NOW.0, reason, detail: "panicked at 'x'".into() };
    vec![
        sample("message-control-cancel", "stop the work", Control::Cancel),
        sample("message-control-credit", "room for 16 more items", Control::Credit { items: 16 }),
        sample("message-control-watch", "tell me when it goes down", Control::Watch { watcher: 9 }),
        sample("message-control-unwatch", "do not tell me any more", Control::Unwatch { watcher: 9 }),
        sample("message-control-down", "it went down", down),
        sample("message-control-keep", "keep this for its agent, and say when it is stored", keep),
        sample(
            "message-control-unknown",
            "an action of a later version",
            Control::Unknown { action: "pause".into() },
        ),
    ]
}

pub(super) fn tasks() -> Vec<Sample> {
    let fresh = TaskRecord::submitted(&task(), NOW);
    let mut done = TaskRecord {
        term: Term(8),
        owner: Some(NODE),
        worker: Some(parsed("worker/1")),
        attempt: Attempt(2),
        lease_until: Some(UnixMillis(NOW.0 + 10_000)),
        result: Some(Bytes::from_static(b"short")),
        error: Some(error()),
        ..fresh.clone()
    };
    done.step(TaskState::Working, UnixMillis(NOW.0 + 1), "taken by worker/1");
    done.step(TaskState::Completed, UnixMillis(NOW.0 + 2), "");
    vec![
        sample("task-record-submitted", "a task that waits", fresh),
        sample("task-record-completed", "a task that is done, with every field", done),
    ]
}
