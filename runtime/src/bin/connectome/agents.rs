//! `connectome agents`: who has lived on a store's nodes, and whose mail waits there.

use std::collections::BTreeMap;

use connectome::codecs::message::AgentRecord;
use connectome::codecs::{AgentName, Event, Fact, NodeId, Sequence, UnixMillis};
use connectome::{AGENT_MESSAGES, SYSTEM_EVENTS};

use crate::args::StoreArgs;
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::store::{self, Flow, Store};

pub(crate) fn run(args: &StoreArgs) -> Result<Doc, Failure> {
    store::with(args, async |store| {
        let mut agents = Agents::default();
        agents.hear(&store).await?;
        agents.count_mail(&store).await?;
        let rows = agents.0.iter().map(|(name, agent)| row(name, agent)).collect();
        let columns = &["name", "state", "since", "mail", "capabilities", "role", "version", "node"];
        Ok(Doc::Table(Table { columns, shown: 6, rows, empty: "no agents" }))
    })
}

/// What is known of each agent.
#[derive(Default)]
struct Agents(BTreeMap<AgentName, Known>);

#[derive(Default)]
struct Known {
    record: Option<AgentRecord>,
    last: Option<Last>,
    mail: u64,
}

/// The last that was said of an agent.
struct Last {
    at: UnixMillis,
    node: NodeId,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Registered,
    Unregistered(String),
    GoneWithItsNode,
}

impl Agents {
    async fn hear(&mut self, store: &Store) -> Result<(), Failure> {
        let from = store.info(SYSTEM_EVENTS).await?.first;
        let visit = |stored: connectome::port::Stored| {
            if let Ok(event) = Event::decode(&stored.body) {
                self.learn(event);
            }
            Flow::More
        };
        store.scan(SYSTEM_EVENTS, from, visit).await
    }

    fn learn(&mut self, Event { at, fact, .. }: Event) {
        match fact {
            Fact::AgentRegistered(registered) => {
                let agent = self.0.entry(registered.agent.name.clone()).or_default();
                agent.record = Some(registered.agent);
                agent.last = Some(Last { at, node: registered.node, state: State::Registered });
            }
            Fact::AgentUnregistered(gone) => {
                let state = State::Unregistered(gone.reason.to_string());
                self.0.entry(gone.agent).or_default().last = Some(Last { at, node: gone.node, state });
            }
            Fact::SystemReady(ready) => self.node_ended(ready.node, at),
            Fact::SystemShutdown(shutdown) => self.node_ended(shutdown.node, at),
            Fact::AgentStatusUpdated(_)
            | Fact::TaskCreated(_)
            | Fact::TaskAssigned(_)
            | Fact::TaskCompleted(_)
            | Fact::TaskFailed(_)
            | Fact::MessageReceived(_)
            | Fact::ErrorOccurred(_)
            | Fact::ResourceLow(_)
            | Fact::Unknown { .. } => {}
        }
    }

    /// A node stops, or starts again after a life that may have ended without a word.
    fn node_ended(&mut self, node: NodeId, at: UnixMillis) {
        let there = self.0.values_mut().filter_map(|agent| agent.last.as_mut());
        for last in there.filter(|last| last.node == node && last.state == State::Registered) {
            (last.state, last.at) = (State::GoneWithItsNode, at);
        }
    }

    async fn count_mail(&mut self, store: &Store) -> Result<(), Failure> {
        let visit = |stored: connectome::port::Stored| {
            if let Some(name) = stored.subject.rsplit('.').next().and_then(|name| name.parse().ok()) {
                self.0.entry(name).or_default().mail += 1;
            }
            Flow::More
        };
        store.info(AGENT_MESSAGES).await?;
        store.scan(AGENT_MESSAGES, Sequence(1), visit).await
    }
}

fn row(name: &AgentName, agent: &Known) -> Vec<Doc> {
    let record = agent.record.as_ref();
    let last = agent.last.as_ref();
    let state = last.map_or("never registered".to_owned(), |last| match &last.state {
        State::Registered => "registered".to_owned(),
        State::Unregistered(reason) => format!("unregistered ({reason})"),
        State::GoneWithItsNode => "gone with its node".to_owned(),
    });
    vec![
        Doc::text(name),
        Doc::Text(state),
        Doc::moment(last.map(|last| last.at)),
        Doc::Number(agent.mail),
        Doc::list(record.map(|record| record.capabilities.as_slice()).unwrap_or_default()),
        Doc::maybe(record.and_then(|record| record.role.as_ref())),
        Doc::maybe(record.map(|record| &record.version)),
        Doc::maybe(last.map(|last| last.node)),
    ]
}
