//! How values are made up: every field, at its bounds and between them.

mod facts;

use std::collections::BTreeMap;

use bytes::Bytes;
use connectome_codecs::message::{self, *};
use connectome_codecs::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{Everything, Variant};
use crate::samples::parsed;

fn of<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: std::str::FromStr + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    pattern.prop_map(|text| parsed(&text))
}

fn name() -> impl Strategy<Value = AgentName> {
    of("[A-Za-z0-9_-]{1,20}(/[a-z]{1,9}){0,3}")
}

fn capability() -> impl Strategy<Value = Capability> {
    of("[A-Za-z0-9._-]{1,64}")
}

fn key() -> impl Strategy<Value = IdempotencyKey> {
    of("[!-~]{1,128}")
}

pub(super) fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        name().prop_map(Address::Agent),
        any::<[u8; 32]>().prop_map(|key| Address::Id(AgentId(key))),
        capability().prop_map(Address::Capability),
    ]
}

/// A count of any length on the wire.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..200u64, 0..70_000u64, any::<u64>()]
}

fn small() -> impl Strategy<Value = u32> {
    count().prop_map(|number| number as u32)
}

fn moment() -> impl Strategy<Value = UnixMillis> {
    count().prop_map(UnixMillis)
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<[u8; 32]>().prop_map(NodeId)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..5_000),
        (any::<u8>(), 0..100_000usize).prop_map(|(byte, length)| vec![byte; length])
    ]
}

fn task_id() -> impl Strategy<Value = TaskId> {
    any::<[u8; 16]>().prop_map(TaskId::from_bytes)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId::from_bytes)
}

fn content_type() -> impl Strategy<Value = ContentType> {
    let usual = [ContentType::MessagePack, ContentType::Text, ContentType::Json, ContentType::Octets];
    prop_oneof![prop::sample::select(usual.to_vec()), of("[a-z]{1,9}/[a-z0-9.+-]{1,30}")]
}

fn trace() -> impl Strategy<Value = TraceContext> {
    let state = option::of(of("[a-z]{1,9}=[!-+]{1,9}(, [a-z]{1,9}@v=x){0,5}"));
    (1..u128::MAX, 1..u64::MAX, any::<u8>(), state).prop_map(|(trace, parent, flags, state)| {
        let mut trace =
            TraceContext::new(trace.to_be_bytes(), parent.to_be_bytes(), flags).expect("neither is zero");
        trace.state = state;
        trace
    })
}

pub(super) fn envelope() -> impl Strategy<Value = Envelope> {
    let required =
        (message_id(), any::<u8>(), address(), moment(), prop_oneof![bytes(), body().prop_map(Bytes::from)]);
    let who =
        (option::of(of::<MessageName>("[A-Za-z0-9._-]{1,128}")), option::of(address()), vec(name(), 0..=32));
    let when = (option::of(message_id()), option::of(node()), option::of(moment()), option::of(trace()));
    let what = (small(), option::of(key()), content_type(), any::<u8>());
    (required, who, when, what).prop_map(|((id, kind, to, sent, body), who, when, what)| {
        let mut envelope = Envelope::new(id, Kind::from(kind), to, sent, body);
        (envelope.name, envelope.from, envelope.call_chain) = who;
        (envelope.reply_to, envelope.expires, envelope.trace) = (when.1, when.2, when.3);
        envelope.correlation = when.0.map(CorrelationId::from);
        (envelope.idempotency_key, envelope.content_type) = (what.1, what.2);
        (envelope.attempt, envelope.encoding) = (Attempt(what.0), Encoding::from(what.3));
        envelope
    })
}

/// The bytes of any MessagePack value, in any of its forms.
pub(super) fn message_pack() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (0..0x80u8).prop_map(|number| vec![number]),
        any::<u32>().prop_map(|number| [&[0xce][..], &number.to_be_bytes()].concat()),
        any::<f64>().prop_map(|number| [&[0xcb][..], &number.to_be_bytes()].concat()),
        "[a-z]{0,20}".prop_map(|text| [&[0xd9, text.len() as u8][..], text.as_bytes()].concat()),
        vec(any::<u8>(), 0..9).prop_map(|bytes| [&[0xc4, bytes.len() as u8][..], &bytes].concat()),
        vec(any::<u8>(), 4).prop_map(|bytes| [&[0xd6, 0x05][..], &bytes].concat()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6)
                .prop_map(|items| [vec![0x90 | items.len() as u8], items.concat()].concat()),
            btree_map(0..0x80u8, inner, 0..6).prop_map(|map| {
                let entries: Vec<u8> =
                    map.iter().flat_map(|(key, value)| [&[*key][..], value].concat()).collect();
                [vec![0x80 | map.len() as u8], entries].concat()
            }),
        ]
    })
}

pub(super) fn text() -> impl Strategy<Value = Text> {
    ("\\PC{1,200}", option::of("[a-z]{2}(-[A-Z]{2})?")).prop_map(|(text, language)| Text { text, language })
}

pub(super) fn task() -> impl Strategy<Value = Task> {
    let rest = (option::of(0..1u64 << 40), 1..=1_000u32, option::of(key()));
    (task_id(), capability(), bytes(), content_type(), rest).prop_map(
        |(id, capability, input, content_type, rest)| {
            let deadline = rest.0.map(|later| UnixMillis(id.made_at().0 + later));
            Task {
                id,
                capability,
                input,
                content_type,
                deadline,
                attempts_max: rest.1,
                idempotency_key: rest.2,
            }
        },
    )
}

pub(super) fn response() -> impl Strategy<Value = Response> {
    (bytes(), option::of(count()), any::<bool>()).prop_map(|(result, item, last)| {
        let last = last || item.is_none();
        Response { result, item, last }
    })
}

fn agent_status() -> impl Strategy<Value = AgentStatus> {
    prop_oneof![prop::sample::select(AgentStatus::KNOWN), of("[a-z]{12,64}")]
}

fn detail() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{1,100}")
}

fn load() -> impl Strategy<Value = Option<u32>> {
    option::of(0..=LOAD_MAX)
}

pub(super) fn status() -> impl Strategy<Value = Status> {
    (agent_status(), load(), detail()).prop_map(|(status, load, detail)| Status { status, load, detail })
}

pub(super) fn error() -> impl Strategy<Value = message::Error> {
    let blame = prop::sample::select(vec![Blame::Caller, Blame::Peer, Blame::Environment]);
    let effect = prop::sample::select(vec![Effect::None, Effect::Possible]);
    (of::<ErrorCode>("[a-z_.]{1,64}"), blame, effect, "\\PC{1,200}", option::of("[a-z.]{1,100}")).prop_map(
        |(code, blame, effect, message, field)| message::Error { code, blame, effect, message, field },
    )
}

pub(super) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    (node(), count(), count(), small(), small(), vec(any::<u8>().prop_map(Encoding::from), 0..=8)).prop_map(
        |(node, incarnation, registry_version, agents, in_flight, accepts)| Heartbeat {
            node,
            incarnation,
            registry_version,
            agents,
            in_flight,
            accepts,
        },
    )
}

fn record() -> impl Strategy<Value = AgentRecord> {
    let role = option::of("[a-z ]{1,64}");
    let who = (name(), option::of(any::<[u8; 32]>().prop_map(AgentId)), role);
    let load = (small(), option::of(count().prop_map(Term)));
    (who, vec(capability(), 0..=32), "[0-9.]{1,64}", load).prop_map(
        |(who, capabilities, version, (in_flight, term))| {
            let (name, id, role) = who;
            AgentRecord { name, id, role, capabilities, version, in_flight, term }
        },
    )
}

pub(super) fn discovery() -> impl Strategy<Value = Discovery> {
    let action = prop_oneof![prop::sample::select(DiscoveryAction::KNOWN), of("[a-z]{12,64}")];
    let versions = (count(), count(), 0..4_096u32, 1..=4_096u32);
    let lists = (vec(record(), 0..5), vec(name(), 0..5), vec(name(), 0..5), vec(name(), 0..5));
    (node(), count(), action, versions, lists).prop_map(
        |(node, incarnation, action, versions, (added, removed, offered, withdrawn))| {
            let (one, other, part, parts) = versions;
            let (base_version, version) = (one.min(other), one.max(other));
            let quiet = matches!(action, DiscoveryAction::Query | DiscoveryAction::Goodbye);
            let added = if quiet { Vec::new() } else { added };
            let removed = if quiet || action == DiscoveryAction::Snapshot { Vec::new() } else { removed };
            Discovery {
                node,
                incarnation,
                action,
                base_version,
                version,
                part: part % parts,
                parts,
                added,
                removed,
                offered,
                withdrawn,
            }
        },
    )
}

fn reason() -> impl Strategy<Value = DownReason> {
    prop_oneof![prop::sample::select(DownReason::KNOWN), of("[a-z]{12,64}")]
}

pub(super) fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        Just(Control::Cancel),
        (1..=limits::CREDIT_MAX).prop_map(|items| Control::Credit { items }),
        count().prop_map(|watcher| Control::Watch { watcher }),
        count().prop_map(|watcher| Control::Unwatch { watcher }),
        (count(), count(), reason(), "\\PC{0,100}").prop_map(|(watcher, incarnation, reason, detail)| {
            Control::Down { watcher, incarnation, reason, detail }
        }),
        (count(), count(), bytes()).prop_map(|(outbox, sequence, envelope)| Control::Keep {
            outbox,
            sequence,
            envelope
        }),
        "[a-z]{12,64}".prop_map(|action| Control::Unknown { action }),
    ]
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let source = prop_oneof![node().prop_map(EventSource::Node), name().prop_map(EventSource::Agent)];
    let fact = prop_oneof![facts::agent_fact(), facts::task_fact(), facts::other_fact()];
    (any::<[u8; 16]>(), moment(), source, option::of(message_id()), fact).prop_map(
        |(id, at, source, with, fact)| Event {
            id: EventId::from_bytes(id),
            at,
            source,
            correlation: with.map(CorrelationId::from),
            fact,
        },
    )
}

fn task_state() -> impl Strategy<Value = TaskState> {
    prop_oneof![prop::sample::select(TaskState::KNOWN), of("[a-z]{16,64}")]
}

pub(super) fn task_record() -> impl Strategy<Value = TaskRecord> {
    let steps = vec((task_state(), moment(), "\\PC{0,50}"), 0..50);
    let run = (count().prop_map(Term), option::of(node()), option::of(name()), small(), option::of(moment()));
    (task(), moment(), steps, run, option::of(bytes()), option::of(error())).prop_map(
        |(task, now, steps, (term, owner, worker, attempt, lease_until), result, error)| {
            let attempt = Attempt(attempt);
            let fresh = TaskRecord::submitted(&task, now);
            let mut record = TaskRecord { term, owner, worker, attempt, lease_until, result, error, ..fresh };
            steps.into_iter().for_each(|(state, at, note)| record.step(state, at, &note));
            record
        },
    )
}

/// Texts that are nearly addresses, ids or headers.
pub(super) fn near_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "(did:key:|node:|can:)?z?[0-9A-Za-z/._-]{0,60}",
        "[0-9A-HJKMNP-TV-Za-z]{25,27}",
        "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?",
        "[a-z0-9@]{0,9}=[ -~]{0,9}(,[a-z]{0,3}=[a-z]{0,3}){0,40}",
        "[a-z]{0,5}/[a-z+.]{0,5}",
    ]
}

impl Everything {
    pub(super) fn arbitrary(nested: Option<Box<Self>>) -> BoxedStrategy<Self> {
        let variant = prop_oneof![
            Just(Variant::Unit),
            "[a-z]{0,9}".prop_map(Variant::Newtype),
            any::<(u8, i16)>().prop_map(|(a, b)| Variant::Tuple(a, b)),
            any::<f32>().prop_map(|x| Variant::Struct { x }),
        ];
        let numbers = (any::<bool>(), any::<i64>(), any::<u64>(), any::<u128>(), any::<f64>(), any::<char>());
        let maps =
            (btree_map("[a-z]{0,5}", any::<(u8, i8)>(), 0..9), btree_map(any::<i64>(), "[a-z]{0,3}", 0..9));
        let lists = ("\\PC{0,50}", vec(any::<u8>(), 0..300), vec(any::<Option<i32>>(), 0..30));
        (numbers, lists, maps, variant)
            .prop_map(move |(numbers, (text, bytes, list), (map, numbered), variant)| {
                let (truth, signed, unsigned, wide, real, letter) = numbers;
                let nested = nested.clone();
                let numbered: BTreeMap<_, _> = numbered;
                Self {
                    truth,
                    signed,
                    unsigned,
                    wide,
                    real,
                    letter,
                    text,
                    bytes,
                    list,
                    map,
                    numbered,
                    variant,
                    nested,
                }
            })
            .boxed()
    }
}

/// A value with another one of its type inside.
pub(super) fn user_type<T: std::fmt::Debug + Clone + 'static>(
    of: fn(Option<Box<T>>) -> BoxedStrategy<T>,
) -> impl Strategy<Value = T> {
    of(None).prop_flat_map(move |inner| of(Some(Box::new(inner))))
}
