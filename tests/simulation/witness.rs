//! What somebody outside the cluster has seen: no crash and no partition reaches it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use connectome::codecs::{TaskId, Term};
use tokio::time::Instant;

/// The period over which restarts are counted.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// How often an agent may be started within a period: once, and five restarts.
const STARTS_MAX: usize = 6;

/// Shared by clients, agents and checks.
#[derive(Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
pub(super) struct Seen {
    /// By sender and ledger: the numbers that were sent, and whether the store had acknowledged each.
    pub(super) sent: BTreeMap<(String, String), Vec<bool>>,
    /// Whether the queue had accepted each task.
    pub(super) submitted: BTreeMap<TaskId, bool>,
    /// The terms under which attempts were begun, in the order in which they were.
    pub(super) attempts: BTreeMap<TaskId, Vec<Term>>,
    /// By source: whether each event was acknowledged.
    pub(super) emitted: BTreeMap<String, Vec<bool>>,
    /// What was seen to be wrong at once.
    pub(super) wrong: Vec<String>,
    pub(super) calls: u64,
    pub(super) calls_answered: u64,
    starts: BTreeMap<String, Vec<Instant>>,
    /// By name and term: which life of which node owned it.
    owners: BTreeMap<(String, Term), String>,
    closed: bool,
}

impl Witness {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// From now on clients begin nothing new.
    pub(super) fn close(&self) {
        self.seen().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.seen().closed
    }

    pub(super) fn wrong(&self, what: String) {
        self.seen().wrong.push(what);
    }

    /// An attempt at a task begins. Its term is a fencing token: no two attempts have the same.
    pub(super) fn attempt(&self, task: TaskId, term: Term) {
        let mut seen = self.seen();
        let terms = seen.attempts.entry(task).or_default();
        let again = terms.contains(&term);
        terms.push(term);
        if again {
            seen.wrong.push(format!("two attempts at task {task} had term {term}"));
        }
    }

    /// An incarnation of an agent that several nodes offer begins. No two lives of nodes own it under the same term.
    pub(super) fn owns(&self, agent: &str, term: Term, place: &str) {
        let mut seen = self.seen();
        let owner = seen.owners.entry((agent.to_owned(), term)).or_insert_with(|| place.to_owned()).clone();
        if owner != place {
            seen.wrong.push(format!("{agent} had term {term} on {owner} and on {place}"));
        }
    }

    /// An incarnation of an agent begins.
    pub(super) fn started(&self, agent: String) {
        let now = Instant::now();
        let mut seen = self.seen();
        let starts = seen.starts.entry(agent.clone()).or_default();
        starts.retain(|start| now.duration_since(*start) < PERIOD);
        starts.push(now);
        let count = starts.len();
        if count > STARTS_MAX {
            seen.wrong.push(format!("{agent} was started {count} times within ten seconds"));
        }
    }
}
