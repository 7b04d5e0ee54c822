//! Who is where: the agents of this node, and what other nodes have said of theirs.
//!
//! Everyone reads it without waiting; it is written by the supervisors (agents of this node) and by the membership
//! keeper (agents of others). It decides nothing: `protocol/membership` says what to believe, `protocol/routing` whom
//! to choose.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectome_codecs::message::AgentRecord;
use connectome_codecs::{Address, AgentId, AgentName, Capability, NodeId, Term};
use dashmap::DashMap;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::cell::AgentCell;

/// Agents that one node may have: the design's largest node, with room; each costs some 8 KiB.
pub const AGENTS_MAX: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct Registry {
    here: DashMap<AgentName, Arc<AgentCell>>,
    /// An agent may be known on several nodes for a moment, while it moves: the highest term counts, then the lowest id.
    there: DashMap<AgentName, BTreeMap<NodeId, Arc<AgentRecord>>>,
    able: RwLock<BTreeMap<Capability, BTreeMap<AgentName, Option<NodeId>>>>,
    nodes: RwLock<BTreeMap<NodeId, NodeState>>,
    ids: DashMap<AgentId, AgentName>,
    /// Somebody can be found who could not be found before.
    arrived: Notify,
}

/// What is known of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It is heard from.
    Up,
    /// It has been silent for longer than a live node is.
    Suspected,
}

/// Where an agent is.
pub(crate) enum Place {
    Here(Arc<AgentCell>),
    There(NodeId),
}

impl Registry {
    /// Takes a name for an agent of this node.
    pub(crate) fn claim(&self, cell: &Arc<AgentCell>) -> Result<(), String> {
        // Whoever was given the name by its lease need not ask who had it before.
        if cell.term().is_none()
            && let Some(node) = self.node_of(&cell.name)
        {
            return Err(format!("the name {} is taken: an agent of {node} has it", cell.name));
        }
        if self.here.len() >= AGENTS_MAX {
            return Err(format!("this node has {AGENTS_MAX} agents, as many as it may"));
        }
        match self.here.entry(cell.name.clone()) {
            dashmap::Entry::Occupied(_) => {
                return Err(format!("the name {} is taken: an agent of this node has it", cell.name));
            }
            dashmap::Entry::Vacant(free) => free.insert(cell.clone()),
        };
        self.add_able(&cell.capabilities, &cell.name, None);
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Gives a name back. Only the cell that holds it can.
    pub(crate) fn release(&self, cell: &Arc<AgentCell>) -> bool {
        let held = self.here.remove_if(&cell.name, |_, held| Arc::ptr_eq(held, cell)).is_some();
        if held {
            self.remove_able(&cell.capabilities, &cell.name, None);
        }
        held
    }

    /// Ends at the next arrival after it was enabled.
    pub(crate) fn arrival(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    /// Whether somebody is known at this address.
    pub(crate) fn knows(&self, to: &Address) -> bool {
        match to {
            Address::Agent(name) => self.find(name).is_some(),
            Address::Id(id) => self.name_of(id).is_some_and(|name| self.find(&name).is_some()),
            Address::Capability(capability) => self.able.read().contains_key(capability),
        }
    }

    pub(crate) fn local(&self, name: &AgentName) -> Option<Arc<AgentCell>> {
        self.here.get(name).map(|cell| cell.clone())
    }

    pub(crate) fn find(&self, name: &AgentName) -> Option<Place> {
        match (self.local(name), self.elsewhere(name)) {
            (Some(cell), Some((term, node))) if cell.term().is_some() && term > cell.term() => {
                Some(Place::There(node))
            }
            (Some(cell), _) => Some(Place::Here(cell)),
            (None, there) => there.map(|(_, node)| Place::There(node)),
        }
    }

    pub(crate) fn node_of(&self, name: &AgentName) -> Option<NodeId> {
        self.elsewhere(name).map(|(_, node)| node)
    }

    /// The newest of those who say that they have it.
    fn elsewhere(&self, name: &AgentName) -> Option<(Option<Term>, NodeId)> {
        let nodes = self.there.get(name)?;
        let newest = nodes.iter().map(|(node, record)| (record.term, Reverse(*node))).max();
        newest.map(|(term, Reverse(node))| (term, node))
    }

    /// Where an agent that several nodes offer takes messages now: nowhere while it moves, or its node is silent.
    pub(crate) fn owner(&self, name: &AgentName) -> Option<Place> {
        match self.find(name)? {
            Place::Here(cell) => (!cell.mailbox.is_closed()).then_some(Place::Here(cell)),
            Place::There(node) => (!self.is_suspected(node)).then_some(Place::There(node)),
        }
    }

    /// The newest term under which this name is known to be owned.
    pub(crate) fn term_of(&self, name: &AgentName) -> Option<Term> {
        let here = self.local(name).and_then(|cell| cell.term());
        here.max(self.elsewhere(name).and_then(|(term, _)| term))
    }

    /// Whether a node that had the name has fallen silent, and somebody else has it now. While it is heard from, what it
    /// has to say is on its way.
    pub(crate) fn is_overtaken(&self, name: &AgentName, had: NodeId) -> bool {
        if self.nodes.read().get(&had) == Some(&NodeState::Up) {
            return false;
        }
        match self.find(name) {
            Some(Place::Here(cell)) => cell.term().is_some(),
            Some(Place::There(node)) => node != had,
            None => false,
        }
    }

    /// Everyone who can do this, sorted by name: agents of this node have no node id beside them.
    pub(crate) fn able(&self, capability: &Capability) -> Vec<(AgentName, Option<NodeId>)> {
        let able = self.able.read();
        able.get(capability)
            .map(|agents| agents.iter().map(|(n, at)| (n.clone(), *at)).collect())
            .unwrap_or_default()
    }

    /// What agents of this node can do.
    pub(crate) fn capabilities_here(&self) -> BTreeSet<Capability> {
        let able = self.able.read();
        let is_here = |agents: &BTreeMap<AgentName, Option<NodeId>>| agents.values().any(Option::is_none);
        able.iter().filter(|(_, agents)| is_here(agents)).map(|(capability, _)| capability.clone()).collect()
    }

    pub(crate) fn add_remote(&self, node: NodeId, record: AgentRecord) {
        let name = record.name.clone();
        if let Some(id) = record.id {
            self.note_id(id, &name);
        }
        self.add_able(&record.capabilities, &name, Some(node));
        self.there.entry(name).or_default().insert(node, Arc::new(record));
        self.arrived.notify_waiters();
    }

    pub(crate) fn remove_remote(&self, node: NodeId, name: &AgentName) {
        let Some(mut nodes) = self.there.get_mut(name) else { return };
        let Some(record) = nodes.remove(&node) else { return };
        drop(nodes);
        self.there.remove_if(name, |_, nodes| nodes.is_empty());
        self.remove_able(&record.capabilities, name, Some(node));
    }

    /// Notes which name an id belongs to.
    pub(crate) fn note_id(&self, id: AgentId, name: &AgentName) {
        self.ids.insert(id, name.clone());
        self.arrived.notify_waiters();
    }

    pub(crate) fn name_of(&self, id: &AgentId) -> Option<AgentName> {
        self.ids.get(id).map(|name| name.clone())
    }

    /// The id of the agent of that name that is known to live on another node.
    pub(crate) fn id_elsewhere(&self, name: &AgentName) -> Option<AgentId> {
        let (_, node) = self.elsewhere(name)?;
        self.there.get(name)?.get(&node)?.id
    }

    pub(crate) fn forget_id(&self, id: &AgentId) {
        self.ids.remove(id);
    }

    /// Forgets what other nodes have said. What lives on no node stays: it is known from the store.
    pub(crate) fn forget_remote(&self) {
        let nodes = std::mem::take(&mut *self.nodes.write());
        for (node, record) in self.remote_records() {
            if nodes.contains_key(&node) {
                self.remove_remote(node, &record.name);
            }
        }
    }

    pub(crate) fn set_node(&self, node: NodeId, state: Option<NodeState>) {
        let mut nodes = self.nodes.write();
        match state {
            Some(state) => drop(nodes.insert(node, state)),
            None => drop(nodes.remove(&node)),
        }
        drop(nodes);
        self.arrived.notify_waiters();
    }

    pub(crate) fn nodes(&self) -> Vec<(NodeId, NodeState)> {
        self.nodes.read().iter().map(|(node, state)| (*node, *state)).collect()
    }

    pub(crate) fn is_suspected(&self, node: NodeId) -> bool {
        self.nodes.read().get(&node) == Some(&NodeState::Suspected)
    }

    /// Goes over the agents of this node, in no order.
    pub(crate) fn fold_cells<T>(&self, start: T, fold: impl Fn(T, &AgentCell) -> T) -> T {
        self.here.iter().fold(start, |so_far, entry| fold(so_far, entry.value()))
    }

    /// The agents of this node, sorted by name.
    pub(crate) fn cells(&self) -> Vec<Arc<AgentCell>> {
        let mut cells: Vec<_> = self.here.iter().map(|entry| entry.value().clone()).collect();
        cells.sort_by(|a, b| a.name.cmp(&b.name));
        cells
    }

    /// The agents of other nodes, sorted by name.
    pub(crate) fn remote_records(&self) -> Vec<(NodeId, Arc<AgentRecord>)> {
        let mut all: Vec<_> = Vec::new();
        for entry in self.there.iter() {
            all.extend(entry.value().iter().map(|(node, record)| (*node, record.clone())));
        }
        all.sort_by(|(a_node, a), (b_node, b)| (&a.name, a_node).cmp(&(&b.name, b_node)));
        all
    }

    fn add_able(&self, capabilities: &[Capability], name: &AgentName, at: Option<NodeId>) {
        if capabilities.is_empty() {
            return;
        }
        let mut able = self.able.write();
        for capability in capabilities {
            able.entry(capability.clone()).or_default().insert(name.clone(), at);
        }
    }

    fn remove_able(&self, capabilities: &[Capability], name: &AgentName, at: Option<NodeId>) {
        if capabilities.is_empty() {
            return;
        }
        let mut able = self.able.write();
        for capability in capabilities {
            let Some(agents) = able.get_mut(capability) else { continue };
            // Another node may have taken the name over meanwhile.
            if agents.get(name) == Some(&at) {
                agents.remove(name);
            }
            if agents.is_empty() {
                able.remove(capability);
            }
        }
    }
}
