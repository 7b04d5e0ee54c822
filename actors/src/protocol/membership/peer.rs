//! What is believed of another node: whether it is there, and one version of its registry, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::limits::DISCOVERY_RECORDS_MAX;
use connectome_codecs::message::{AgentRecord, Discovery};
use connectome_codecs::{AgentName, NodeId};

use super::super::Now;
use super::{AGENTS_MAX, Action, FORGET_AFTER, Timing};

/// Whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It speaks.
    Up,
    /// It is silent, or its path has ended.
    Suspected,
    /// It was silent too long. A word from it brings it back.
    Down,
    /// It said goodbye. Only a newer incarnation comes back.
    Left,
}

impl Presence {
    /// Whether the node counts as a member.
    pub const fn is_present(self) -> bool {
        match self {
            Presence::Up | Presence::Suspected => true,
            Presence::Down | Presence::Left => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) incarnation: u64,
    presence: Presence,
    heard: Now,
    /// When its path ended while it spoke; it has not spoken since.
    lost: Option<Now>,
    /// The version of its registry that we hold. Every registry begins empty, at version 0.
    version: u64,
    /// The newest version that it spoke of.
    newest: u64,
    agents: BTreeMap<AgentName, AgentRecord>,
    /// The names that it offers.
    offers: BTreeSet<AgentName>,
    /// A newer version that is arriving in parts.
    arriving: Option<Arriving>,
    ask_at: Now,
    answer_at: Now,
}

/// A snapshot of which some parts are here.
#[derive(Debug)]
struct Arriving {
    version: u64,
    parts: BTreeMap<u32, (Vec<AgentRecord>, Vec<AgentName>)>,
}

impl Peer {
    pub(super) fn new(incarnation: u64, now: Now) -> Self {
        Self {
            incarnation,
            presence: Presence::Up,
            heard: now,
            lost: None,
            version: 0,
            newest: 0,
            agents: BTreeMap::new(),
            offers: BTreeSet::new(),
            arriving: None,
            ask_at: now,
            answer_at: now,
        }
    }

    pub(super) fn presence(&self) -> Presence {
        self.presence
    }

    pub(super) fn silence(&self, now: Now) -> Duration {
        now.since(self.heard)
    }

    pub(super) fn agents(&self) -> impl Iterator<Item = &AgentRecord> {
        self.agents.values()
    }

    /// When time alone will next change something.
    pub(super) fn next_tick(&self, timing: &Timing) -> Now {
        match self.presence {
            Presence::Up if self.is_behind() => self.ask_at.min(self.heard + timing.suspect_after),
            Presence::Up => self.heard + timing.suspect_after,
            Presence::Suspected => self.lost_at(timing).min(self.heard + timing.down_after),
            Presence::Down | Presence::Left => self.heard + FORGET_AFTER,
        }
    }

    pub(super) fn heard(&mut self, now: Now) {
        self.heard = now;
        self.lost = None;
        self.presence = Presence::Up;
    }

    /// Starts its silence anew without taking it for alive.
    pub(super) fn excuse(&mut self, now: Now) {
        self.heard = now;
        self.lost = None;
    }

    /// A path that ends after it fell silent says no more than the silence.
    pub(super) fn path_ended(&mut self, now: Now) {
        if self.presence == Presence::Up {
            self.lost = Some(now);
        }
    }

    /// Whether it has been silent for too long since its path ended.
    pub(super) fn is_lost(&self, now: Now, timing: &Timing) -> bool {
        self.lost.is_some() && now >= self.lost_at(timing)
    }

    fn lost_at(&self, timing: &Timing) -> Now {
        let lost = self.lost.map(|lost| lost + timing.lost_after);
        lost.unwrap_or(self.heard + timing.down_after)
    }

    /// Whether it was up until now.
    pub(super) fn suspect(&mut self) -> bool {
        let up = self.presence == Presence::Up;
        if up {
            self.presence = Presence::Suspected;
        }
        up
    }

    pub(super) fn gone(&mut self, now: Now, node: NodeId, presence: Presence, actions: &mut Vec<Action>) {
        self.install(node, BTreeMap::new(), BTreeSet::new(), actions);
        *self = Self { presence, ..Self::new(self.incarnation, now) };
    }

    /// It said that its registry has this version.
    pub(super) fn has_version(&mut self, version: u64) {
        self.newest = self.newest.max(version);
    }

    /// The version to ask with, when it has a newer one and it is time; the next question waits.
    pub(super) fn question(&mut self, now: Now) -> Option<u64> {
        if self.presence != Presence::Up || !self.is_behind() || now < self.ask_at {
            return None;
        }
        self.ask_at = now + ASK_EVERY;
        Some(self.version)
    }

    pub(super) fn may_be_answered(&mut self, now: Now) -> bool {
        let may = now >= self.answer_at;
        if may {
            self.answer_at = now + ANSWER_EVERY;
        }
        may
    }

    pub(super) fn delta(&mut self, node: NodeId, delta: Discovery, actions: &mut Vec<Action>) {
        self.has_version(delta.version);
        if self.version != delta.base_version || delta.version <= delta.base_version {
            return;
        }
        self.version = delta.version;
        for name in delta.removed {
            if self.agents.remove(&name).is_some() {
                actions.push(Action::AgentDown { node, name });
            }
        }
        for record in delta.added {
            self.put(node, record, actions);
        }
        for name in delta.withdrawn {
            if self.offers.remove(&name) {
                actions.push(Action::OfferDown { node, name });
            }
        }
        self.offer(node, delta.offered, actions);
    }

    /// Takes one part; the whole replaces what was believed once it is complete.
    pub(super) fn snapshot(&mut self, node: NodeId, part: Discovery, actions: &mut Vec<Action>) {
        self.has_version(part.version);
        let arriving = self.arriving.as_ref().map(|arriving| arriving.version);
        if part.version <= self.version || Some(part.version) < arriving || part.parts > PARTS_MAX {
            return;
        }
        if arriving != Some(part.version) {
            self.arriving = Some(Arriving { version: part.version, parts: BTreeMap::new() });
        }
        let Some(arriving) = &mut self.arriving else {
            return;
        };
        arriving.parts.insert(part.part, (part.added, part.offered));
        if arriving.parts.len() == part.parts as usize {
            let parts = std::mem::take(&mut arriving.parts);
            self.arriving = None;
            self.version = part.version;
            let (agents, offers): (Vec<_>, Vec<_>) = parts.into_values().unzip();
            let agents = agents.into_iter().flatten().map(|record| (record.name.clone(), record)).collect();
            self.install(node, agents, offers.into_iter().flatten().collect(), actions);
        }
    }

    fn is_behind(&self) -> bool {
        self.version < self.newest
    }

    fn install(
        &mut self,
        node: NodeId,
        agents: BTreeMap<AgentName, AgentRecord>,
        offers: BTreeSet<AgentName>,
        actions: &mut Vec<Action>,
    ) {
        let gone = self.agents.keys().filter(|name| !agents.contains_key(*name)).cloned();
        actions.extend(gone.map(|name| Action::AgentDown { node, name }));
        self.agents.retain(|name, _| agents.contains_key(name));
        for record in agents.into_values() {
            self.put(node, record, actions);
        }
        let withdrawn = self.offers.iter().filter(|name| !offers.contains(*name)).cloned();
        actions.extend(withdrawn.map(|name| Action::OfferDown { node, name }));
        self.offers.retain(|name| offers.contains(name));
        self.offer(node, offers, actions);
    }

    fn offer(&mut self, node: NodeId, names: impl IntoIterator<Item = AgentName>, actions: &mut Vec<Action>) {
        for name in names {
            if self.offers.len() < AGENTS_MAX && self.offers.insert(name.clone()) {
                actions.push(Action::OfferUp { node, name });
            }
        }
    }

    fn put(&mut self, node: NodeId, record: AgentRecord, actions: &mut Vec<Action>) {
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&record.name) {
            return;
        }
        let before = self.agents.insert(record.name.clone(), record.clone());
        if before.as_ref() != Some(&record) {
            actions.push(Action::AgentUp { node, record });
        }
    }
}

/// Between two questions to one node: a lost answer costs a second, a flood of gaps costs one question.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Between two answers to one asker: half of what it waits itself, so that an honest question is never refused for
/// having travelled faster than the last.
const ANSWER_EVERY: Duration = Duration::from_millis(500);

/// Parts of a snapshot: what [`AGENTS_MAX`] agents need. A node that announces more is not followed.
const PARTS_MAX: u32 = AGENTS_MAX.div_ceil(DISCOVERY_RECORDS_MAX) as u32;
