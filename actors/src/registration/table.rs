//! What everyone on a node sees of registrations: wishes on their way to the keeper, answers, and the checked copy.
//!
//! It outlives any crash of the keeper. Each name stands in it once, so it is bounded by the agents there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectome_codecs::message::AgentRecord;
use connectome_codecs::registration::{Refusal, RefusalCode, Registration};
use connectome_codecs::{AgentName, NodeId};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::RegistrationCounts;
use crate::protocol::registration::{Action, Standing};
use crate::router::Router;

/// What is known of registrations, and what the keeper must hear.
#[derive(Default)]
pub(crate) struct Registrations {
    wishes: Mutex<Wishes>,
    some: Notify,
    /// Of this node's agents: nothing against them, or why they were refused.
    answers: DashMap<AgentName, Option<Box<Refusal>>>,
    moved: Notify,
    shown: DashMap<AgentName, Arc<Registration>>,
    fallen: Mutex<BTreeSet<NodeId>>,
    counts: Mutex<RegistrationCounts>,
}

/// What the keeper must hear: of each agent the newest, so one that comes and goes is not heard of at all.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) agents: BTreeMap<AgentName, Option<AgentRecord>>,
    pub(super) nodes: bool,
}

impl Registrations {
    /// An agent of this node is there.
    pub(crate) fn want(&self, record: AgentRecord) {
        self.wishes.lock().agents.insert(record.name.clone(), Some(record));
        self.some.notify_one();
    }

    /// It is there no more.
    pub(crate) fn unwant(&self, name: &AgentName) {
        self.answers.remove(name);
        self.wishes.lock().agents.insert(name.clone(), None);
        self.some.notify_one();
    }

    /// Other nodes came, went, fell silent or spoke again.
    pub(crate) fn nodes_changed(&self) {
        self.wishes.lock().nodes = true;
        self.some.notify_one();
    }

    /// Whether another node has the name of an agent of this one: then it is not announced.
    pub(crate) fn is_taken(&self, name: &AgentName) -> bool {
        let taken = |refusal: &Refusal| refusal.code == RefusalCode::NameTaken;
        self.answers.get(name).is_some_and(|answer| answer.as_deref().is_some_and(taken))
    }

    /// Waits for wishes, and takes them.
    pub(super) async fn take(&self) -> Wishes {
        loop {
            let wishes = std::mem::take(&mut *self.wishes.lock());
            if wishes.nodes || !wishes.agents.is_empty() {
                return wishes;
            }
            self.some.notified().await;
        }
    }

    pub(super) fn answer(&self, name: &AgentName, refusal: Option<Box<Refusal>>) {
        self.answers.insert(name.clone(), refusal);
        self.moved.notify_waiters();
    }

    pub(super) fn show(&self, registration: Arc<Registration>) {
        self.shown.insert(registration.agent.name.clone(), registration);
        self.moved.notify_waiters();
    }

    pub(super) fn hide(&self, registration: &Registration) {
        let name = &registration.agent.name;
        self.shown.remove_if(name, |_, shown| shown.node == registration.node);
        self.moved.notify_waiters();
    }

    /// A keeper that follows a crashed one learns everything anew.
    pub(super) fn forget(&self) -> Vec<Arc<Registration>> {
        let all = self.all();
        self.shown.clear();
        all
    }

    pub(super) fn all(&self) -> Vec<Arc<Registration>> {
        let mut all: Vec<_> = self.shown.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by(|a, b| a.agent.name.cmp(&b.agent.name));
        all
    }

    pub(super) fn set_fallen(&self, fallen: BTreeSet<NodeId>) {
        *self.fallen.lock() = fallen;
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut RegistrationCounts)) {
        count(&mut self.counts.lock());
    }

    /// Counts what is asked for and what was said.
    pub(super) fn count_action(&self, action: &Action) {
        self.count(|counts| match action {
            Action::Publish(_) => counts.published += 1,
            Action::Write { .. } => counts.refreshed += 1,
            Action::Confirmed(_) => counts.confirmed += 1,
            Action::Refused(_) => counts.refused += 1,
            Action::Swept(_) => counts.swept += 1,
            Action::Remove { .. } | Action::Show(_) | Action::Hide(_) | Action::Ended { .. } => {}
        });
    }
}

impl Router {
    pub(crate) fn registrations_table(&self) -> &Registrations {
        &self.inner().registrations
    }

    /// The agents that are registered, on live nodes or on none, sorted by name: a local read of a checked copy.
    pub fn registrations(&self) -> Vec<Arc<Registration>> {
        self.registrations_table().all()
    }

    /// What is registered under a name: a local read of a checked copy.
    pub fn registration(&self, name: &AgentName) -> Option<Arc<Registration>> {
        self.registrations_table().shown.get(name).map(|shown| shown.value().clone())
    }

    /// Waits until an agent is registered, on this node or another one, and says what stands.
    ///
    /// # Errors
    /// For an agent of this node: why it was refused. It is asked for again after a while, or when whoever has the name is
    /// gone; so the answer may change.
    pub async fn wait_registered(&self, name: &AgentName) -> Result<Arc<Registration>, Refusal> {
        let table = self.registrations_table();
        loop {
            let moved = table.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if let Some(Some(refusal)) = table.answers.get(name).map(|answer| answer.clone()) {
                return Err(*refusal);
            }
            let here = self.registry().local(name).is_some();
            match self.registration(name) {
                Some(shown) if !here || shown.node == self.node_id() => return Ok(shown),
                Some(_) | None => moved.await,
            }
        }
    }

    /// What this node has done and seen around registrations.
    pub fn registration_counts(&self) -> RegistrationCounts {
        *self.registrations_table().counts.lock()
    }

    /// What a registrar of this node knows of another one.
    pub(super) fn standing(&self, node: NodeId) -> Standing {
        if node == self.node_id() || self.nodes().iter().any(|(known, _)| *known == node) {
            Standing::Present
        } else if self.registrations_table().fallen.lock().contains(&node) {
            Standing::Fallen
        } else {
            Standing::Unknown
        }
    }
}
