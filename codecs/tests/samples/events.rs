//! Events of every type.

use bytes::Bytes;
use connectome_codecs::event::*;
use connectome_codecs::message::{AgentStatus, DownReason};
use connectome_codecs::*;

use super::{NODE, NOW, Sample, error, parsed, record, sample, task};

pub(crate) fn event(source: EventSource, fact: Fact) -> Event {
    Event { id: EventId::from_parts(NOW, 3), at: NOW, source, correlation: Some(task().id.into()), fact }
}

pub(super) fn events() -> Vec<Sample> {
    let facts = agent_facts().into_iter().chain(task_facts()).chain(system_facts());
    let from_node = facts
        .map(|(name, fact)| sample(name, "a fact, said by a node", event(EventSource::Node(NODE), fact)));
    let received = Fact::MessageReceived(MessageReceived {
        message: MessageId::from_parts(NOW, 1),
        kind: Kind::Typed,
        from: Some(parsed("can:chat")),
        to: parsed("greeter"),
        bytes: 300,
    });
    let unknown =
        Fact::Unknown { r#type: parsed("AGENT_DREAMT"), body: Bytes::from_static(b"\x81\xa1x\xcd\x00\x01") };
    let by_agent = |fact| Event { correlation: None, ..event(EventSource::Agent(parsed("greeter")), fact) };
    from_node
        .chain([
            sample("event-message-received", "a fact, said by an agent", by_agent(received)),
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
            Fact::AgentRegistered(AgentRegistered { node: NODE, agent: record("editor") }),
        ),
        (
            "event-agent-unregistered",
            Fact::AgentUnregistered(AgentUnregistered { node: NODE, agent, reason: DownReason::Shutdown }),
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
    let assigned =
        TaskAssigned { task: task.id, worker: worker.clone(), node: NODE, term, attempt, lease_until };
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
            Fact::TaskCompleted(TaskCompleted { task: task.id, worker, term, attempt, elapsed_ms: 1_234 }),
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
        ("event-system-ready", Fact::SystemReady(SystemReady { node, incarnation, version: "0.1.0".into() })),
        (
            "event-system-shutdown",
            Fact::SystemShutdown(SystemShutdown { node, incarnation, reason: "asked to".into() }),
        ),
        ("event-error-occurred", Fact::ErrorOccurred(occurred)),
        (
            "event-resource-low",
            Fact::ResourceLow(ResourceLow { resource: "disk_bytes".into(), used: 95, limit: 100 }),
        ),
    ]
}
