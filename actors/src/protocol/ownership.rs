//! Which of the names that a node offers it owns: when it takes one, in which order, and when it stops.
//!
//! Several nodes offer an agent; one of them runs it. Who may is a `lease` on its name; this is what
//! stands between a node's leases and its agents, and it is the same for one name and for ten thousand.
//!
//! ```text
//!   A (owner, term 3)      bucket `leases`                   B (first in order)       C (second)
//!   │ ✗ killed                │                                │ A is suspected         │ A is suspected
//!   │                         │ ◄─ B, term 4, if r7 ────────── │                        │   waits 300 ms
//!   │                         │ ── r8 ───────────────────────► │ starts the agent       │
//!   │                         │ ── B, term 4 (watch) ─────────────────────────────────► │   rests
//! ```
//!
//! Nobody asks the store who owns what: every node watches the bucket and decides from that copy. A copy that is behind
//! costs a refused compare-and-set and a look, never a wrong owner.
//!
//! Promises:
//! * The agent is started only under a term that the lease gave to this node, and stopped when it has lost it.
//! * A name is taken by whoever comes first among the live nodes that offer it ([`rank`]); the next ones wait
//!   [`Rules::stagger`] longer each, so that one compare-and-set is enough. A node that comes back takes nothing that
//!   somebody owns.
//! * At most [`TAKEOVERS_MAX`] names are on the way to this node at a time, those first that somebody waits for; at most
//!   [`REQUESTS_MAX`] requests to the store are in flight.
//! * A node that leaves stops each agent, and only then gives its lease back.
//! * Cost: for each name one write each third of the lease's time to live, by its owner; two writes for each move.
//!
//! Next: `claim.rs` (one name), `attempt.rs` (a lease is taken, kept, lost), `agent.rs` (the agent starts and stops),
//! `order.rs` (who comes first).

mod action;
mod agent;
mod attempt;
mod claim;
mod input;
mod order;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::{AgentName, NodeId, Revision, Term, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Now;
use super::lease::{self, LeaseRecord};
pub use action::Action;
use claim::{Claim, Opening, Stage, Turn, View};
pub use input::Input;
pub use order::rank;
pub use traffic::REQUESTS_MAX;
use traffic::Traffic;

/// Names that are on the way to one node at a time: enough that a thousand move within a second, few enough that a
/// node's death makes no storm of starts.
pub const TAKEOVERS_MAX: usize = 16;

/// How names are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A lease's time to live; see [`lease::Keeper::new`].
    pub ttl: Duration,
    /// How much longer each next node in the order waits: a few round trips to the store.
    pub stagger: Duration,
    /// How long a node that has just begun, or a name that was just offered, waits for others to be heard of.
    pub settle: Duration,
    /// How long a node that has just begun waits before it takes a holder for gone that it never heard of.
    pub strange_after: Duration,
}

/// What has happened to the names that a node offers, since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnershipCounts {
    /// Leases that this node took, each under a term of its own.
    pub acquired: u64,
    /// Leases that were taken from it, or could not be renewed in time.
    pub lost: u64,
    /// Leases that it gave back.
    pub released: u64,
    /// How often a place of effect refused it because a newer term had begun.
    pub fenced: u64,
    /// Renewals that the store acknowledged.
    pub renewed: u64,
}

/// A node's part in the ownership of all names that it offers.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::ownership::{Action, Input, Ownership, Rules};
/// use connectome_codecs::{NodeId, UnixMillis};
///
/// let rules = Rules {
///     ttl: Duration::from_secs(30),
///     stagger: Duration::from_millis(300),
///     settle: Duration::ZERO,
///     strange_after: Duration::from_secs(2),
/// };
/// let mut ownership = Ownership::new(NodeId([1; 32]), rules, Now::ZERO);
/// let name = "billing".parse()?;
/// let offer = Input::Offer { name };
/// let asked: Vec<_> = ownership.handle(Now::ZERO, UnixMillis(1_000), offer).collect();
/// assert!(matches!(asked[..], [Action::Read { .. }]));
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Ownership {
    me: NodeId,
    rules: Rules,
    began: Now,
    names: BTreeMap<AgentName, Claim>,
    up: BTreeSet<NodeId>,
    /// When each node was last seen to take a name: one entry for each node that ever held one.
    took: BTreeMap<NodeId, Now>,
    due: BTreeSet<(Now, AgentName)>,
    line: BTreeSet<(Turn, AgentName)>,
    /// Names that are on the way here.
    moving: BTreeSet<AgentName>,
    traffic: Traffic,
    leaving: bool,
    counts: OwnershipCounts,
    actions: Vec<Action>,
}

impl Ownership {
    /// A node that offers nothing yet.
    pub fn new(me: NodeId, rules: Rules, now: Now) -> Self {
        Self {
            me,
            rules,
            began: now,
            names: BTreeMap::new(),
            up: BTreeSet::new(),
            took: BTreeMap::new(),
            due: BTreeSet::new(),
            line: BTreeSet::new(),
            moving: BTreeSet::new(),
            traffic: Traffic::default(),
            leaving: false,
            counts: OwnershipCounts::default(),
            actions: Vec::new(),
        }
    }

    /// Takes one input and returns what is to be done, in order. `now` measures; `wall` is only written down, and compared
    /// with what others wrote.
    pub fn handle(&mut self, now: Now, wall: UnixMillis, input: Input) -> impl Iterator<Item = Action> {
        let at = At { now, wall };
        match input {
            Input::Offer { name } => self.offer(at, name),
            Input::Withdraw { name } => self.withdraw(at, &name),
            Input::Offerers { name, nodes } => self.offerers(at, &name, nodes),
            Input::Wanted { name } => self.wanted(at, &name),
            Input::Heard { name, term } => self.heard(at, &name, term),
            Input::Up { nodes } => self.heard_from(at, nodes),
            Input::Fallen { node } => self.fallen(at, node),
            Input::Seen { name, record, revision } => self.seen(at, &name, record, revision),
            Input::Read { name, ticket, entry } => self.read(at, &name, ticket, entry),
            Input::ReadFailed { name, ticket } => self.read_failed(at, &name, ticket),
            Input::Wrote { name, ticket, answer } => self.wrote(at, &name, ticket, answer),
            Input::Started { name, term } => self.started(&name, term),
            Input::Ended { name, term } => self.ended(at, &name, term),
            Input::Fenced { name, term } => self.fenced(at, &name, term),
            Input::Tick => self.tick(at),
            Input::Leave => self.leave(at),
        }
        self.take_turns(at);
        self.actions.drain(..)
    }

    /// When to say [`Input::Tick`] next, if nothing is said before.
    pub fn next_tick(&self) -> Option<Now> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The term under which this node owns a name, while it may believe it at `now`.
    pub fn term(&self, name: &AgentName, now: Now) -> Option<Term> {
        self.names.get(name)?.keeper.term(now)
    }

    /// What has happened so far.
    pub fn counts(&self) -> OwnershipCounts {
        self.counts
    }

    /// Whether no agent is left here, and every lease was given back.
    pub fn has_left(&self) -> bool {
        self.names.values().all(Claim::has_gone)
    }

    fn offer(&mut self, at: At, name: AgentName) {
        let (me, rules) = (self.me, self.rules);
        self.names.entry(name.clone()).or_insert_with(|| Claim::new(me, rules, at.now)).withdrawn = false;
        self.consider(at, &name);
    }

    fn offerers(&mut self, at: At, name: &AgentName, nodes: BTreeSet<NodeId>) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.others = nodes;
            self.consider(at, name);
        }
    }

    fn wanted(&mut self, at: At, name: &AgentName) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.wanted = true;
            self.consider(at, name);
        }
    }

    fn heard(&mut self, at: At, name: &AgentName, term: Term) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.heard(term);
            self.consider(at, name);
        }
    }

    fn heard_from(&mut self, at: At, nodes: BTreeSet<NodeId>) {
        self.up = nodes;
        self.consider_all(at, |_| true);
    }

    fn fallen(&mut self, at: At, node: NodeId) {
        self.consider_all(at, |claim| claim.orphan(node));
    }

    fn consider_all(&mut self, at: At, mut which: impl FnMut(&mut Claim) -> bool) {
        let names = self.names.iter_mut().filter_map(|(name, claim)| which(claim).then(|| name.clone()));
        for name in names.collect::<Vec<_>>() {
            self.consider(at, &name);
        }
    }

    fn seen(&mut self, at: At, name: &AgentName, record: Option<LeaseRecord>, revision: Revision) {
        let Some(claim) = self.names.get_mut(name) else { return };
        let before = claim.seen.map(|(record, _)| record.term);
        if !claim.see(record, revision) {
            return;
        }
        if let Some(record) = record.filter(|record| Some(record.term) > before) {
            self.took.insert(record.holder, at.now);
        }
        match claim.stage {
            Stage::Holding(term) if record.is_none_or(|r| (r.holder, r.term) != (self.me, term)) => {
                self.lease(at, name, lease::Input::Changed);
            }
            Stage::Holding(_) | Stage::Trying => {}
            Stage::Resting | Stage::InLine(_) => self.consider(at, name),
        }
    }

    fn tick(&mut self, at: At) {
        while let Some((due, name)) = self.due.first().filter(|(due, _)| *due <= at.now).cloned() {
            self.due.remove(&(due, name.clone()));
            let Some(claim) = self.names.get_mut(&name) else { continue };
            claim.due = None;
            match claim.stage {
                Stage::Holding(_) => self.lease(at, &name, lease::Input::Tick),
                Stage::Resting | Stage::InLine(_) | Stage::Trying => self.consider(at, &name),
            }
        }
    }

    /// What is to be done about a name that is not this node's: nothing, look later, or stand in line for it.
    fn consider(&mut self, at: At, name: &AgentName) {
        let Self { me, rules, began, leaving, .. } = *self;
        let view = View { me, rules, began, up: &self.up, took: &self.took, leaving };
        let Some(claim) = self.names.get_mut(name) else { return };
        if let Stage::Trying | Stage::Holding(_) = claim.stage {
            return;
        }
        let opening = claim.opening(name, view, at.now, at.wall);
        self.leave_line(name);
        match opening {
            Opening::Take(turn) if turn <= at.now => self.stand_in_line(at, name),
            Opening::Take(later) | Opening::Look(later) => self.schedule(name, Some(later)),
            Opening::Closed => self.schedule(name, None),
        }
        self.forget_if_gone(name);
    }

    fn stand_in_line(&mut self, at: At, name: &AgentName) {
        let Some(claim) = self.names.get_mut(name) else { return };
        let turn = claim.turn(at.now);
        claim.stage = Stage::InLine(turn);
        self.line.insert((turn, name.clone()));
        self.schedule(name, None);
    }

    fn leave_line(&mut self, name: &AgentName) {
        if let Some(claim) = self.names.get_mut(name)
            && let Stage::InLine(turn) = claim.stage
        {
            claim.stage = Stage::Resting;
            self.line.remove(&(turn, name.clone()));
        }
    }

    /// Takes as many from the line as may be on the way.
    fn take_turns(&mut self, at: At) {
        while self.moving.len() < TAKEOVERS_MAX
            && let Some((_, name)) = self.line.pop_first()
        {
            self.attempt(at, &name);
        }
    }

    fn schedule(&mut self, name: &AgentName, due: Option<Now>) {
        let Some(claim) = self.names.get_mut(name) else { return };
        if let Some(before) = std::mem::replace(&mut claim.due, due) {
            self.due.remove(&(before, name.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, name.clone()));
        }
    }

    /// Keeps count of what is on the way.
    fn note(&mut self, name: &AgentName) {
        if self.names.get(name).is_some_and(Claim::is_moving) {
            self.moving.insert(name.clone());
        } else {
            self.moving.remove(name);
        }
    }

    /// What was withdrawn and is given back is forgotten.
    fn forget_if_gone(&mut self, name: &AgentName) {
        if self.names.get(name).is_some_and(|claim| claim.withdrawn && claim.has_gone()) {
            self.leave_line(name);
            self.schedule(name, None);
            self.names.remove(name);
        }
    }
}

/// The moment of an input, by both clocks.
#[derive(Debug, Clone, Copy)]
struct At {
    now: Now,
    wall: UnixMillis,
}
