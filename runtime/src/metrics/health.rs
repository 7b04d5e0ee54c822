//! Whether a node is well, judged from its figures: pure, so that each judgement can be tested.
//!
//! *Live* means that starting it again would not help; *ready*, that it can do what it is there for. Each cause says what
//! is wrong, what would be right and who must act.

use connectome_actors::{Branch, BranchState};
use serde::{Deserialize, Serialize};

use super::snapshot::{Kept, Metrics, StreamMetrics};

/// From this share of its bytes on a stream that refuses when it is full is told, in percent: time to act is left.
const FULL_PERCENT: u64 = 90;

/// Whether a node is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// The worst of the causes.
    pub state: HealthState,
    /// It works, or will once what is around it does. If not, start it again.
    pub live: bool,
    /// It can be given work now.
    pub ready: bool,
    /// Why it is not entirely well, worst first.
    pub causes: Vec<Cause>,
}

/// How well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Nothing is wrong.
    Well,
    /// It does its work, and something needs attention.
    Degraded,
    /// It can't do its work now.
    NotReady,
    /// It never will again: start it anew.
    NotLive,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cause {
    /// How bad it is.
    pub weight: Weight,
    /// Who must act.
    pub who: Who,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// How bad a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Work goes on.
    Degrades,
    /// Work can't go on now.
    NotReady,
    /// Work will not go on.
    NotLive,
}

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Who {
    /// Whoever runs nodes and servers.
    Operator,
    /// Whoever writes agents.
    Developer,
    /// Nobody: it passes.
    Nobody,
}

/// Judges a node by its figures and its tree; without a tree it has ended, or does not answer.
pub(super) fn judge(metrics: &Metrics, tree: Option<&Branch>, draining: bool) -> Health {
    let mut causes = Vec::new();
    causes.extend(machinery(tree));
    causes.extend(draining.then(|| {
        cause(
            Weight::NotReady,
            Who::Nobody,
            "the node is stopping",
            "its work goes to others; start another one",
        )
    }));
    causes.extend(connection(metrics));
    causes.extend(metrics.streams.iter().flat_map(stream));
    causes.extend((metrics.nodes_suspected > 0).then(|| {
        let what = format!("{} nodes are silent and may be gone", metrics.nodes_suspected);
        cause(Weight::Degrades, Who::Operator, what, "see whether they run and reach the servers")
    }));
    causes.extend((!metrics.agents.accounts.balance()).then(|| {
        let what = format!("messages are missing: {:?}", metrics.agents.accounts);
        cause(
            Weight::Degrades,
            Who::Nobody,
            what,
            "look again: figures of one moment are read one after the other",
        )
    }));
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.weight));
    let state = causes.first().map_or(HealthState::Well, |worst| match worst.weight {
        Weight::Degrades => HealthState::Degraded,
        Weight::NotReady => HealthState::NotReady,
        Weight::NotLive => HealthState::NotLive,
    });
    let (live, ready) = (state < HealthState::NotLive, state < HealthState::NotReady);
    Health { state, live, ready, causes }
}

fn cause(weight: Weight, who: Who, what: impl Into<String>, remedy: impl Into<String>) -> Cause {
    Cause { weight, who, what: what.into(), remedy: remedy.into() }
}

/// What of the node's own machinery does not run. Agents that crash are their supervisors' affair.
fn machinery(tree: Option<&Branch>) -> Vec<Cause> {
    let Some(tree) = tree else {
        let what = "the node's machinery has ended or does not answer";
        return vec![cause(Weight::NotLive, Who::Operator, what, "see the log, and start the node again")];
    };
    let machinery =
        tree.children.iter().filter(|branch| !["agents", "offered"].contains(&branch.name.as_str()));
    let below = machinery.flat_map(|branch| {
        let own = (branch.name.clone(), branch);
        let inner = branch.all().into_iter().map(|(path, inner)| (format!("{}/{path}", branch.name), inner));
        std::iter::once(own).chain(inner)
    });
    let away = below.filter(|(_, branch)| branch.state != BranchState::Running);
    let told = away.map(|(path, branch)| match branch.state {
        BranchState::Stopped => {
            let what = format!("{path} has been given up");
            cause(Weight::NotLive, Who::Operator, what, "see the log for why, and start the node again")
        }
        _ => {
            let what = format!("{path} crashed and is being started again");
            cause(Weight::NotReady, Who::Nobody, what, "see the log for why if it does not pass")
        }
    });
    told.collect()
}

fn connection(metrics: &Metrics) -> Vec<Cause> {
    let Some(connection) = metrics.connection else { return Vec::new() };
    let mut causes = Vec::new();
    if !connection.figures.up {
        let remedy =
            "start a server that nats.url names, or the node that libp2p.store does, or mend the way to it";
        let what = "no NATS server is connected, or the node that serves the store is not";
        causes.push(cause(Weight::NotReady, Who::Operator, what, remedy));
    }
    let lately = |count: u64, who, what: &str, remedy: &str| {
        let what = format!("{what} ({count} times in the last minute)");
        (count > 0).then(|| cause(Weight::Degrades, who, what, remedy))
    };
    let lost = "the connection to NATS, or to the node that serves the store, was lost";
    causes.extend(lately(
        connection.lost_lately,
        Who::Operator,
        lost,
        "it was made again: see the logs of what it leads to",
    ));
    let slow = "messages from NATS were dropped, since they were not read as fast as they came";
    causes.extend(lately(
        connection.slow_lately,
        Who::Operator,
        slow,
        "give this node more processor time, or fewer agents",
    ));
    let leaving = "a NATS server said that it is about to stop";
    causes.extend(lately(
        connection.leaving_lately,
        Who::Nobody,
        leaving,
        "the node goes to another one by itself",
    ));
    let refused = "the NATS server refused something";
    causes.extend(lately(
        connection.refused_lately,
        Who::Operator,
        refused,
        "see the log for the subject, and allow it to this node's user",
    ));
    causes
}

fn stream(stream: &StreamMetrics) -> Vec<Cause> {
    let name = &stream.name;
    let Some(kept) = &stream.kept else {
        let problem = stream.problem.as_deref().unwrap_or("it does not say why");
        let what = format!("the stream {name} can't be asked: {problem}");
        return vec![cause(
            Weight::NotReady,
            Who::Operator,
            what,
            "see whether the store's servers run and have a leader",
        )];
    };
    let mut causes = Vec::new();
    if let Some(percent) = filled(kept).filter(|percent| kept.refuses_when_full && *percent >= FULL_PERCENT) {
        let what = format!("the stream {name} is {percent} % full, and refuses what is new when it is");
        let remedy = "start agents that take what waits, or raise streams.max_bytes";
        causes.push(cause(Weight::Degrades, Who::Operator, what, remedy));
    }
    if kept.exhausted > 0 {
        let what = format!("{} messages of the stream {name} ran out of deliveries", kept.exhausted);
        causes.push(cause(
            Weight::Degrades,
            Who::Developer,
            what,
            "look at them, then remove them or send them again",
        ));
    }
    causes
}

fn filled(kept: &Kept) -> Option<u64> {
    let max = kept.bytes_max.filter(|max| *max > 0)?;
    u64::try_from(u128::from(kept.bytes) * 100 / u128::from(max)).ok()
}

#[cfg(test)]
mod tests {
    use connectome_actors::port::ConnectionFigures;
    use connectome_codecs::{NodeId, UnixMillis};

    use super::*;
    use crate::metrics::{AgentMetrics, ConnectionMetrics, OwnershipMetrics, TaskMetrics};

    fn branch(name: &str, children: Vec<Branch>) -> Branch {
        let json = serde_json::json!({
            "name": name, "state": "running", "restarts": 0, "count": children.len(), "children": children,
        });
        serde_json::from_value(json).unwrap()
    }

    fn well() -> (Metrics, Branch) {
        let up = ConnectionMetrics {
            figures: ConnectionFigures { up: true, connected: 1, ..ConnectionFigures::default() },
            ..ConnectionMetrics::default()
        };
        let stream = StreamMetrics {
            name: "AGENT_MESSAGES".to_owned(),
            kept: Some(Kept { bytes_max: Some(1_000), refuses_when_full: true, ..Kept::default() }),
            ..StreamMetrics::default()
        };
        let metrics = Metrics {
            node: NodeId([7; 32]),
            name: "one".to_owned(),
            at: UnixMillis(0),
            up_ms: 0,
            rates_over_ms: 0,
            nodes_up: 2,
            nodes_suspected: 0,
            agents: AgentMetrics::default(),
            ownership: OwnershipMetrics::default(),
            tasks: TaskMetrics::default(),
            sealing: Default::default(),
            outbox: Default::default(),
            dead_letters: Default::default(),
            dead_letters_per_second: 0.0,
            streams: vec![stream],
            buckets: Vec::new(),
            connection: Some(up),
        };
        let agents = branch("agents", vec![branch("greeter", vec![])]);
        (metrics, branch("node", vec![branch("ports", vec![branch("connection", vec![])]), agents]))
    }

    fn judged(change: impl FnOnce(&mut Metrics, &mut Branch), draining: bool) -> Health {
        let (mut metrics, mut tree) = well();
        change(&mut metrics, &mut tree);
        judge(&metrics, Some(&tree), draining)
    }

    /// A node of which nothing is wrong is well, live and ready.
    #[test]
    fn nothing_wrong_is_well() {
        let health = judged(|_, _| {}, false);
        assert_eq!(
            (health.state, health.live, health.ready, health.causes),
            (HealthState::Well, true, true, vec![])
        );
    }

    /// What keeps a node from its work makes it unready, and what only needs attention does not.
    #[test]
    fn each_wrong_has_its_weight() {
        let full = |metrics: &mut Metrics, _: &mut Branch| {
            metrics.streams[0].kept.as_mut().unwrap().bytes = 900;
        };
        let away =
            |metrics: &mut Metrics, _: &mut Branch| metrics.connection.as_mut().unwrap().figures.up = false;
        let silent = |metrics: &mut Metrics, _: &mut Branch| metrics.streams[0].kept = None;
        let dropped =
            |metrics: &mut Metrics, _: &mut Branch| metrics.connection.as_mut().unwrap().slow_lately = 1;
        let crashed = |_: &mut Metrics, tree: &mut Branch| {
            tree.children[0].children[0].state = BranchState::Restarting;
        };
        let given_up = |_: &mut Metrics, tree: &mut Branch| tree.children[0].state = BranchState::Stopped;
        let agent = |_: &mut Metrics, tree: &mut Branch| {
            tree.children[1].children[0].state = BranchState::Restarting;
        };
        type Change = fn(&mut Metrics, &mut Branch);
        let cases: [(Change, HealthState, &str); 7] = [
            (full, HealthState::Degraded, "90 % full"),
            (dropped, HealthState::Degraded, "dropped"),
            (away, HealthState::NotReady, "no NATS server"),
            (silent, HealthState::NotReady, "can't be asked"),
            (crashed, HealthState::NotReady, "ports/connection crashed"),
            (given_up, HealthState::NotLive, "ports has been given up"),
            (agent, HealthState::Well, ""),
        ];
        for (change, state, word) in cases {
            let health = judged(change, false);
            assert_eq!(health.state, state, "{health:?}");
            assert!(word.is_empty() || health.causes[0].what.contains(word), "{health:?}");
        }
        assert!(!judged(|_, _| {}, true).ready, "a node that stops takes no work");
        assert!(!judge(&well().0, None, false).live, "a node without its machinery must be started again");
    }
}
