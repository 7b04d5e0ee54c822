//! Who is registered: what a node does so that the bucket holds its agents, and those of nobody that is gone.
//!
//! Two decisions are here. [`admit`] is the registrar's: whether a signed record may stand under its name. [`Keeper`] is
//! each node's: it compares what it wants with what the bucket holds, and asks for the difference.
//!
//! ```text
//!   node of the agent                stream            a registrar (any node)        bucket `agents`       everyone
//!   │ wanted                           │                        │                        │                    │
//!   │ ── signed record ──────────────► │ ── delivered to one ─► │ admit                  │                    │
//!   │                                  │                        │ ── if as it was ─────► │ ── watch ────────► │ shown
//!   │ ◄──────────────────────────────────────── watch: confirmed ─────────────────────── │                    │
//!   │ ── the same, signed anew, each 4 to 5 minutes: it would expire after 15 ─────────► │                    │
//!   ✗ killed                                                                             │                    │ hidden
//!                              the first in order of those that are left: removed ─────► │ ── watch ────────► │
//! ```
//!
//! Promises:
//! * What a node wants and the bucket does not hold is asked for, at most [`IN_HAND_MAX`] at a time, again after a while
//!   that grows to [`AGAIN_MAX`]; an agent that went before its turn came was never asked for. What the bucket holds of
//!   this node and it does not want is removed.
//! * An entry is written again before a third of its time to live is over, at moments that differ between names: so many
//!   agents cost an even, small number of writes a second.
//! * Agents of a node that is not present are not shown. When a present node falls, the entries that it had are removed
//!   by the first in the order of rendezvous hashing, by compare-and-set; the next wait [`SWEEP_STAGGER`] longer each. What
//!   it writes later than [`LATE`] after that is its own: it lives where it is not heard.
//! * It decides nothing about who may have a name (that is [`admit`]), nor who runs an agent (that is a lease).
//!
//! Next: `entry.rs` (what is to be done about one name), `copy.rs` (what the bucket holds), `admission.rs`.

mod action;
mod admission;
mod copy;
mod entry;
mod input;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::message::AgentRecord;
use connectome_codecs::registration::{Presence, Refusal, RefusalCode, Registration};
use connectome_codecs::{AgentName, NodeId, UnixMillis};

use super::Now;
pub use action::Action;
pub use admission::{Application, DELIVERIES_UNHEARD, FRESH, Standing, Verdict, Wish, admit};
use entry::{Asked, Entry, Step};
pub use input::{Done, Input};
use nodes::Nodes;

/// How long an entry lasts that nobody refreshes: only those of nodes that nobody saw fall come to that, so it is long, and
/// 10,000 agents cost some 40 writes a second.
pub const TTL_S: u32 = 900;

/// Until an entry is written again: a third of its time to live, so that two may fail.
pub const REFRESH_EVERY: Duration = Duration::from_secs(TTL_S as u64 / 3);

/// Requests under way, and registrations without an answer, at a time: a group commit's worth. A burst of agents is no burst
/// for the store, and what is slow to answer is not asked the same again and again.
pub const IN_HAND_MAX: usize = 128;

/// After an agent appeared or changed, until it is asked for: most that live some milliseconds are never asked for.
pub const SETTLE: Duration = Duration::from_millis(20);

/// Until what was published must be seen or refused: ten times what a busy store takes. Then its place is another's.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(3);

/// The longest wait before something is asked for again.
pub const AGAIN_MAX: Duration = Duration::from_secs(60);

/// After a name was said to be taken, until it is asked for once more: whoever had it may be leaving.
pub const TAKEN_AGAIN: Duration = Duration::from_millis(500);

/// How much longer each next node in the order waits before it sweeps: longer than the first one needs for thousands of entries
/// of a busy store, since two that sweep the same make it busier. It is needed where two nodes fall at once.
pub const SWEEP_STAGGER: Duration = Duration::from_secs(5);

/// A node that was suspected for longer than this before it fell was silent; others fell because their path ended, or said so.
pub const TOLD_WITHIN: Duration = Duration::from_millis(2_500);

/// How much longer the entries of a node stay that fell by its silence alone. They are not shown, and the silence may be the
/// broker's: to remove and register everyone's agents would be the last thing that a broker in trouble needs.
pub const SILENT_SWEEP: Duration = Duration::from_secs(15);

/// How long after a node's fall entries may still arrive that were on their way.
pub const LATE: Duration = Duration::from_secs(5);

/// After an entry of this node was seen that it did not want, until it is removed: its agent may be starting.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(1);

/// Entries that one node follows: what a registry of the largest cluster has, at some 600 bytes each.
pub const ENTRIES_MAX: usize = 1_000_000;

/// One node's part in registration, and its copy of the bucket.
///
/// ```
/// # use std::collections::BTreeSet;
/// # use connectome_codecs::message::AgentRecord;
/// # use connectome_codecs::{NodeId, UnixMillis};
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::registration::{Action, Input, Keeper};
///
/// # let agent = AgentRecord {
/// #     name: "greeter".parse()?, id: None, role: None, capabilities: vec![],
/// #     version: "1".into(), in_flight: 0, term: None,
/// # };
/// let mut keeper = Keeper::new(NodeId([1; 32]), 1_000);
/// assert!(keeper.handle(Now::ZERO, UnixMillis(1_500), Input::Wanted(agent)).next().is_none());
/// let due = keeper.next_tick().expect("something is to be asked for");
/// let asked: Vec<_> = keeper.handle(due, UnixMillis(1_500), Input::Tick).collect();
/// assert!(matches!(&asked[..], [Action::Publish(registration)] if registration.issued == UnixMillis(1_500)));
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Keeper {
    me: (NodeId, u64),
    entries: BTreeMap<AgentName, Entry>,
    due: BTreeSet<(Now, AgentName)>,
    in_hand: usize,
    /// Published and neither seen nor refused, by when that must be.
    unanswered: BTreeSet<(Now, AgentName)>,
    nodes: Nodes,
    /// The newest moment that this node signed.
    issued: UnixMillis,
    leaving: bool,
    actions: Vec<Action>,
}

impl Keeper {
    /// The keeper of this node in this life. It knows nothing yet.
    pub fn new(node: NodeId, incarnation: u64) -> Keeper {
        Keeper {
            me: (node, incarnation),
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            in_hand: 0,
            unanswered: BTreeSet::new(),
            nodes: Nodes::default(),
            issued: UnixMillis(0),
            leaving: false,
            actions: Vec::new(),
        }
    }

    /// Takes one input, at this moment of both clocks, and returns what is to be done, in order.
    pub fn handle(&mut self, now: Now, wall: UnixMillis, input: Input) -> impl Iterator<Item = Action> {
        self.take(now, wall, input);
        self.actions.drain(..)
    }

    /// When to say [`Input::Tick`] next; ask again after every input.
    pub fn next_tick(&self) -> Option<Now> {
        let next = self.due.first().filter(|_| self.has_room());
        let overdue = self.unanswered.first();
        next.into_iter().chain(overdue).map(|(due, _)| *due).min()
    }

    fn has_room(&self) -> bool {
        self.in_hand + self.unanswered.len() < IN_HAND_MAX
    }

    /// Whether nothing of this node is left in the bucket, or on its way there.
    pub fn has_left(&self) -> bool {
        let mine = |entry: &Entry| entry.held.as_ref().is_some_and(|held| self.is_mine(&held.registration));
        self.leaving
            && !self.entries.values().any(|entry| mine(entry) || entry.in_hand || entry.asked.is_some())
    }

    /// The nodes whose fall was seen a moment ago.
    pub fn fallen(&self) -> BTreeSet<NodeId> {
        self.nodes.fallen()
    }

    fn take(&mut self, now: Now, wall: UnixMillis, input: Input) {
        match input {
            Input::Wanted(record) if !self.leaving => self.want(now, record),
            Input::Wanted(_) => {}
            Input::Unwanted(name) => self.unwant(now, &name),
            Input::Seen { registration, revision } => self.seen(now, registration, revision),
            Input::Gone { name, revision } => self.gone(now, wall, &name, Some(revision)),
            Input::Looked(names) => self.looked(now, wall, &names),
            Input::Nodes { up, present } => self.nodes_are(now, up, present),
            Input::Done { name, done } => self.done(now, name, done),
            Input::Refused(refusal) => self.refused(now, refusal),
            Input::Tick => self.tick(now, wall),
            Input::Leave => self.leave(now),
        }
    }

    fn is_mine(&self, registration: &Registration) -> bool {
        registration.node == self.me.0
    }

    fn want(&mut self, now: Now, record: AgentRecord) {
        let record = AgentRecord { in_flight: 0, ..record };
        let name = record.name.clone();
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.wanted.as_ref() != Some(&record) {
            (entry.tries, entry.taken, entry.wanted) = (0, 0, Some(record));
            self.schedule(&name, now + SETTLE);
        }
    }

    fn unwant(&mut self, now: Now, name: &AgentName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.wanted = None;
        // What was asked for may still come true; then it is removed.
        let wait =
            if entry.held.is_none() && entry.asked.is_some() { CONFIRM_WITHIN } else { Duration::ZERO };
        self.schedule(name, now + wait);
    }

    fn done(&mut self, now: Now, name: AgentName, done: Done) {
        self.in_hand = self.in_hand.saturating_sub(1);
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.in_hand = false;
        let wait = match done {
            // Its answer looks again, or the lack of one.
            Done::Published if entry.asked.is_some() => return,
            Done::Published => Duration::ZERO,
            Done::Wrote => {
                entry.tries = 0;
                CONFIRM_WITHIN
            }
            Done::Removed | Done::Conflict => CONFIRM_WITHIN,
            Done::Failed => entry.pace().max(TAKEN_AGAIN),
        };
        if let Some(swept) = entry.sweeping.take().filter(|_| done == Done::Removed) {
            self.actions.push(Action::Swept(swept));
        }
        if entry.due.is_none() {
            self.schedule(&name, now + wait);
        }
        if done == Done::Failed {
            self.answered(&name);
        }
    }

    /// What was asked for is waited for no more.
    fn answered(&mut self, name: &AgentName) {
        let asked = self.entries.get_mut(name).and_then(|entry| entry.asked.take());
        if let Some(asked) = asked {
            self.unanswered.remove(&(asked.answer_by, name.clone()));
        }
    }

    fn refused(&mut self, now: Now, refusal: Refusal) {
        let Some(entry) = self.entries.get_mut(&refusal.agent) else { return };
        if refusal.node != Some(self.me.0)
            || refusal.issued.is_none()
            || refusal.issued != entry.asked.as_ref().map(|asked| asked.issued)
        {
            return;
        }
        let name = refusal.agent.clone();
        let first = refusal.code == RefusalCode::NameTaken && entry.taken == 0;
        entry.taken += u32::from(refusal.code == RefusalCode::NameTaken);
        let wait = if first { TAKEN_AGAIN } else { entry.pace().max(CONFIRM_WITHIN) };
        if entry.wanted.is_some() && !first {
            self.actions.push(Action::Refused(refusal));
        }
        self.answered(&name);
        self.schedule(&name, now + wait);
    }

    fn leave(&mut self, now: Now) {
        self.leaving = true;
        for name in self.entries.keys().cloned().collect::<Vec<_>>() {
            self.unwant(now, &name);
        }
    }

    fn tick(&mut self, now: Now, wall: UnixMillis) {
        self.give_up_waiting(now);
        while self.has_room() {
            let Some((due, name)) = self.due.pop_first() else { return };
            if due > now {
                self.due.insert((due, name));
                return;
            }
            self.look_at(now, wall, name);
        }
    }

    /// What was not answered in time is asked for again, after those that were not asked for at all.
    fn give_up_waiting(&mut self, now: Now) {
        while let Some((by, name)) = self.unanswered.first().cloned()
            && by <= now
        {
            self.answered(&name);
            let pace = self.entries.get(&name).map_or(Duration::ZERO, Entry::pace);
            self.schedule(&name, now + pace);
        }
    }

    fn look_at(&mut self, now: Now, wall: UnixMillis, name: AgentName) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.due = None;
        // Its end looks again.
        if entry.in_hand {
            return;
        }
        let is_asked = entry.asked.is_some();
        match entry.step(now, self.me) {
            Step::Publish | Step::Forget if is_asked => {}
            Step::Publish => self.publish(now, wall, &name),
            Step::Refresh(over) => {
                let registration = self.signed_now(wall, &name);
                self.ask(&name, registration.map(|registration| Action::Write { registration, over }));
            }
            Step::Remove(revision) => {
                let swept = entry.held.as_ref().filter(|_| entry.doomed);
                entry.sweeping = swept.map(|held| held.registration.clone());
                let action = Action::Remove { name: name.clone(), revision };
                self.ask(&name, Some(action));
            }
            Step::Rest(until) => self.schedule(&name, until),
            Step::Wait => {}
            Step::Forget => drop(self.entries.remove(&name)),
        }
    }

    fn publish(&mut self, now: Now, wall: UnixMillis, name: &AgentName) {
        let registration = self.signed_now(wall, name);
        if let (Some(entry), Some(registration)) = (self.entries.get_mut(name), &registration) {
            entry.tries = entry.tries.saturating_add(1);
            let asked = Asked { issued: registration.issued, answer_by: now + CONFIRM_WITHIN };
            self.unanswered.insert((asked.answer_by, name.clone()));
            entry.asked = Some(asked);
        }
        self.ask(name, registration.map(Action::Publish));
    }

    /// What this node wants to be known of its agent, as of now: later than everything that it signed before.
    fn signed_now(&mut self, wall: UnixMillis, name: &AgentName) -> Option<Registration> {
        let agent = self.entries.get(name)?.wanted.clone()?;
        self.issued = UnixMillis(wall.0.max(self.issued.0 + 1));
        let (node, incarnation) = self.me;
        let presence = Presence::Node;
        Some(Registration { agent, node, incarnation, issued: self.issued, ttl_s: TTL_S, presence })
    }

    fn ask(&mut self, name: &AgentName, action: Option<Action>) {
        let (Some(entry), Some(action)) = (self.entries.get_mut(name), action) else { return };
        entry.in_hand = true;
        self.in_hand += 1;
        self.actions.push(action);
    }

    fn schedule(&mut self, name: &AgentName, due: Now) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if let Some(before) = entry.due.replace(due) {
            self.due.remove(&(before, name.clone()));
        }
        self.due.insert((due, name.clone()));
    }
}
