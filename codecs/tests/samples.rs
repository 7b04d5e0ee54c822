//! One value of everything that has a wire form, with its name: the golden vectors are these, encoded.

use bytes::Bytes;
use connectome_codecs::event::*;
use connectome_codecs::message::{self, *};
use connectome_codecs::*;

/// A value with a wire form, and what can be done with such bytes.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) codec: Codec,
    /// Whether bytes decode to this very value.
    pub(crate) is: Comparison,
    pub(crate) envelope: Option<Envelope>,
}

/// Whether bytes decode to one certain value.
pub(crate) type Comparison = Box<dyn Fn(&[u8]) -> bool>;

/// Decodes bytes and encodes the value again.
pub(crate) type Codec = fn(&[u8]) -> Result<Bytes, DecodeError>;

pub(crate) trait Wire: Sized + PartialEq + Clone + std::fmt::Debug + 'static {
    fn write(&self) -> Result<Bytes, EncodeError>;
    fn read(bytes: &[u8]) -> Result<Self, DecodeError>;
}

impl Wire for Envelope {
    fn write(&self) -> Result<Bytes, EncodeError> {
        self.encode()
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(Bytes::copy_from_slice(bytes))
    }
}

macro_rules! wire {
    ($($name:ty),+) => {
        $(impl Wire for $name {
            fn write(&self) -> Result<Bytes, EncodeError> {
                self.encode()
            }

            fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
                Self::decode(bytes)
            }
        })+
    };
}

wire!(
    Text,
    Task,
    Response,
    Status,
    message::Error,
    Discovery,
    Heartbeat,
    Control,
    Event,
    TaskRecord
);

pub(crate) fn recode<T: Wire>(bytes: &[u8]) -> Result<Bytes, DecodeError> {
    T::read(bytes).map(|value| value.write().expect("what was decoded can be encoded"))
}

/// Every decoder of typed bytes, by name.
pub(crate) const CODECS: &[(&str, Codec)] = &[
    ("envelope", recode::<Envelope>),
    ("text", recode::<Text>),
    ("task", recode::<Task>),
    ("response", recode::<Response>),
    ("status", recode::<Status>),
    ("error", recode::<message::Error>),
    ("discovery", recode::<Discovery>),
    ("heartbeat", recode::<Heartbeat>),
    ("control", recode::<Control>),
    ("event", recode::<Event>),
    ("task-record", recode::<TaskRecord>),
];

pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub(crate) const NODE: NodeId = NodeId([7; 32]);

pub(crate) fn samples() -> Vec<Sample> {
    [
        envelopes(),
        future_envelopes(),
        messages(),
        controls(),
        events(),
        tasks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sample<T: Wire>(name: &'static str, what: &'static str, value: T) -> Sample {
    let bytes = value.write().expect("a sample is valid");
    let is = move |bytes: &[u8]| T::read(bytes).is_ok_and(|read| read == value);
    Sample {
        name,
        what,
        bytes,
        codec: recode::<T>,
        is: Box::new(is),
        envelope: None,
    }
}

fn envelope(name: &'static str, what: &'static str, envelope: Envelope) -> Sample {
    Sample {
        envelope: Some(envelope.clone()),
        ..sample(name, what, envelope)
    }
}

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a sample is valid")
}

pub(crate) fn minimal() -> Envelope {
    let id = MessageId::from_parts(NOW, 1);
    Envelope::new(
        id,
        Kind::Text,
        parsed("greeter"),
        NOW,
        Bytes::from_static(b"\x81\xa4text\xa2hi"),
    )
}

pub(crate) fn full() -> Envelope {
    let mut trace: TraceContext = parsed("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    trace.state = Some(parsed("vendor=a1,other@b=2"));
    let mut envelope = minimal()
        .named(parsed("shop.greet"))
        .from(parsed("shop/eu/till-3"))
        .correlated(MessageId::from_parts(NOW, 2))
        .reply_to(NODE)
        .expires_at(UnixMillis(NOW.0 + 5_000))
        .traced(trace)
        .attempt(Attempt(3))
        .idempotency_key(parsed("order-17/line-2"))
        .content_type(ContentType::Json)
        .call_chain(vec![parsed("front"), parsed("shop/eu/till-3")]);
    envelope.kind = Kind::Typed;
    (envelope.encoding, envelope.body) = (Encoding::Unknown(200), Bytes::from_static(b"sealed"));
    envelope
}

fn envelopes() -> Vec<Sample> {
    let id = AgentId([9; 32]);
    let plain = Bytes::from(b"to be or not to be, ".repeat(20));
    let with = |change: fn(&mut Envelope)| {
        let mut envelope = minimal();
        change(&mut envelope);
        envelope
    };
    let packed = |encoding, packed: &[u8]| {
        let mut envelope = minimal().content_type(ContentType::Text);
        (envelope.encoding, envelope.body) = (encoding, Bytes::copy_from_slice(packed));
        assert_eq!(envelope.plain_body().expect("a sample is valid"), plain);
        envelope
    };
    vec![
        envelope("envelope-minimal", "only what every envelope has", minimal()),
        envelope("envelope-full", "every field of this version", full()),
        envelope(
            "envelope-empty-body",
            "a body of no bytes",
            with(|e| e.body = Bytes::new()),
        ),
        envelope(
            "envelope-long-body",
            "a body of 300 bytes",
            with(|e| e.body = Bytes::from(vec![0xc1; 300])),
        ),
        envelope("envelope-to-id", "to an agent's key, from an agent's key", {
            let mut envelope = minimal().from(Address::Id(AgentId([3; 32])));
            envelope.to = Address::Id(id);
            envelope
        }),
        envelope(
            "envelope-to-capability",
            "to whoever can summarise",
            with(|e| e.to = parsed("can:summarise")),
        ),
        envelope("envelope-traced", "a trace without vendor state", {
            minimal().traced(parsed("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"))
        }),
        envelope(
            "envelope-content-type",
            "a media type that is none of the usual ones",
            minimal().content_type(parsed("image/png")),
        ),
        envelope(
            "envelope-call-chain",
            "three agents wait, one of them with a long name",
            minimal().call_chain(vec![parsed("a"), parsed("b/c"), parsed(&"long-".repeat(10))]),
        ),
        envelope(
            "envelope-first-moment",
            "numbers at their smallest and largest",
            {
                with(|e| {
                    (e.sent, e.expires, e.attempt) =
                        (UnixMillis(0), Some(UnixMillis(u64::MAX)), Attempt(u32::MAX))
                })
            },
        ),
        envelope(
            "envelope-lz4",
            "a body packed with LZ4",
            packed(Encoding::Lz4, LZ4),
        ),
        envelope(
            "envelope-zstd",
            "a body packed with Zstandard",
            packed(Encoding::Zstd, ZSTD),
        ),
        envelope(
            "envelope-unknown-kind",
            "a kind of a later version",
            with(|e| e.kind = Kind::from(77)),
        ),
    ]
}

/// 20 times `to be or not to be, `, as LZ4 and as Zstandard: literals, because another version of a compressor may
/// pack otherwise.
const LZ4: &[u8] = &[
    0x90, 0x01, 0x00, 0x00, 0xd1, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x20, 0x6f, 0x72, 0x20, 0x6e, 0x6f, 0x74,
    0x20, 0x0d, 0x00, 0x12, 0x2c, 0x07, 0x00, 0x0f, 0x14, 0x00, 0xff, 0x5f, 0x60, 0x6f, 0x20, 0x62, 0x65,
    0x2c, 0x20,
];
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x90, 0x00, 0xed, 0x00, 0x00, 0x98, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x20,
    0x6f, 0x72, 0x20, 0x6e, 0x6f, 0x74, 0x20, 0x74, 0x6f, 0x20, 0x62, 0x65, 0x2c, 0x02, 0x00, 0x74, 0x37,
    0x15, 0x28, 0xac, 0x84, 0x01,
];

/// Envelopes as a later version would write them; nothing here can make one, so they are bytes.
fn future_envelopes() -> Vec<Sample> {
    let known = minimal().encode().expect("a sample is valid");
    let (header, body) = known.split_at(known.len() - minimal().body.len() - 2);
    let extra: &[u8] = b"\x11\x81\xa3new\x93\x01\xca\x3f\x80\x00\x00\xc0\xcd\x01\x00\xa6opaque";
    let later = |version: u8, fields: u8| {
        let mut bytes = header.to_vec();
        (bytes[1], bytes[2]) = (version, 0x80 | fields);
        bytes.extend_from_slice(if fields > 4 { extra } else { &[] });
        bytes.extend_from_slice(body);
        Envelope::decode(bytes.into()).expect("a later version keeps the form")
    };
    vec![
        envelope(
            "envelope-unknown-fields",
            "two fields of a later version",
            later(1, 6),
        ),
        envelope(
            "envelope-version-2",
            "a later version with two new fields",
            later(2, 6),
        ),
        envelope(
            "envelope-version-127",
            "a much later version without new fields",
            later(127, 4),
        ),
    ]
}

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
    message::Error::new(
        ErrorCode::TIMEOUT,
        Blame::Peer,
        Effect::Possible,
        "no answer within 5 s; ask again",
    )
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
    }
}

pub(crate) fn discovery(action: DiscoveryAction) -> Discovery {
    let quiet = matches!(action, DiscoveryAction::Query | DiscoveryAction::Goodbye);
    let removed = if action == DiscoveryAction::Delta {
        vec![parsed("old")]
    } else {
        vec![]
    };
    let added = if quiet {
        vec![]
    } else {
        vec![
            record("editor"),
            AgentRecord {
                id: None,
                role: None,
                ..record("b")
            },
        ]
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
    }
}

fn messages() -> Vec<Sample> {
    let heartbeat = Heartbeat {
        node: NODE,
        incarnation: NOW.0,
        registry_version: 300,
        agents: 12,
        in_flight: 0,
    };
    let status = |status, load| Status {
        status,
        load,
        detail: None,
    };
    vec![
        sample(
            "message-text",
            "a text",
            Text {
                text: "hello".into(),
                language: None,
            },
        ),
        sample("message-text-language", "a text that says its language", {
            Text {
                text: "ol\u{e1}".into(),
                language: Some("pt-BR".into()),
            }
        }),
        sample("message-task", "a task with every field", task()),
        sample(
            "message-task-least",
            "a task with the least",
            Task {
                deadline: None,
                idempotency_key: None,
                ..task()
            },
        ),
        sample(
            "message-response",
            "a whole answer",
            Response::whole(Bytes::from_static(b"\xa5hello")),
        ),
        sample("message-response-item", "the seventh item of a stream", {
            Response {
                result: Bytes::from_static(b"\x07"),
                item: Some(7),
                last: false,
            }
        }),
        sample(
            "message-status",
            "a busy agent",
            status(AgentStatus::Busy, Some(750)),
        ),
        sample(
            "message-status-unknown",
            "a status of a later version",
            status(parsed("dreaming"), None),
        ),
        sample("message-error", "an error that names a field", error()),
        sample("message-heartbeat", "a node that is alive", heartbeat),
        sample(
            "message-discovery-query",
            "a question",
            discovery(DiscoveryAction::Query),
        ),
        sample(
            "message-discovery-snapshot",
            "a whole registry",
            discovery(DiscoveryAction::Snapshot),
        ),
        sample(
            "message-discovery-delta",
            "what has changed",
            discovery(DiscoveryAction::Delta),
        ),
        sample(
            "message-discovery-goodbye",
            "a node that leaves",
            discovery(DiscoveryAction::Goodbye),
        ),
    ]
}

fn controls() -> Vec<Sample> {
    let reason = DownReason::Crashed;
    let down = Control::Down {
        watcher: 9,
        incarnation: NOW.0,
        reason,
        detail: "panicked at 'x'".into(),
    };
    vec![
        sample("message-control-cancel", "stop the work", Control::Cancel),
        sample(
            "message-control-credit",
            "room for 16 more items",
            Control::Credit { items: 16 },
        ),
        sample(
            "message-control-watch",
            "tell me when it goes down",
            Control::Watch { watcher: 9 },
        ),
        sample(
            "message-control-unwatch",
            "do not tell me any more",
            Control::Unwatch { watcher: 9 },
        ),
        sample("message-control-down", "it went down", down),
        sample(
            "message-control-unknown",
            "an action of a later version",
            Control::Unknown {
                action: "pause".into(),
            },
        ),
    ]
}

pub(crate) fn event(source: EventSource, fact: Fact) -> Event {
    Event {
        id: EventId::from_parts(NOW, 3),
        at: NOW,
        source,
        correlation: Some(task().id.into()),
        fact,
    }
}

fn events() -> Vec<Sample> {
    let facts = agent_facts()
        .into_iter()
        .chain(task_facts())
        .chain(system_facts());
    let from_node = facts.map(|(name, fact)| {
        sample(
            name,
            "a fact, said by a node",
            event(EventSource::Node(NODE), fact),
        )
    });
    let received = Fact::MessageReceived(MessageReceived {
        message: MessageId::from_parts(NOW, 1),
        kind: Kind::Typed,
        from: Some(parsed("can:chat")),
        to: parsed("greeter"),
        bytes: 300,
    });
    let unknown = Fact::Unknown {
        r#type: parsed("AGENT_DREAMT"),
        body: Bytes::from_static(b"\x81\xa1x\xcd\x00\x01"),
    };
    let by_agent = |fact| Event {
        correlation: None,
        ..event(EventSource::Agent(parsed("greeter")), fact)
    };
    from_node
        .chain([
            sample(
                "event-message-received",
                "a fact, said by an agent",
                by_agent(received),
            ),
            sample(
                "event-unknown",
                "a type of a later version, with a body in no canonical form",
                by_agent(unknown),
            ),
        ])
        .collect()
}

fn agent_facts() -> Vec<(&'static str, Fact)> {
    let agent: AgentName = parsed("editor");
    let updated = AgentStatusUpdated {
        agent: agent.clone(),
        status: AgentStatus::Draining,
        load: Some(10),
        detail: Some("bye".into()),
    };
    vec![
        (
            "event-agent-registered",
            Fact::AgentRegistered(AgentRegistered {
                node: NODE,
                agent: record("editor"),
            }),
        ),
        (
            "event-agent-unregistered",
            Fact::AgentUnregistered(AgentUnregistered {
                node: NODE,
                agent,
                reason: DownReason::Shutdown,
            }),
        ),
        ("event-agent-status-updated", Fact::AgentStatusUpdated(updated)),
    ]
}

fn task_facts() -> Vec<(&'static str, Fact)> {
    let (task, worker, term, attempt) = (task(), parsed::<AgentName>("worker/1"), Term(8), Attempt(2));
    let created = TaskCreated {
        task: task.id,
        capability: task.capability,
        deadline: task.deadline,
        idempotency_key: task.idempotency_key,
    };
    let lease_until = UnixMillis(NOW.0 + 10_000);
    let assigned = TaskAssigned {
        task: task.id,
        worker: worker.clone(),
        node: NODE,
        term,
        attempt,
        lease_until,
    };
    let failed = TaskFailed {
        task: task.id,
        worker: Some(worker.clone()),
        term,
        attempt,
        error: error(),
        retry_at: Some(UnixMillis(NOW.0 + 1)),
    };
    vec![
        ("event-task-created", Fact::TaskCreated(created)),
        ("event-task-assigned", Fact::TaskAssigned(assigned)),
        (
            "event-task-completed",
            Fact::TaskCompleted(TaskCompleted {
                task: task.id,
                worker,
                term,
                attempt,
                elapsed_ms: 1_234,
            }),
        ),
        ("event-task-failed", Fact::TaskFailed(failed)),
    ]
}

fn system_facts() -> Vec<(&'static str, Fact)> {
    let (node, incarnation) = (NODE, NOW.0);
    let occurred = ErrorOccurred {
        error: error(),
        agent: Some(parsed("editor")),
        message: Some(MessageId::from_parts(NOW, 1)),
    };
    vec![
        (
            "event-system-ready",
            Fact::SystemReady(SystemReady {
                node,
                incarnation,
                version: "0.1.0".into(),
            }),
        ),
        (
            "event-system-shutdown",
            Fact::SystemShutdown(SystemShutdown {
                node,
                incarnation,
                reason: "asked to".into(),
            }),
        ),
        ("event-error-occurred", Fact::ErrorOccurred(occurred)),
        (
            "event-resource-low",
            Fact::ResourceLow(ResourceLow {
                resource: "disk_bytes".into(),
                used: 95,
                limit: 100,
            }),
        ),
    ]
}

fn tasks() -> Vec<Sample> {
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
        sample(
            "task-record-completed",
            "a task that is done, with every field",
            done,
        ),
    ]
}
