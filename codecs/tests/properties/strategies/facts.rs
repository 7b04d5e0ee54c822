//! How the facts of events are made up.

use connectome_codecs::event::*;
use connectome_codecs::message::Status;
use connectome_codecs::*;
use proptest::option;
use proptest::prelude::*;

use super::*;

pub(super) fn agent_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        (node(), record()).prop_map(|(node, agent)| Fact::AgentRegistered(AgentRegistered { node, agent })),
        (node(), name(), reason()).prop_map(|(node, agent, reason)| {
            Fact::AgentUnregistered(AgentUnregistered { node, agent, reason })
        }),
        (name(), status()).prop_map(|(agent, Status { status, load, detail })| {
            Fact::AgentStatusUpdated(AgentStatusUpdated { agent, status, load, detail })
        }),
    ]
}

pub(super) fn task_fact() -> impl Strategy<Value = Fact> {
    let run = || (task_id(), name(), count().prop_map(Term), small().prop_map(Attempt));
    prop_oneof![
        task().prop_map(|task| Fact::TaskCreated(TaskCreated {
            task: task.id,
            capability: task.capability,
            deadline: task.deadline,
            idempotency_key: task.idempotency_key,
        })),
        (run(), node(), moment()).prop_map(|((task, worker, term, attempt), node, lease_until)| {
            Fact::TaskAssigned(TaskAssigned { task, worker, node, term, attempt, lease_until })
        }),
        (run(), count()).prop_map(|((task, worker, term, attempt), elapsed_ms)| {
            Fact::TaskCompleted(TaskCompleted { task, worker, term, attempt, elapsed_ms })
        }),
        (run(), any::<bool>(), error(), option::of(moment())).prop_map(|(run, known, error, retry_at)| {
            let (task, worker, term, attempt) = run;
            Fact::TaskFailed(TaskFailed {
                task,
                worker: known.then_some(worker),
                term,
                attempt,
                error,
                retry_at,
            })
        }),
    ]
}

pub(super) fn other_fact() -> impl Strategy<Value = Fact> {
    let word = || "[a-z_ ]{1,64}";
    prop_oneof![
        (message_id(), any::<u8>(), option::of(address()), name(), count()).prop_map(
            |(message, kind, from, to, bytes)| {
                Fact::MessageReceived(MessageReceived { message, kind: Kind::from(kind), from, to, bytes })
            }
        ),
        (node(), count(), word()).prop_map(|(node, incarnation, version)| {
            Fact::SystemReady(SystemReady { node, incarnation, version })
        }),
        (node(), count(), word()).prop_map(|(node, incarnation, reason)| {
            Fact::SystemShutdown(SystemShutdown { node, incarnation, reason })
        }),
        (error(), option::of(name()), option::of(message_id())).prop_map(|(error, agent, message)| {
            Fact::ErrorOccurred(ErrorOccurred { error, agent, message })
        }),
        (word(), count(), count())
            .prop_map(|(resource, used, limit)| { Fact::ResourceLow(ResourceLow { resource, used, limit }) }),
        ("[A-Z_]{1,64}", bytes()).prop_map(|(name, body)| {
            let r#type = EventType::Unknown(format!("{}X", &name[..name.len() - 1]));
            Fact::Unknown { r#type, body }
        }),
    ]
}
