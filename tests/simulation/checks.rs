//! What must hold at the quiet end, after all trouble is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome::codecs::{Fact, Sequence, TaskId, TaskRecord, TaskState};
use connectome::port::{BucketConfig, Storage, Streams};
use connectome::sim::{Failure, Sim};
use connectome::{Buried, DEAD_LETTERS, EventFilter, NodeState};

use super::agents::{Noted, Read};
use super::witness::Witness;

/// What is wrong now, in words; nothing when all is well.
pub(super) fn problems(sim: &mut Sim, witness: &Witness) -> Vec<String> {
    let mut problems = witness.seen().wrong.clone();
    problems.extend(registries(sim));
    problems.extend(accounts(sim));
    problems.extend(tasks(sim, witness));
    problems.extend(ledgers(sim, witness));
    problems.extend(events(sim, witness));
    problems
}

/// Every node knows every other one, and all agents where they are.
pub(super) fn registries(sim: &Sim) -> Vec<String> {
    let mut problems = Vec::new();
    let names = sim.names();
    let mut there = BTreeMap::new();
    for name in &names {
        match sim.running(name) {
            Some(node) => there.extend(node.agents().into_iter().map(|agent| (agent, node.id()))),
            None => problems.push(format!("{name} is not up")),
        }
    }
    for name in &names {
        let Some(node) = sim.running(name) else { continue };
        let wanted: Vec<_> = there
            .iter()
            .filter(|(_, at)| **at != node.id())
            .map(|(agent, at)| (agent.clone(), *at))
            .collect();
        let known = node.router().remote_agents();
        if known != wanted {
            problems.push(format!(
                "{name} knows {} agents of other nodes, there are {}",
                known.len(),
                wanted.len()
            ));
        }
        let up = node.nodes().into_iter().filter(|(_, state)| *state == NodeState::Up).count();
        if up + 1 != names.len() {
            problems.push(format!("{name} sees {up} nodes beside itself"));
        }
    }
    problems
}

/// Every message that was accepted was handled or is a dead letter.
fn accounts(sim: &Sim) -> Vec<String> {
    let wrong = |name: &String| {
        let accounts = sim.running(name)?.accounts();
        (!accounts.balance() || accounts.pending > 0)
            .then(|| format!("the accounts of {name} are {accounts:?}"))
    };
    sim.names().iter().filter_map(wrong).collect()
}

/// Every accepted task has ended: completed under the term of one attempt, or a dead letter with its cause.
fn tasks(sim: &mut Sim, witness: &Witness) -> Vec<String> {
    let (submitted, attempts) = {
        let seen = witness.seen();
        (seen.submitted.clone(), seen.attempts.clone())
    };
    let ids: Vec<TaskId> = submitted.keys().copied().collect();
    let looked = sim.at_store(|store| async move { look_at_tasks(&*store, ids).await });
    let Tasks { records, buried, queued } = match looked {
        Ok(tasks) => tasks,
        Err(error) => return vec![format!("the tasks could not be looked at: {error}")],
    };
    let mut problems = Vec::new();
    if queued > 0 {
        problems.push(format!("{queued} tasks are still in the queue"));
    }
    let Some(node) = sim.names().iter().find_map(|name| sim.running(name)) else {
        return vec!["no node runs that could read the results".to_owned()];
    };
    for (id, accepted) in submitted {
        let Some(record) = records.get(&id).cloned() else {
            if accepted {
                problems.push(format!("task {id} was accepted and is not known"));
            }
            continue;
        };
        let record = match node.router().seals().open_record(record) {
            Ok(record) => record,
            Err(error) => {
                problems.push(format!("task {id}: {error}"));
                continue;
            }
        };
        let terms = attempts.get(&id).cloned().unwrap_or_default();
        match record.state {
            TaskState::Completed => {
                let result = record.result.as_deref().map(connectome::codecs::wire::decode::<u64>);
                if !matches!(result, Some(Ok(term)) if term == record.term.0 && terms.contains(&record.term))
                {
                    problems.push(format!("task {id} ended under {:?} with {result:?}", record.term));
                }
            }
            TaskState::Failed if buried.contains(&id) => {}
            TaskState::Failed => problems.push(format!("task {id} failed and is no dead letter")),
            _ => problems.push(format!("task {id} is {} at the end", record.state)),
        }
    }
    problems
}

struct Tasks {
    records: BTreeMap<TaskId, TaskRecord>,
    buried: BTreeSet<TaskId>,
    queued: u64,
}

async fn look_at_tasks(store: &dyn Streams, ids: Vec<TaskId>) -> Result<Tasks, Failure> {
    let kept = Some(Duration::from_secs(7 * 24 * 3600));
    let bucket =
        store.bucket(BucketConfig { name: "tasks".into(), ttl: kept, storage: Storage::File }).await?;
    let mut records = BTreeMap::new();
    for id in ids {
        if let Some(value) = bucket.get(&id.to_string()).await?.and_then(|entry| entry.value) {
            records.insert(id, TaskRecord::decode(&value)?);
        }
    }
    let mut buried = BTreeSet::new();
    for stored in store.read(DEAD_LETTERS, ">", Sequence(1), 4_096).await? {
        let letter = Buried::decode(&stored.body)?;
        if let Some(record) = letter.record {
            buried.insert(TaskRecord::decode(&record)?.id);
        }
    }
    let queued = store.stream_info("TASK_ROUTING").await?.messages;
    Ok(Tasks { records, buried, queued })
}

/// What was stored for a ledger is in it exactly once, in the order of its sender; wherever it lived meanwhile.
fn ledgers(sim: &mut Sim, witness: &Witness) -> Vec<String> {
    let sent = witness.seen().sent.clone();
    let mut problems = Vec::new();
    for place in sim.names() {
        for ledger in [format!("ledger-{place}"), format!("shared-{place}")] {
            let name = ledger.clone();
            let read = |node: connectome::Node| async move { Ok(node.agent(&name)?.call(Read).await?) };
            let notes = match sim.on(&place, read) {
                Ok(notes) => notes,
                Err(error) => {
                    problems.push(format!("{ledger} does not answer: {error}"));
                    continue;
                }
            };
            problems.extend(under_rising_terms(&ledger, &notes));
            for ((sender, _), acked) in sent.iter().filter(|((_, to), _)| *to == ledger) {
                let noted: Vec<u64> =
                    notes.iter().filter(|(from, ..)| from == sender).map(|(_, n, _)| *n).collect();
                problems.extend(in_order_once(&format!("{ledger} of {sender}"), &noted, acked));
            }
        }
    }
    problems
}

/// Nothing was accepted of an owner after its successor had begun.
fn under_rising_terms(ledger: &str, notes: &[Noted]) -> Option<String> {
    let fallen = notes.windows(2).find(|pair| pair[0].2 > pair[1].2)?;
    Some(format!("{ledger} accepted term {} after term {}", fallen[1].2, fallen[0].2))
}

/// Every event that was acknowledged is in the stream exactly once, in the order of its source.
fn events(sim: &mut Sim, witness: &Witness) -> Vec<String> {
    let emitted = witness.seen().emitted.clone();
    let Some(name) = sim.names().first().cloned() else { return Vec::new() };
    let history = sim.on(&name, |node| async move {
        let filter = EventFilter::default().of(connectome::prelude::EventType::AgentStatusUpdated);
        Ok(node.event_history(&filter, Sequence(1), 100_000).await?)
    });
    let history = match history {
        Ok(history) => history,
        Err(error) => return vec![format!("the events can't be read: {error}")],
    };
    let mut heard: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in history {
        let Fact::AgentStatusUpdated(updated) = event.event.fact else { continue };
        let Some((source, number)) = updated.detail.as_deref().and_then(|detail| detail.rsplit_once(' '))
        else {
            continue;
        };
        heard.entry(source.to_owned()).or_default().extend(number.parse::<u64>());
    }
    let check = |(source, acked): (&String, &Vec<bool>)| {
        in_order_once(&format!("the events of {source}"), heard.get(source).map_or(&[], Vec::as_slice), acked)
    };
    emitted.iter().filter_map(check).collect()
}

/// The numbers rise, and every one that was acknowledged is there.
fn in_order_once(what: &str, numbers: &[u64], acked: &[bool]) -> Option<String> {
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Some(format!("{what}: {} stands before {}", pair[0], pair[1]));
    }
    let missing = |n: &usize| acked[*n] && !numbers.contains(&(*n as u64));
    (0..acked.len()).find(missing).map(|n| format!("{what}: {n} was acknowledged and is missing"))
}
